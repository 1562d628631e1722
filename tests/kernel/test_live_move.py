"""An instance moves between two hypervisors under probes: nothing is lost, doubled or reordered.

The reconcilers are the real ones with the real drivers, save the guard, whose programs have tests of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_interface
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from dataplane.entries import GuardAddress, GuardPort
from dataplane.guests import GuestAddresses
from dataplane.handover import Handover
from dataplane.links import Legs
from dataplane.linux import Linux, link_local
from dataplane.memory import Kernel, MemoryTable
from dataplane.routes import Anchors, Fallbacks, Forwards, Peers, RouteTable, endpoint_mac
from services.netagent import wire
from services.netagent.checkpoint import MemoryCheckpoint
from services.netagent.guests import HelperGuests
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_of
from tests.kernel.hosts import Helper, Host, hosts, needs_root, until

pytestmark = needs_root

FOUR, SIX = IPv4Network("198.18.0.5/32"), IPv6Network("2001:db8:5::/64")
TARGETS = ("198.18.0.5", "2001:db8:5::10")
RATE = 1000  # probes per second and family
MOVES = 3


class Hypervisor:
    """A host with a link to the edge, a VXLAN, and an agent."""

    def __init__(self, host: Host, number: int, edge: Host, helper: Helper) -> None:
        self.host = host
        self.node = UUID(int=number)
        self.endpoint = IPv4Address(f"172.31.{number}.2")
        self.generation = 0
        self._connect(number, edge)
        kernel = Kernel()

        def make() -> Reconciler:
            linux, guests = Linux(), HelperGuests(helper.socket)
            tables = RouteTable(linux)
            legs = Legs(linux, guests, lambda _: None, Handover(linux))
            drivers: list[Any] = [
                legs,
                MemoryTable(kernel, GuardPort),
                MemoryTable(kernel, GuardAddress),
                Peers(linux, "vx0"),
                Forwards(tables),
                Fallbacks(tables, "vx0"),
                GuestAddresses(legs, guests, link_of),
                Anchors(tables),
            ]
            return Reconciler(self.node, drivers, MemoryCheckpoint())

        self.agent = host.run(make)

    def _connect(self, number: int, edge: Host) -> None:
        host, link = self.host, f"hv{number}"
        edge.ip("link", "add", link, "mtu", "2000", "type", "veth", "peer", "name", "up0", "netns", host.name)
        edge.ip("addr", "add", f"172.31.{number}.1/24", "dev", link)
        edge.ip("addr", "add", f"fd00:31:{number}::1/64", "dev", link, "nodad")
        edge.ip("link", "set", link, "up")
        host.ip("link", "set", "up0", "mtu", "2000", "up")
        host.ip("addr", "add", f"{self.endpoint}/24", "dev", "up0")
        host.ip("addr", "add", f"fd00:31:{number}::2/64", "dev", "up0", "nodad")
        host.ip("route", "add", "default", "via", f"172.31.{number}.1")
        host.ip("-6", "route", "add", "default", "via", f"fd00:31:{number}::1")
        vxlan = ("id", "4242", "local", str(self.endpoint), "dstport", "4789", "nolearning")
        host.ip("link", "add", "vx0", "address", endpoint_mac(self.endpoint), "type", "vxlan", *vxlan)
        host.ip("link", "set", "vx0", "up")
        for family in ("-4", "-6"):
            host.ip(family, "rule", "add", "pref", "100", "lookup", "101")

    def order(self, *puts: wire.Entry, gone: tuple[wire.Entry, ...] = ()) -> None:
        """A delta, confirmed."""
        base, self.generation = self.generation, self.generation + 1
        message: wire.Snapshot | wire.Delta
        if base == 0:
            message = wire.Snapshot(self.node, 1, self.generation, list(puts))
        else:
            tombstones = [wire.Tombstone(wire.EntryKey.of(entry), uuid4()) for entry in gone]
            message = wire.Delta(self.node, 1, base, self.generation, list(puts), tombstones)
        realized = self.host.run(lambda: self.agent.apply(message))
        assert realized.failed == []


@dataclass
class Probes:
    """UDP echoes at a steady rate, each with a number; and the answers in the order they came."""

    host: Host
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TARGETS, 0))
    answers: dict[str, list[int]] = field(default_factory=lambda: {target: [] for target in TARGETS})

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._sockets = {target: self.host.run(lambda target=target: _socket(target)) for target in TARGETS}  # type: ignore[misc]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        begun = time.monotonic()
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            for target, probe in self._sockets.items():
                with contextlib.suppress(OSError):  # a route that is gone answers so; the probe counts as lost
                    probe.send(self.sent[target].to_bytes(8, "big"))
                self.sent[target] += 1
            self._receive(max(0.0, begun + turn / RATE - time.monotonic()))

    def _receive(self, wait_s: float) -> None:
        targets = {probe: target for target, probe in self._sockets.items()}
        deadline = time.monotonic() + wait_s
        while True:
            ready, _, _ = select.select(list(targets), [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return
            for probe in ready:
                with contextlib.suppress(OSError):
                    self.answers[targets[probe]].append(int.from_bytes(probe.recv(64), "big"))

    def more(self, count: int) -> None:
        """Wait until as many more were sent and as many more were answered."""
        goals = {target: len(self.answers[target]) + count for target in TARGETS}
        until(lambda: all(len(self.answers[target]) >= goal for target, goal in goals.items()), f"{count} more answers")

    def faults(self, target: str) -> str:
        """What the answers lack, or have too often or too late."""
        answers = self.answers[target]
        lost = sorted(set(range(self.sent[target])) - set(answers))
        late = [after for before, after in itertools.pairwise(answers) if after <= before]
        return f"{target}: lost {lost}, doubled or reordered {late}, of {self.sent[target]}"

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._receive(0.2)


def _socket(target: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    probe.connect((target, 7))
    probe.setblocking(False)
    return probe


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    started = Helper(tmp_path)
    yield started
    started.close()


def announce(edge: Host, hypervisor: Hypervisor, number: int) -> None:
    """What the fabric does when it has converged."""
    edge.ip("route", "replace", str(FOUR), "via", str(hypervisor.endpoint))
    edge.ip("-6", "route", "replace", str(SIX), "via", f"fd00:31:{number}::2")


def test_a_live_move_loses_nothing(helper: Helper) -> None:
    with hosts("edge", "hv1", "hv2") as (edge, *machines):
        pair = [Hypervisor(host, number, edge, helper) for number, host in enumerate(machines, 1)]
        port = wire.Port(uuid4(), bytes.fromhex("060000000007"), wire.PortState.ACTIVE, "web-1")
        addresses = [
            wire.Address(FOUR, port.port, ip_interface(f"{TARGETS[0]}/32"), 1),
            wire.Address(SIX, port.port, ip_interface(f"{TARGETS[1]}/64"), 1),
        ]
        peers = [wire.Peer(hypervisor.endpoint) for hypervisor in pair]
        pair[0].order(port, *addresses, peers[1])
        pair[1].order(peers[0])
        announce(edge, pair[0], 1)
        for target in TARGETS:
            until(lambda target=target: edge.run(lambda: _echoes(target)), f"{target} answers")  # type: ignore[misc]

        probes = Probes(edge)
        try:
            for turn in range(MOVES):
                at, to = turn % 2, (turn + 1) % 2
                _move(
                    pair[at],
                    pair[to],
                    port,
                    addresses,
                    turn + 2,
                    lambda to=to: announce(edge, pair[to], to + 1),
                    probes,
                )
        finally:
            probes.stop()

        for target in TARGETS:
            assert probes.answers[target] == list(range(probes.sent[target])), probes.faults(target)
        holders = [hypervisor.host.kernel.link(link_of(port.port.hex)) is not None for hypervisor in pair]
        assert holders == [False, True], "exactly one hypervisor has a leg"


def _move(
    source: Hypervisor,
    destination: Hypervisor,
    port: wire.Port,
    addresses: list[wire.Address],
    sequence: int,
    converge: Any,
    probes: Probes,
) -> None:
    silent = [replace(address, sequence=0) for address in addresses]
    destination.order(replace(port, state=wire.PortState.STANDBY), *silent)
    held = [replace(a, sequence=sequence - 1, fallback=destination.endpoint) for a in addresses]
    source.order(replace(port, state=wire.PortState.LEAVING), *held)
    probes.more(200)

    destination.order(port)
    probes.more(200)  # by the fallback: the fabric has not converged
    destination.order(*[replace(address, sequence=sequence) for address in addresses])
    converge()
    probes.more(200)

    source.order(gone=(replace(port), *addresses))
    probes.more(200)


def _echoes(target: str) -> bool:
    with _socket(target) as probe:
        probe.settimeout(0.5)
        try:
            probe.send(bytes(8))
            return probe.recv(64) == bytes(8)
        except OSError:
            return False


def test_a_vxlans_link_local_address_follows_from_its_endpoint() -> None:
    """The contract of peers: 06:76 and the endpoint, EUI-64 of it."""
    mac = endpoint_mac(IPv4Address("172.31.0.9"))
    assert mac == "06:76:ac:1f:00:09"
    assert str(link_local(mac)) == "fe80::476:acff:fe1f:9"
