"""What an edge holds apart: the same tests on the in-memory kernel and on Linux, and what the kernel makes of it."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Blackhole, Entry, Fence
from dataplane.fence import Blackholes, Fences
from dataplane.linux import Linux
from dataplane.memory import Kernel, MemoryTable
from dataplane.nft import Nftables
from tests.kernel.hosts import Host, Within, hosts, needs_root, until

ONE, TWO, NOBODY = IPv4Address("172.31.1.1"), IPv4Address("172.31.2.1"), IPv4Address("172.31.9.1")
FOUR, SIX = IPv4Network("198.18.0.5/32"), IPv6Network("2001:db8:5::/64")

ROWS: list[Entry] = [
    Fence(ONE),
    Blackhole(FOUR),
    Blackhole(SIX),
    Blackhole(IPv6Network("2001:db8:6::1/128")),
    Blackhole(FOUR, ONE),
    Blackhole(SIX, ONE),
    Blackhole(IPv6Network("2001:db8:6::1/128"), ONE),
]
ids = [f"{type(row).__name__}-{row.key}" for row in ROWS]


class MemoryRig:
    """An in-memory edge."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self._drivers: dict[Any, Any] = {kind: MemoryTable(self.kernel, kind) for kind in (Fence, Blackhole)}

    def driver(self, kind: type[Entry]) -> Any:
        return self._drivers[kind]

    def restart(self) -> None:
        """Drivers of it keep no memory."""

    def disturb(self, row: Entry) -> None:
        if isinstance(row, Fence):
            self.kernel.alter(Fence(row.neighbour, closed=False))
        else:
            self.kernel.remove(type(row), row.key)


class Machine:
    """A node beside the edge."""

    def __init__(self, host: Host, number: int) -> None:
        self.host, self._number = host, number

    def address(self, version: int) -> IPv4Address | IPv6Address:
        return IPv4Address(f"172.31.{self._number}.1") if version == 4 else IPv6Address(f"fd00:{self._number}::2")

    def hears(self, other: Machine, source: str, to: str = "") -> bool:
        """Whether a datagram arrives that `other` sends with that source, to our own address unless we are told."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        target = to or str(self.address(6 if ":" in source else 4))
        receiver = self.host.run(lambda: socket.socket(family, socket.SOCK_DGRAM))
        sender = other.host.run(lambda: socket.socket(family, socket.SOCK_DGRAM))
        with receiver, sender:
            receiver.bind((target, 0))
            receiver.settimeout(0.3)
            sender.bind((source, 0))
            sender.sendto(b"x", receiver.getsockname()[:2])
            try:
                return receiver.recv(8) == b"x"
            except TimeoutError:
                return False


class LinuxRig:
    """A namespace with a link to each of three machines."""

    def __init__(self, edge: Host, *nodes: Host) -> None:
        self.edge = edge
        self.nodes = [Machine(node, number) for number, node in enumerate(nodes, 1)]
        for number, node in enumerate(nodes, 1):
            edge.ip("link", "add", f"hv{number}", "type", "veth", "peer", "name", "fabric0", "netns", node.name)
            for host, link, end in ((edge, f"hv{number}", 0), (node, "fabric0", 1)):
                host.ip("address", "add", f"172.31.{number}.{end}/31", "dev", link)
                host.ip("address", "add", f"fd00:{number}::{end + 1}/64", "dev", link, "nodad")
                host.run(lambda link=link: Linux.sysctl(f"ipv6/conf/{link}/keep_addr_on_down", 1))  # type: ignore[misc]
                host.ip("link", "set", link, "up")
            for default in (f"172.31.{number}.0", f"fd00:{number}::1"):
                node.ip("route", "add", "default", "via", default)
        self.restart()

    def restart(self) -> None:
        def make() -> dict[type[Entry], Any]:
            kernel = Linux()
            return {Fence: Fences(kernel), Blackhole: Blackholes(kernel, Nftables())}

        self._drivers = self.edge.run(make)

    def driver(self, kind: type[Entry]) -> Any:
        return Within(self.edge, lambda: self._drivers[kind])

    def disturb(self, row: Entry) -> None:
        if isinstance(row, Fence):
            self.edge.ip("link", "set", "hv1", "up")
        else:
            self.nft("flush", "chain", "inet", "godwit", "sent")

    def nft(self, *words: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.edge.name, "nft", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def link(self, name: str = "hv1") -> dict[str, Any]:
        (row,) = json.loads(self.edge.ip("-json", "link", "show", name))
        return {"up": "UP" in row["flags"], "alias": row.get("ifalias", "")}


@pytest.fixture
def linux() -> Iterator[LinuxRig]:
    with hosts("edge", "one", "two", "peer") as made:
        yield LinuxRig(*made)


@pytest.fixture(params=["memory", pytest.param("linux", marks=needs_root)])
def rig(request: pytest.FixtureRequest) -> MemoryRig | LinuxRig:
    if request.param == "memory":
        return MemoryRig()
    made: LinuxRig = request.getfixturevalue("linux")
    return made


# --- both kernels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_is_read_back_as_it_was_put(rig: MemoryRig | LinuxRig, row: Entry) -> None:
    driver = rig.driver(type(row))
    assert driver.observe() == driver.observe([row.key]) == {}
    for _ in range(2):
        driver.put(row)
        assert driver.observe([row.key]) == driver.observe() == {row.key: row}
    for _ in range(2):
        driver.drop(row)
        assert driver.observe() == driver.observe([row.key]) == {}


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_is_found_again_by_an_agent_without_memory(rig: MemoryRig | LinuxRig, row: Entry) -> None:
    rig.driver(type(row)).put(row)
    rig.restart()
    driver = rig.driver(type(row))
    assert driver.observe([row.key]) == {row.key: row}
    driver.drop(row)
    assert driver.observe() == {}


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_undone_behind_our_back_reads_otherwise_and_is_put_again(rig: MemoryRig | LinuxRig, row: Entry) -> None:
    driver = rig.driver(type(row))
    driver.put(row)
    rig.disturb(row)
    assert driver.observe([row.key]) != {row.key: row}
    driver.put(row)
    assert driver.observe() == {row.key: row}


def test_an_address_is_held_from_several_nodes_and_from_everyone_at_once(rig: MemoryRig | LinuxRig) -> None:
    driver = rig.driver(Blackhole)
    rows = [Blackhole(FOUR, ONE), Blackhole(FOUR, TWO), Blackhole(FOUR), Blackhole(SIX, TWO)]
    for row in rows:
        driver.put(row)
    driver.drop(rows.pop(1))
    assert driver.observe() == {row.key: row for row in rows}


# --- Linux -----------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("row", [Fence(NOBODY), Blackhole(FOUR, NOBODY), Fence(IPv4Address("10.9.0.2"))], ids=str)
def test_a_node_that_no_link_leads_to_alone_is_refused(linux: LinuxRig, row: Entry) -> None:
    linux.edge.ip("address", "add", "10.9.0.1/24", "dev", "hv2")  # a network of many hosts

    with pytest.raises(DriverError) as refused:
        linux.driver(type(row)).put(row)

    assert refused.value.code == "fence.no_link"
    linux.driver(type(row)).drop(row)


@needs_root
def test_a_fenced_link_is_given_back_as_it_was(linux: LinuxRig) -> None:
    driver = linux.driver(Fence)
    linux.edge.ip("link", "set", "hv1", "alias", "rack 5 up")
    linux.edge.ip("link", "set", "hv2", "down")
    for neighbour in (ONE, TWO):
        driver.put(Fence(neighbour))
    linux.restart()

    for neighbour in (ONE, TWO):
        linux.driver(Fence).drop(Fence(neighbour))

    assert linux.link("hv1") == {"up": True, "alias": "rack 5 up"}
    assert linux.link("hv2") == {"up": False, "alias": ""}, "it was not we who took it down"


@needs_root
def test_a_link_that_another_took_down_is_not_ours(linux: LinuxRig) -> None:
    linux.edge.ip("link", "set", "hv1", "down")
    driver = linux.driver(Fence)
    assert driver.observe() == {}
    driver.drop(Fence(ONE))
    assert not linux.link("hv1")["up"]


@needs_root
def test_no_route_by_a_fenced_link_is_left_in_any_table_nor_taken(linux: LinuxRig) -> None:
    edge = linux.edge
    edge.ip("route", "add", "198.18.0.0/20", "nexthop", "via", str(ONE), "nexthop", "via", str(TWO))
    for table in ("main", "102"):
        edge.ip("route", "add", str(FOUR), "via", str(ONE), "table", table)
        edge.ip("-6", "route", "add", str(SIX), "via", "fd00:1::2", "table", table)
    edge.ip("route", "add", "unreachable", "198.18.0.0/15")

    linux.driver(Fence).put(Fence(ONE))

    for family in ("-4", "-6"):
        rows = edge.ip(family, "route", "show", "table", "all").splitlines()
        assert [row for row in rows if "via" in row and "dev hv1" in row and "dead" not in row] == []
    assert "via 172.31.2.1" in edge.ip("route", "get", "198.18.0.5")
    with pytest.raises(AssertionError, match="not up"):
        edge.ip("route", "add", str(FOUR), "dev", "hv1")

    linux.driver(Fence).drop(Fence(ONE))
    one, two, _ = linux.nodes
    until(lambda: two.hears(one, str(ONE)) and two.hears(one, "fd00:1::2"), "the link is back")


@needs_root
@pytest.mark.parametrize("prefix", [FOUR, SIX], ids=str)
def test_an_address_fenced_from_a_node_is_free_to_be_at_another(
    linux: LinuxRig, prefix: IPv4Network | IPv6Network
) -> None:
    edge, (one, two, peer) = linux.edge, linux.nodes
    near, far = (str(ONE), str(TWO)) if prefix.version == 4 else ("fd00:1::2", "fd00:2::2")
    here = str(peer.address(prefix.version))
    address = str(prefix[1] if prefix.version == 6 else prefix[0])
    for node in (one, two):
        node.host.ip("address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    edge.ip("route", "add", str(prefix), "via", near)
    for node in (one, two):
        until(lambda node=node: peer.hears(node, address), "IPv6 is ready on every link")  # type: ignore[misc]
    assert one.hears(peer, here, to=address)

    linux.driver(Blackhole).put(Blackhole(prefix, ONE))

    assert not peer.hears(one, address), "what comes from it"
    assert not one.hears(peer, here, to=address), "what goes to it"
    assert peer.hears(one, near), "the node's own traffic"
    edge.ip("route", "replace", str(prefix), "via", far)
    assert peer.hears(two, address)
    assert two.hears(peer, here, to=address)

    linux.driver(Blackhole).put(Blackhole(prefix))

    assert not two.hears(peer, here, to=address), "whoever holds it"
    linux.driver(Blackhole).drop(Blackhole(prefix))
    assert two.hears(peer, here, to=address)


@needs_root
def test_other_tables_are_left_alone_and_ours_is_put_right_with_all_it_held(linux: LinuxRig) -> None:
    driver = linux.driver(Blackhole)
    rows = [Blackhole(FOUR, ONE), Blackhole(SIX), Blackhole(SIX, TWO)]
    linux.nft("add table inet godwit_cut; add chain inet godwit_cut sent")
    others = linux.nft("list", "table", "inet", "godwit_cut")
    for row in rows:
        driver.put(row)

    linux.nft("add rule inet godwit received accept")
    assert driver.observe() == {}, "a rule of another in our table may undo ours"
    driver.put(rows[0])
    assert driver.observe() == {row.key: row for row in rows}

    linux.nft("delete table inet godwit")
    assert driver.observe() == {}
    driver.put(rows[0])
    assert driver.observe() == {rows[0].key: rows[0]}
    assert linux.nft("list", "table", "inet", "godwit_cut") == others
