"""The agent as a process: mutual TLS, tokens, the real kernel, restarts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_interface
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from cloud.pki import PLACEMENT, Identity, Pki
from cloud.plan import AGENT_PORT, Node, Plan, Role
from common.auth import Principal, Signer
from common.errors import DomainError, Invalid
from common.http import Unreachable
from dataplane.guard import REASONS
from dataplane.nat import VERDICTS
from services.netagent import wire
from services.netagent.client import (
    AgentClient,
    ArchiveUrl,
    BaseMismatch,
    Dial,
    DiskExists,
    DiskInUse,
    DiskNotSettled,
    MalformedMessage,
    NotAHypervisor,
    StaleGeneration,
    StoreUnreachable,
    WrongAgent,
)
from services.netagent.render import link_name
from tests.kernel.hosts import REPOSITORY, Helper, Host, hosts, needs_root, until
from tests.kernel.rig import bpffs

pytestmark = needs_root

T = TypeVar("T")

FOUR = wire.Aggregate(IPv4Network("198.18.0.0/15"))
SIX = wire.Aggregate(IPv6Network("2001:db8::/32"))


class Agent:
    """A node's agent, and placement's client of it, both in one namespace."""

    def __init__(self, host: Host, directory: Path, role: Role = Role.EDGE, **settings: object) -> None:
        self.host = host
        self.plan = Plan("gwtn")
        self.node = next(node for node in self.plan.nodes if node.role is role)
        self._settings = settings
        self.pki = Pki(directory / "pki")
        self.pki.ensure(self.plan)
        self._directory = directory
        self._process: subprocess.Popen[Any] | None = None
        host.ip("addr", "add", f"{self.node.management}/32", "dev", "lo")
        self.client = self.client_of(self.node, self.pki.placement)

    def client_of(self, node: Node, identity: Identity, role: str = "service") -> AgentClient:
        signer = Signer.from_file(self.pki.signing_key(PLACEMENT))
        principal = Principal("placement", "", frozenset({role}))
        return AgentClient(
            Dial(
                f"https://{self.node.management}:{AGENT_PORT}",
                node.id,
                lambda: signer.sign(principal, [f"node/{node.id}"]),
                identity.certificate,
                identity.key,
                self.pki.nodes.certificate,
            )
        )

    def start(self) -> None:
        identity = self.pki.node(self.node)
        settings = {
            "NODE": str(self.node.id),
            "NAME": self.node.name,
            "ROLE": str(self.node.role),
            "STATE_DIRECTORY": str(self._directory / "state"),
            "LISTEN": f"tcp:{self.node.management}:{AGENT_PORT}",
            "CERTIFICATE": str(identity.certificate),
            "CERTIFICATE_KEY": str(identity.key),
            "CONTROLLER_CA": str(self.pki.controllers.certificate),
            "ISSUER_KEYS": str(self.pki.keys),
            "VERIFY_SECONDS": "0.3",
            **{name.upper(): str(value) for name, value in self._settings.items()},
        }
        names = {f"GODWIT_NETAGENT_{key}": value for key, value in settings.items()}
        command = ["nsenter", f"--net={self.host.pin}", sys.executable, "-m", "services.netagent.app"]
        self._process = subprocess.Popen(command, env={**os.environ, **names}, cwd=REPOSITORY)
        until(self.answers, "the agent answers")

    def answers(self) -> bool:
        try:
            self.ask(lambda client: client.state())
        except Unreachable:
            return False
        return True

    def ask(self, question: Callable[[AgentClient], T]) -> T:
        return self.host.run(lambda: question(self.client))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def snapshot(self, generation: int, *entries: wire.Entry) -> wire.Snapshot:
        return wire.Snapshot(self.node.id, 1, generation, list(entries))

    def discards(self) -> list[str]:
        shown = [self.host.ip(family, "route", "show", "type", "unreachable") for family in ("-4", "-6")]
        return [line.split()[1] for text in shown for line in text.splitlines() if "proto 71" in line]


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Agent]:
    with hosts("edge") as (host,), contextlib.ExitStack() as stack:
        made = Agent(host, tmp_path)
        stack.callback(made.kill)
        made.start()
        yield made


def digest(*entries: wire.Entry) -> dict[str, str]:
    return wire.Digest.of(entries).hex()


def test_an_agent_takes_orders_and_reads_the_kernel_back(edge: Agent) -> None:
    realized = edge.ask(lambda client: client.apply(edge.snapshot(4, FOUR, SIX)))
    assert (realized.epoch, realized.generation, realized.failed) == (1, 4, [])
    assert realized.digest == digest(FOUR, SIX)
    assert edge.discards() == ["198.18.0.0/15", "2001:db8::/32"]
    assert edge.ask(lambda client: client.realized()) == realized
    assert edge.ask(lambda client: client.state()).digest == realized.digest

    gone = [wire.Tombstone(wire.EntryKey.of(SIX), uuid4())]
    delta = wire.Delta(edge.node.id, 1, 4, 5, [], gone)
    assert edge.ask(lambda client: client.apply(delta)).digest == digest(FOUR)
    assert edge.discards() == ["198.18.0.0/15"]


def test_refusals_arrive_as_their_own_errors(edge: Agent) -> None:
    edge.ask(lambda client: client.apply(edge.snapshot(4, FOUR)))
    delta = wire.Delta(edge.node.id, 1, 7, 8, [], [])
    for error, message in ((StaleGeneration, edge.snapshot(3, FOUR)), (BaseMismatch, delta)):
        with pytest.raises(error):
            edge.ask(lambda client, message=message: client.apply(message))  # type: ignore[misc]
    with pytest.raises(MalformedMessage):
        edge.ask(lambda client: client.delta(delta.pack()[:-1]))


def test_killed_it_goes_on_where_it_was(edge: Agent) -> None:
    """Q3."""
    before = edge.ask(lambda client: client.apply(edge.snapshot(4, FOUR, SIX)))
    edge.kill()
    assert edge.discards() == ["198.18.0.0/15", "2001:db8::/32"]
    edge.start()
    assert edge.ask(lambda client: client.realized()) == before


def test_drift_is_seen_and_mended(edge: Agent) -> None:
    edge.ask(lambda client: client.apply(edge.snapshot(4, FOUR, SIX)))
    edge.host.ip("route", "del", "unreachable", "198.18.0.0/15", "metric", "4294967294")

    until(lambda: edge.ask(lambda client: client.state()).digest == digest(SIX), "what is missing is not told as held")
    until(lambda: edge.discards() == ["198.18.0.0/15", "2001:db8::/32"], "the route is back")
    until(lambda: edge.ask(lambda client: client.state()).digest == digest(FOUR, SIX), "it is told as held again")


def test_what_an_edge_holds_apart_survives_its_agent_and_another_hand(edge: Agent) -> None:
    """Q3, Q6: the kernel alone holds it; what is set up behind the agent's back is told, and taken down again."""
    node = IPv4Address("172.31.1.1")
    fence, held = wire.Fence(node), wire.Blackhole(IPv4Network("198.18.0.5/32"), node)
    lost = wire.Fence(IPv4Address("172.31.9.1"))
    edge.host.ip("link", "add", "hv1", "type", "veth", "peer", "name", "fabric0")
    edge.host.ip("address", "add", "172.31.1.0/31", "dev", "hv1")
    edge.host.ip("link", "set", "hv1", "up")

    def down() -> bool:
        return "state DOWN" in edge.host.ip("link", "show", "hv1")

    realized = edge.ask(lambda client: client.apply(edge.snapshot(4, fence, held, lost)))
    assert [(failure.key, failure.code) for failure in realized.failed] == [(lost.key().hex(), "fence.no_link")]
    assert realized.digest == digest(fence, held)
    edge.kill()
    assert down()
    edge.host.ip("link", "set", "hv1", "up")
    edge.start()
    assert down()
    assert edge.ask(lambda client: client.realized()).digest == digest(fence, held)
    edge.host.ip("link", "set", "hv1", "up")
    until(lambda: edge.ask(lambda client: client.state()).digest == digest(held), "another hand is noticed")
    until(lambda: edge.ask(lambda client: client.state()).digest == digest(fence, held), "and undone")
    assert down()

    gone = [wire.Tombstone(wire.EntryKey.of(entry), uuid4()) for entry in (fence, held, lost)]
    assert edge.ask(lambda client: client.apply(wire.Delta(edge.node.id, 1, 4, 5, [], gone))).digest == {}
    assert not down()


def test_an_edge_tells_at_once_what_its_health_checks_find(edge: Agent) -> None:
    address, holder = IPv4Address("198.18.0.9"), uuid4()
    check = wire.HealthCheck(address, holder, wire.CheckProtocol.ICMP, 0, 50, 3, 0)

    def next_news(after: int) -> tuple[int, wire.CheckState]:
        news = edge.ask(lambda client: client.changes(after, 10))
        assert (news.checks, news.prefixes) == ([str(address)], [])
        (state,) = edge.ask(lambda client: client.health_checks())
        assert (state.address, state.holder) == (address, holder)
        return news.next, state

    edge.host.ip("address", "add", f"{address}/32", "dev", "lo")
    heard = edge.ask(lambda client: client.changes(0, 0)).next
    realized = edge.ask(lambda client: client.apply(edge.snapshot(4, check)))
    assert (realized.failed, realized.digest) == ([], digest(check)), "it runs"
    heard, state = next_news(heard)
    assert (state.condition, state.missed) == (wire.Condition.UP, 0)
    edge.host.ip("address", "del", f"{address}/32", "dev", "lo")
    heard, state = next_news(heard)
    assert (state.condition, state.missed >= 3) == (wire.Condition.DOWN, True)

    edge.kill()
    edge.start()
    assert edge.ask(lambda client: client.realized()).digest == digest(check), "after a restart it begins anew"
    until(lambda: edge.ask(lambda client: client.health_checks())[0].condition is wire.Condition.DOWN, "it is down")
    gone = [wire.Tombstone(wire.EntryKey.of(check), uuid4())]
    edge.ask(lambda client: client.apply(wire.Delta(edge.node.id, 1, 4, 5, [], gone)))
    assert edge.ask(lambda client: client.health_checks()) == []


def test_an_edge_tells_where_prefixes_go_and_when_that_changes(edge: Agent) -> None:
    host = edge.host
    host.ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
    for link in ("up0", "up1"):
        host.ip("link", "set", link, "up")
    host.ip("addr", "add", "172.31.1.1/24", "dev", "up0")
    host.ip("addr", "add", "fd00:31:1::1/64", "dev", "up0", "nodad")
    edge.ask(lambda client: client.apply(edge.snapshot(4, FOUR, SIX)))
    after = edge.ask(lambda client: client.changes(0, 0)).next
    host.ip("route", "add", "198.18.0.5/32", "proto", "bird", "via", "172.31.1.2")
    host.ip(
        "route", "add", "198.18.1.0/24", "proto", "bird", "nexthop", "via", "172.31.1.2", "nexthop", "via", "172.31.1.3"
    )
    host.ip("-6", "route", "add", "2001:db8:5::/64", "proto", "bird", "via", "fd00:31:1::2")

    changes = edge.ask(lambda client: client.changes(after, 5))
    assert changes.prefixes[0] == "198.18.0.5/32"
    asked = ["198.18.0.5/32", "198.18.1.7/32", "198.18.9.9/32", "203.0.113.1/32", "2001:db8:5::/64", "2001:db8:6::/64"]
    routes = {route.prefix: route.next_hops for route in edge.ask(lambda client: client.edge_routes(asked))}
    assert routes == {
        "198.18.0.5/32": ["172.31.1.2"],
        "198.18.1.7/32": ["172.31.1.2", "172.31.1.3"],
        "198.18.9.9/32": [],
        "203.0.113.1/32": [],
        "2001:db8:5::/64": ["fd00:31:1::2"],
        "2001:db8:6::/64": [],
    }


def test_an_agent_probes_what_it_is_told(edge: Agent) -> None:
    targets = [wire.ProbeTarget(address=ip_address(a), size=100) for a in ("192.0.2.9", "::1", "127.0.0.1")]

    found = edge.ask(lambda client: client.probe(targets, count=2, interval_s=0.005, timeout_s=0.2))

    assert [(str(result.address), result.size, result.sent, result.received) for result in found] == [
        ("192.0.2.9", 100, 2, 0),  # there is no route
        ("::1", 100, 2, 2),
        ("127.0.0.1", 100, 2, 2),
    ]
    with pytest.raises(Invalid) as refused:
        edge.ask(lambda client: client.request("POST", "/probes", json={"targets": [], "count": 51}))
    assert refused.value.code == "request.invalid"


def test_an_edge_tells_its_reverse_path_filters(edge: Agent) -> None:
    edge.host.ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
    edge.host.run(lambda: edge.host.kernel.sysctl("ipv4/conf/up0/rp_filter", 2))
    assert edge.ask(lambda client: client.observed()) == wire.Observed(
        reverse_path={"lo": wire.ReversePath.OFF, "up0": wire.ReversePath.LOOSE, "up1": wire.ReversePath.OFF},
        packets={},
    )

    edge.host.run(lambda: edge.host.kernel.sysctl("ipv4/conf/all/rp_filter", 1))
    told = edge.ask(lambda client: client.observed()).reverse_path
    assert told == {"lo": "strict", "up0": "loose", "up1": "strict"}  # the greater of both counts


def test_only_the_controller_is_heard(edge: Agent) -> None:
    """Q26: another node's certificate, no certificate, another role, another node's token."""
    other = next(node for node in edge.plan.nodes if node.id != edge.node.id)
    with pytest.raises(Unreachable):
        edge.host.run(lambda: edge.client_of(edge.node, edge.pki.node(other)).state())
    with pytest.raises(httpx.TransportError):
        edge.host.run(lambda: httpx.get(f"https://{edge.node.management}:{AGENT_PORT}/agent/v1/health", verify=False))  # noqa: S501
    for client in (edge.client_of(edge.node, edge.pki.placement, "reader"), edge.client_of(other, edge.pki.placement)):
        with pytest.raises(DomainError) as refused:
            edge.host.run(client.state)
        assert refused.value.code in {"auth.role_missing", "auth.token_refused"}


def test_an_agent_that_is_not_who_was_dialled_is_refused(edge: Agent) -> None:
    """Q26: a stolen address does not make a node."""
    edge.kill()
    other = next(node for node in edge.plan.nodes if node.id != edge.node.id)
    mine, edge.node = edge.node, replace(other, management=edge.node.management, role=Role.EDGE)
    edge.client = edge.client_of(edge.node, edge.pki.placement)
    edge.start()
    impostor = edge.client_of(mine, edge.pki.placement)
    impostor._token = edge.client._token
    with pytest.raises(WrongAgent):
        edge.host.run(impostor.state)
    assert isinstance(mine.management, IPv4Address)


# --- a gateway -------------------------------------------------------------------------------------------------------

OUTBOUND = wire.Outbound(IPv4Address("10.1.0.5"), IPv4Address("198.18.0.5"))
INBOUND = wire.Inbound(IPv4Address("198.18.0.5"), IPv4Address("10.1.0.5"))


def _private_link(host: Host) -> None:
    host.ip("link", "add", "in0", "type", "veth", "peer", "name", "in1")
    host.ip("link", "set", "in0", "up")


def _bears_program(host: Host, link: str) -> bool:
    return "prog/xdp" in host.ip("link", "show", link)


def test_a_gateways_link_that_was_made_anew_translates_again(tmp_path: Path) -> None:
    with hosts("gw") as (host,), bpffs(tmp_path / "bpf") as pins, contextlib.ExitStack() as stack:
        host.ip("link", "add", "out0", "type", "veth", "peer", "name", "out1")
        _private_link(host)
        directories = {"pin_directory": pins, "build_directory": tmp_path / "build"}
        gateway = Agent(host, tmp_path, Role.GATEWAY, public_link="out0", private_link="in0", **directories)
        stack.callback(gateway.kill)
        gateway.start()
        gateway.ask(lambda client: client.apply(gateway.snapshot(1, OUTBOUND, INBOUND)))
        assert _bears_program(host, "in0")
        assert set(gateway.ask(lambda client: client.observed()).packets) == set(VERDICTS)

        host.ip("link", "del", "in0")
        _private_link(host)
        until(lambda: _bears_program(host, "in0"), "the program is on the new link")
        assert gateway.ask(lambda client: client.state()).digest == digest(OUTBOUND, INBOUND)


# --- a hypervisor, with the guard -----------------------------------------------------------------------------------

UID = uuid4()
PORT = wire.Port(UID, bytes.fromhex("060000000007"), wire.PortState.ACTIVE, "web-1")
ADDRESSES = {
    "198.18.0.5": wire.Address(IPv4Network("198.18.0.5/32"), UID, ip_interface("198.18.0.5/32"), 3),
    "2001:db8:5::10": wire.Address(IPv6Network("2001:db8:5::/64"), UID, ip_interface("2001:db8:5::10/64"), 4),
}


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[tuple[Agent, Host, Helper]]:
    """A hypervisor's agent, a host beside it, and the guest helper."""
    with hosts("hv", "net") as (host, net), bpffs(tmp_path / "bpf") as pins, contextlib.ExitStack() as stack:
        helper = Helper(tmp_path)
        stack.callback(helper.close)
        host.ip("link", "add", "up0", "type", "veth", "peer", "name", "hv0", "netns", net.name)
        for end, link, number in ((host, "up0", 2), (net, "hv0", 1)):
            end.ip("link", "set", link, "up")
            end.ip("addr", "add", f"172.31.1.{number}/24", "dev", link)
            end.ip("addr", "add", f"fd00:31:1::{number}/64", "dev", link, "nodad")
        net.ip("addr", "add", "203.0.113.9/32", "dev", "lo")
        net.ip("addr", "add", "2001:db8:ffff::9/128", "dev", "lo")
        for family, gateway, prefix in (
            ("-4", "172.31.1.2", "198.18.0.0/15"),
            ("-6", "fd00:31:1::2", "2001:db8:5::/48"),
        ):
            net.ip(family, "route", "add", prefix, "via", gateway)
            host.ip(family, "route", "add", "default", "via", gateway[:-1] + "1")
            host.ip(family, "rule", "add", "pref", "100", "lookup", "101")
        directories = {
            "pin_directory": pins,
            "build_directory": tmp_path / "build",
            "guest_socket": helper.socket,
            "disk_directory": helper.disks,
            "archive_roots": f"file://{tmp_path}/archives",
        }
        made = Agent(host, tmp_path, Role.HYPERVISOR, host_prefixes="172.31.0.0/16,fd00:31::/32", **directories)
        stack.callback(made.kill)
        made.start()
        yield made, net, helper


def _echoes(target: str, by: str = "203.0.113.9") -> bool:
    source = ("2001:db8:ffff::9", 0) if ":" in target else (by, 0)
    with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(source)
        probe.settimeout(0.5)
        try:
            probe.connect((target, 7))
            probe.send(b"there?")
            return probe.recv(64) == b"there?"
        except OSError:
            return False


def test_a_guest_behind_its_guard_is_reached(hypervisor: tuple[Agent, Host, Helper]) -> None:
    agent, net, _ = hypervisor
    realized = agent.ask(lambda client: client.apply(agent.snapshot(1, PORT, *ADDRESSES.values())))
    assert realized.failed == []
    assert realized.digest == digest(PORT, *ADDRESSES.values())
    for target in ADDRESSES:
        until(lambda target=target: net.run(lambda: _echoes(target)), f"{target} echoes")  # type: ignore[misc]
    packets = agent.ask(lambda client: client.observed()).packets
    assert tuple(packets) == REASONS
    assert packets["passed_from_guest"] >= 2

    address = ADDRESSES["198.18.0.5"]
    gone = [wire.Tombstone(wire.EntryKey.of(address), uuid4())]
    agent.ask(lambda client: client.apply(wire.Delta(agent.node.id, 1, 1, 2, [], gone)))
    assert not net.run(lambda: _echoes("198.18.0.5"))
    assert net.run(lambda: _echoes("2001:db8:5::10"))


def test_a_hypervisor_tells_what_its_ports_rewrite_and_which_private_peers_they_have(
    hypervisor: tuple[Agent, Host, Helper],
) -> None:
    agent, net, _ = hypervisor
    inside = wire.Address(IPv4Network("10.1.0.5/32"), UID, ip_interface("10.1.0.5/32"))
    ends = IPv4Address("198.18.0.5"), IPv4Address("10.1.0.5")
    hostnat = wire.HostNat(UID, *ends, inbound=True, outbound=True, sequence=3)
    net.ip("route", "add", "10.1.0.0/16", "via", "172.31.1.2")
    net.ip("addr", "add", "10.9.0.9/32", "dev", "lo")
    realized = agent.ask(lambda client: client.apply(agent.snapshot(1, PORT, inside, hostnat)))
    assert (realized.failed, realized.digest) == ([], digest(PORT, inside, hostnat))

    until(lambda: net.run(lambda: _echoes("198.18.0.5")), "the guest answers by its public address")
    (before,) = agent.ask(lambda client: client.port_traffic([UID, uuid4()]))
    assert net.run(lambda: _echoes("198.18.0.5"))
    assert net.run(lambda: _echoes("10.1.0.5", "10.9.0.9")), "and by its private one"
    (after,) = agent.ask(lambda client: client.port_traffic([UID, uuid4()]))

    assert before.port == after.port == UID
    size = 28 + len(b"there?")
    assert (after.inbound_packets - before.inbound_packets, after.inbound_bytes - before.inbound_bytes) == (1, size)
    assert (after.outbound_packets - before.outbound_packets, after.outbound_bytes - before.outbound_bytes) == (1, size)
    (peer,) = after.private_peers
    assert (str(peer.peer), peer.received, peer.sent) == ("10.9.0.9", 1, 1)
    assert 0 <= peer.seen_seconds_ago < 60


def test_an_edge_has_no_ports(edge: Agent) -> None:
    with pytest.raises(NotAHypervisor):
        edge.ask(lambda client: client.port_traffic([UID]))
    with pytest.raises(NotAHypervisor):
        edge.ask(lambda client: client.archive_disk(UID, "file:///tmp/archive"))


def _told(address: str) -> dict[str, Any]:
    """What the guest says of itself; nothing while it starts."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address="203.0.113.9"), timeout=1) as client:
        try:
            answer: dict[str, Any] = client.get(f"http://{address}/").json()
        except httpx.TransportError:
            return {}
    return answer


def test_a_guest_that_was_stopped_finds_its_disk_again_where_it_starts(
    hypervisor: tuple[Agent, Host, Helper], tmp_path: Path
) -> None:
    agent, net, helper = hypervisor
    address = ADDRESSES["198.18.0.5"]
    url = f"file://{tmp_path}/archives/web-1/2.tar"

    def boots() -> int | None:
        return net.run(lambda: _told("198.18.0.5")).get("boots")

    def start(base: int) -> None:
        order = wire.Delta(agent.node.id, 1, base, base + 1, [PORT, address], [])
        assert agent.ask(lambda client: client.apply(order)).failed == []

    agent.ask(lambda client: client.apply(agent.snapshot(1)))
    start(1)
    until(lambda: boots() == 1, "the guest has counted its start")
    content = helper.disks / UID.hex / "content"
    (content / "data").write_bytes(b"precious")
    (content / "lure").symlink_to("/etc/passwd")
    with pytest.raises(DiskInUse):
        agent.ask(lambda client: client.archive_disk(UID, url))

    gone = [wire.Tombstone(wire.EntryKey.of(entry), uuid4()) for entry in (PORT, address)]
    agent.ask(lambda client: client.apply(wire.Delta(agent.node.id, 1, 2, 3, [], gone)))
    until(lambda: not agent.ask(lambda client: client.disk(UID)).in_use, "the guest has ended")
    archive = agent.ask(lambda client: client.archive_disk(UID, url))
    assert (archive.url, archive.left_out) == (url, 1)
    agent.ask(lambda client: client.discard_disk(UID, url))
    assert not content.exists()

    agent.ask(lambda client: client.restore_disk(UID, archive))
    agent.kill()  # whoever starts it needs no memory
    agent.start()
    start(3)
    until(lambda: boots() == 2, "the guest has found its count")
    assert [(path.name, path.is_symlink()) for path in sorted(content.iterdir())] == [("boots", False), ("data", False)]
    assert (content / "data").read_bytes() == b"precious"
    with pytest.raises(DiskExists):
        agent.ask(lambda client: client.restore_disk(UID, archive))
    agent.ask(lambda client: client.delete_archive(url))
    assert list((tmp_path / "archives" / "web-1").iterdir()) == []


def test_an_upload_that_fails_leaves_the_guest_its_disk(hypervisor: tuple[Agent, Host, Helper], tmp_path: Path) -> None:
    agent, _, helper = hypervisor
    agent.ask(lambda client: client.apply(agent.snapshot(1, PORT)))
    until((helper.disks / UID.hex / "content" / "boots").exists, "the guest has started")
    agent.ask(
        lambda client: client.apply(
            wire.Delta(agent.node.id, 1, 1, 2, [], [wire.Tombstone(wire.EntryKey.of(PORT), uuid4())])
        )
    )
    until(lambda: not (helper.disks / UID.hex / "running").exists(), "the guest has ended")
    (tmp_path / "archives").write_text("no directory")
    url = f"file://{tmp_path}/archives/web-1/2.tar"

    with pytest.raises(StoreUnreachable):
        agent.ask(lambda client: client.archive_disk(UID, url))
    with pytest.raises(DiskNotSettled):
        agent.ask(lambda client: client.discard_disk(UID, url))
    with pytest.raises(ArchiveUrl):
        agent.ask(lambda client: client.archive_disk(UID, "file:///etc/web-1"))
    assert (helper.disks / UID.hex / "content" / "boots").read_text() == "1\n"


def test_an_agents_death_and_return_touch_no_traffic(hypervisor: tuple[Agent, Host, Helper]) -> None:
    """Q3, Q5."""
    agent, net, helper = hypervisor
    agent.ask(lambda client: client.apply(agent.snapshot(1, PORT, *ADDRESSES.values())))
    for target in ADDRESSES:
        until(lambda target=target: net.run(lambda: _echoes(target)), f"{target} echoes")  # type: ignore[misc]
    agent.kill()
    helper.kill()
    assert all(net.run(lambda target=target: _echoes(target)) for target in ADDRESSES)  # type: ignore[misc]
    helper.start()
    agent.start()
    assert all(net.run(lambda target=target: _echoes(target)) for target in ADDRESSES)  # type: ignore[misc]
    assert agent.ask(lambda client: client.realized()).digest == digest(PORT, *ADDRESSES.values())


def test_a_table_altered_behind_the_agent_is_mended(hypervisor: tuple[Agent, Host, Helper]) -> None:
    agent, net, _ = hypervisor
    whole = digest(PORT, *ADDRESSES.values())
    agent.ask(lambda client: client.apply(agent.snapshot(1, PORT, *ADDRESSES.values())))
    link = link_name(UID)
    for damage in (
        f"link del {link}",
        f"link set {link} down",
        "route del 198.18.0.5/32 table 101",
        "-6 route del 2001:db8:5::/64 table 101",
        "route del unreachable 198.18.0.5/32 table 100",
    ):
        agent.host.ip(*damage.split())
        until(lambda: agent.ask(lambda client: client.state()).digest != whole, f"seen after: {damage}")
        until(lambda: agent.ask(lambda client: client.state()).digest == whole, f"mended after: {damage}")
    for target in ADDRESSES:
        until(lambda target=target: net.run(lambda: _echoes(target)), f"{target} echoes")  # type: ignore[misc]
