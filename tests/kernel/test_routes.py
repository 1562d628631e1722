"""Routes, neighbours and the VXLAN's peers: the same tests on the in-memory kernel and on Linux."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Anchor, Discard, Entry, Fallback, Forward, Leg, LegState, Peer
from dataplane.linux import Linux
from dataplane.memory import Kernel, MemoryTable
from dataplane.routes import Anchors, Discards, Fallbacks, Forwards, Peers, RouteTable, endpoint_mac
from tests.kernel.hosts import Host, Within, hosts, needs_root

LINK, MAC, OTHER_MAC = "gabc", "06:00:00:00:00:07", "06:00:00:00:00:08"
FOUR, SIX = IPv4Network("198.18.0.5/32"), IPv6Network("2001:db8:5::/64")
ENDPOINT = IPv4Address("172.31.0.9")

ROWS: list[Entry] = [
    Anchor(FOUR, 1),
    Anchor(FOUR, 4_000_000_000),
    Anchor(SIX, 1),
    Anchor(IPv6Network("2001:db8:6::1/128"), 7),
    Discard(IPv4Network("198.18.0.0/15")),
    Discard(IPv6Network("2001:db8::/32")),
    Forward(FOUR, LINK, MAC),
    Forward(SIX, LINK, MAC),
    Forward(IPv6Network("2001:db8:6::1/128"), LINK, MAC),
    Fallback(FOUR, ENDPOINT),
    Fallback(SIX, ENDPOINT),
    Peer(ENDPOINT),
]
ids = [f"{type(row).__name__}-{row.key}" for row in ROWS]


class MemoryRig:
    """An in-memory node with a guest's link."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.kernel.alter(Leg(LINK, "guest", MAC, LegState.LEAVING))
        tables = (Anchor, Discard, Forward, Fallback, Peer)
        self._drivers: dict[Any, Any] = {kind: MemoryTable(self.kernel, kind) for kind in tables}

    def driver(self, kind: type[Entry]) -> Any:
        return self._drivers[kind]

    def restart(self) -> None:
        """Drivers of it keep no memory."""

    def claim(self, row: Entry) -> None:
        self.kernel.claim(row)

    def foreign(self, row: Entry) -> bool:
        return row.key in self.kernel.foreign[type(row)]

    def remove(self, row: Entry) -> None:
        self.kernel.remove(type(row), row.key)

    def lose_link(self) -> None:
        self.kernel.remove(Leg, LINK)


class LinuxRig:
    """A namespace with a guest's link and a VXLAN."""

    def __init__(self, host: Host) -> None:
        self.host = host
        host.ip("link", "add", LINK, "type", "veth", "peer", "name", "guest")
        host.ip("link", "set", LINK, "up")
        host.ip("link", "set", "guest", "up")
        vxlan = ("id", "4242", "local", "172.31.0.1", "dstport", "4789", "nolearning")
        host.ip("link", "add", "vx0", "address", endpoint_mac(IPv4Address("172.31.0.1")), "type", "vxlan", *vxlan)
        host.ip("link", "set", "vx0", "up")
        self.restart()

    def restart(self) -> None:
        host = self.host

        def make() -> dict[type[Entry], Any]:
            kernel = Linux()
            tables = RouteTable(kernel)
            made = (Anchors(tables), Discards(tables), Forwards(tables), Fallbacks(tables, "vx0"), Peers(kernel, "vx0"))
            return {driver.entry: driver for driver in made}

        self._drivers = host.run(make)

    def driver(self, kind: type[Entry]) -> Any:
        return Within(self.host, lambda: self._drivers[kind])

    def claim(self, row: Entry) -> None:
        self.host.ip(*self._command("add", row))

    def foreign(self, row: Entry) -> bool:
        table, place = self._place(row)
        shown = self.host.ip(f"-{row.prefix.version}", "route", "show", "table", table, *place)  # type: ignore[union-attr]
        return "unreachable" in shown

    def remove(self, row: Entry) -> None:
        self.host.ip(*self._command("del", row))

    def lose_link(self) -> None:
        self.host.ip("link", "del", LINK)

    def _command(self, verb: str, row: Entry) -> list[str]:
        table, place = self._place(row)
        return [f"-{row.prefix.version}", "route", verb, "unreachable", *place, "table", table]  # type: ignore[union-attr]

    def _place(self, row: Entry) -> tuple[str, list[str]]:
        match row:
            case Anchor():
                return "100", [str(row.prefix), "metric", str(row.sequence)]
            case Discard():
                return "main", [str(row.prefix), "metric", "4294967294"]
            case Forward():
                return "101", [str(row.prefix), "metric", "100"]
            case Fallback():
                return "101", [str(row.prefix), "metric", "4000"]
        raise AssertionError(row)


@pytest.fixture
def linux() -> Iterator[LinuxRig]:
    with hosts("routes") as (host,):
        yield LinuxRig(host)


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
        assert driver.observe([row.key]) == {row.key: row}
        assert driver.observe() == {row.key: row}
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


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Anchor | Discard)], ids=str)
def test_a_row_removed_behind_our_back_is_missed_at_once(rig: MemoryRig | LinuxRig, row: Entry) -> None:
    driver = rig.driver(type(row))
    driver.put(row)
    rig.remove(row)
    assert driver.observe([row.key]) == {}


@pytest.mark.parametrize("row", [row for row in ROWS if not isinstance(row, Peer)], ids=str)
def test_rows_of_others_are_neither_reported_replaced_nor_removed(rig: MemoryRig | LinuxRig, row: Entry) -> None:
    driver = rig.driver(type(row))
    rig.claim(row)
    assert driver.observe() == driver.observe([row.key]) == {}
    with pytest.raises(DriverError) as refused:
        driver.put(row)
    assert refused.value.code == "route.foreign"
    driver.drop(row)
    assert rig.foreign(row)


def test_two_sequences_stand_side_by_side_until_the_older_is_dropped(rig: MemoryRig | LinuxRig) -> None:
    driver = rig.driver(Anchor)
    for prefix in (FOUR, SIX):
        older, newer = Anchor(prefix, 7), Anchor(prefix, 8)
        driver.put(older)
        driver.put(newer)
        assert driver.observe([older.key, newer.key]) == {older.key: older, newer.key: newer}
        driver.drop(older)
        assert driver.observe([older.key, newer.key]) == {newer.key: newer}


@pytest.mark.parametrize("sequence", [0, -1, 1 << 32])
def test_a_sequence_that_is_no_metric_is_refused(rig: MemoryRig | LinuxRig, sequence: int) -> None:
    with pytest.raises(DriverError) as refused:
        rig.driver(Anchor).put(Anchor(SIX, sequence))
    assert refused.value.code == "anchor.sequence"


def test_a_route_and_its_fallback_share_a_prefix(rig: MemoryRig | LinuxRig) -> None:
    for prefix in (FOUR, SIX):
        route, fallback = Forward(prefix, LINK, MAC), Fallback(prefix, ENDPOINT)
        rig.driver(Forward).put(route)
        rig.driver(Fallback).put(fallback)
        assert rig.driver(Forward).observe([prefix]) == {prefix: route}
        assert rig.driver(Fallback).observe([prefix]) == {prefix: fallback}
        rig.driver(Forward).drop(route)
        assert rig.driver(Forward).observe([prefix]) == {}
        assert rig.driver(Fallback).observe([prefix]) == {prefix: fallback}


@pytest.mark.parametrize("prefix", [FOUR, SIX], ids=str)
def test_a_row_is_altered_in_place(rig: MemoryRig | LinuxRig, prefix: IPv4Network | IPv6Network) -> None:
    for before, after in (
        (Forward(prefix, LINK, MAC), Forward(prefix, LINK, OTHER_MAC)),
        (Fallback(prefix, ENDPOINT), Fallback(prefix, IPv4Address("172.31.0.10"))),
    ):
        driver = rig.driver(type(before))
        driver.put(before)
        driver.put(after)
        assert driver.observe() == driver.observe([prefix]) == {prefix: after}


def test_a_route_to_a_link_that_is_not_there_is_refused(rig: MemoryRig | LinuxRig) -> None:
    with pytest.raises(DriverError) as refused:
        rig.driver(Forward).put(Forward(FOUR, "gnone", MAC))
    assert refused.value.code == "route.no_link"


@pytest.mark.parametrize("prefix", [FOUR, SIX], ids=str)
def test_a_route_goes_with_its_link(rig: MemoryRig | LinuxRig, prefix: IPv4Network | IPv6Network) -> None:
    """Of IPv4 routes that go so, the kernel does not tell."""
    driver = rig.driver(Forward)
    driver.put(Forward(prefix, LINK, MAC))
    assert driver.observe([prefix])
    rig.lose_link()
    assert driver.observe([prefix]) == driver.observe() == {}


# --- Linux -----------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("prefix", [FOUR, SIX], ids=str)
def test_a_route_without_its_neighbour_reads_otherwise(linux: LinuxRig, prefix: IPv4Network | IPv6Network) -> None:
    row = Forward(prefix, LINK, MAC)
    linux.driver(Forward).put(row)
    linux.host.ip(f"-{prefix.version}", "neigh", "flush", "dev", LINK, "nud", "permanent")
    assert linux.driver(Forward).observe([prefix]) != {prefix: row}
    linux.driver(Forward).put(row)
    assert linux.driver(Forward).observe([prefix]) == {prefix: row}


@needs_root
def test_a_peer_without_its_tunnel_is_missed(linux: LinuxRig) -> None:
    driver = linux.driver(Peer)
    driver.put(Peer(ENDPOINT))
    assert linux.host.kernel.tunnel(_index(linux, "vx0"), endpoint_mac(ENDPOINT)) == ENDPOINT
    linux.host.kernel.delete_tunnel(_index(linux, "vx0"), endpoint_mac(ENDPOINT))
    assert driver.observe([ENDPOINT]) == {}


@needs_root
@pytest.mark.parametrize("prefix", [FOUR, SIX], ids=str)
def test_the_fallback_is_taken_when_the_link_has_no_carrier(linux: LinuxRig, prefix: IPv4Network | IPv6Network) -> None:
    host = linux.host
    for family in ("ipv4", "ipv6"):
        host.run(lambda family=family: Linux.sysctl(f"{family}/conf/{LINK}/ignore_routes_with_linkdown", 1))  # type: ignore[misc]
    host.ip(f"-{prefix.version}", "rule", "add", "pref", "100", "lookup", "101")
    linux.driver(Forward).put(Forward(prefix, LINK, MAC))
    linux.driver(Fallback).put(Fallback(prefix, ENDPOINT))
    target = str(prefix.network_address + 1 if prefix.version == 6 else prefix.network_address)
    assert f"dev {LINK}" in host.ip("route", "get", target)

    host.ip("link", "set", "guest", "down")

    assert "dev vx0" in host.ip("route", "get", target)
    assert linux.driver(Forward).observe([prefix]), "the route is still there"


def _index(rig: LinuxRig, name: str) -> int:
    link = rig.host.kernel.link(name)
    assert link is not None
    return link.index
