"""hostnat's rows, and what is told of a link: the same tests in memory and on Linux where both have it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from dataplane.driver import DriverError
from dataplane.entries import HostNat, Leg, LegState
from dataplane.guard import Guard
from dataplane.hostnat import HostNats, LinkTraffics
from dataplane.memory import Kernel, MemoryTable
from tests.kernel.guarded import (
    MAC,
    Host,
    made,
)
from tests.kernel.hostnat_host import (
    ROW,
    ROW_B,
    from_a,
    from_fabric,
    furnish,
    hop,
    packets,
    put,
    switched,
)
from tests.kernel.rig import PATIENCE, inside, ip, needs_root, run
from tests.shapes import (
    DB_10,
    GOOD,
    PEER,
    WEB,
    WEB_10,
    tcp,
    udp,
)

pytestmark = needs_root


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with made(tmp_path, tmp_path_factory) as host:
        furnish(host)
        yield host


# --- what is told ----------------------------------------------------------------------------------------------------


def test_packets_and_bytes_are_counted_by_port_and_direction(host: Host) -> None:
    def traffic() -> dict[str, tuple[int, ...]]:
        with inside(host.name):
            found = LinkTraffics(host.guard).of(["leg-a", "leg-b", "absent"])
        counts = ("inbound_packets", "inbound_bytes", "outbound_packets", "outbound_bytes")
        return {link: tuple(getattr(seen, name) for name in counts) for link, seen in found.items()}

    assert traffic() == {"leg-a": (0, 0, 0, 0), "leg-b": (0, 0, 0, 0)}
    out, back = [tcp(WEB_10, PEER), udp(WEB_10, PEER)], [udp(PEER, WEB, b"longer than hello")]
    host.a.send(*map(from_a, out))
    host.fabric.send(*map(from_fabric, back))
    host.a_sends_b(from_a(udp(WEB_10, DB_10)))  # private: not rewritten, not counted
    host.fabric_sends(from_fabric(udp(PEER, WEB_10)))  # rewritten by a gateway: not counted here
    assert traffic() == {
        "leg-a": (1, sum(map(len, back)), 2, sum(map(len, out))),
        "leg-b": (0, 0, 0, 0),
    }

    put(host, switched(inbound=True, outbound=False))
    with inside(host.name):
        HostNats(host.guard).drop(ROW)
    assert traffic()["leg-a"][2] == 2, "the counters are the link's, and outlive its row"


def test_private_peers_are_sampled(host: Host) -> None:
    def peers(link: str) -> dict[str, tuple[int, int]]:
        with inside(host.name):
            seen = LinkTraffics(host.guard).of([link])[link].peers
        assert all(0 <= each.seen_seconds_ago < PATIENCE for each in seen)
        return {str(each.peer): (each.received, each.sent) for each in seen}

    put(host, switched(inbound=False, outbound=False))  # as on a port that is not converted yet
    host.a_sends_b(from_a(udp(WEB_10, DB_10)))  # and the last frame
    host.guest_sends(from_a(udp(WEB_10, "10.9.0.9")))
    host.guest_sends(from_a(udp("10.3.3.3", "10.9.0.8")))  # another's source: stopped by the guard
    host.fabric_sends(from_fabric(udp("10.9.0.7", WEB_10)))
    host.fabric_sends(from_fabric(udp(PEER, WEB_10)))
    host.open("leg-a", MAC, f"{WEB}/32")
    host.guest_sends(from_a(udp(WEB, "10.9.0.6")))  # a routed address of its own: no peer of the private one

    assert peers("leg-a") == {DB_10: (0, 2), "10.9.0.9": (0, 1), "10.9.0.7": (1, 0)}
    assert peers("leg-b") == {WEB_10: (2, 0)}


def test_the_peers_of_a_link_go_with_it(host: Host) -> None:
    host.a_sends_b(from_a(udp(WEB_10, DB_10)))
    ip(host.name, "link del leg-a")
    with inside(host.name):
        assert LinkTraffics(host.guard).of(["leg-a", "leg-b"]).keys() == {"leg-b"}
        assert len(list(host.guard.private_peers)) == 1


# --- rows ------------------------------------------------------------------------------------------------------------

Within = Callable[[Callable[[Any], Any]], Any]


@pytest.fixture(params=["memory", "linux"])
def table(request: pytest.FixtureRequest) -> Within:
    """Calls a function with the driver, where it works."""
    if request.param == "memory":
        kernel = Kernel()
        for link in ("leg-a", "leg-b"):
            kernel.alter(Leg(link, link, MAC, LegState.LEAVING))
        driver = MemoryTable(kernel, HostNat)
        driver.put(ROW)
        driver.put(ROW_B)
        return lambda work: work(driver)
    host: Host = request.getfixturevalue("host")

    def work_inside(work: Callable[[Any], Any]) -> Any:
        with inside(host.name):
            return work(HostNats(host.guard))

    return work_inside


def test_rows_are_read_back_as_they_were_put(table: Within) -> None:
    assert table(lambda driver: driver.observe()) == {"leg-a": ROW, "leg-b": ROW_B}
    assert table(lambda driver: driver.observe(["leg-a", "absent"])) == {"leg-a": ROW}
    changed = switched(inbound=True, outbound=False)
    for _ in range(2):
        table(lambda driver: driver.put(changed))
        assert table(lambda driver: driver.observe(["leg-a"])) == {"leg-a": changed}
    for _ in range(2):
        table(lambda driver: driver.drop(changed))
        assert table(lambda driver: driver.observe()) == {"leg-b": ROW_B}


@pytest.mark.parametrize(
    "row",
    [
        switched(inbound=False, outbound=True),
        HostNat("leg-a", IPv4Address("10.0.0.1"), IPv4Address(WEB_10), inbound=True, outbound=True),
        HostNat("leg-a", IPv4Address("224.0.0.5"), IPv4Address(WEB_10), inbound=True, outbound=True),
        HostNat("leg-a", IPv4Address(WEB), IPv4Address("192.168.0.1"), inbound=True, outbound=True),
        HostNat("absent", IPv4Address(WEB), IPv4Address(WEB_10), inbound=True, outbound=True),
    ],
    ids=["outbound alone", "private public", "multicast public", "public private", "no link"],
)
def test_a_row_that_cannot_be_is_refused(table: Within, row: HostNat) -> None:
    with pytest.raises(DriverError):
        table(lambda driver: driver.put(row))
    assert table(lambda driver: driver.observe()) == {"leg-a": ROW, "leg-b": ROW_B}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_row_of_a_link_without_its_programs_is_not_observed_and_is_healed_by_put(host: Host, direction: str) -> None:
    run("ip", "netns", "exec", host.name, "tc", "filter", "del", "dev", "leg-a", direction)
    with inside(host.name):
        assert set(HostNats(host.guard).observe()) == {"leg-b"}
        HostNats(host.guard).put(ROW)
        assert HostNats(host.guard).observe(["leg-a"]) == {"leg-a": ROW}


def test_a_restarted_agent_finds_the_rows_and_forgets_those_of_vanished_links(host: Host) -> None:
    ip(host.name, "link del leg-b")
    with inside(host.name):
        host.guard = Guard(host.pins, host.cache)
        assert HostNats(host.guard).observe() == {"leg-a": ROW}
        assert len(list(host.guard.hostnats)) == len(list(host.guard.hostnat_counters)) == 1
    assert packets(host.guest_sends(from_a(GOOD))) == []  # not its source
    assert packets(host.guest_sends(from_a(tcp(WEB_10, PEER)))) == [hop(tcp(WEB, PEER))]


def test_a_new_link_does_not_inherit_the_row_of_an_old_one(host: Host) -> None:
    with inside(host.name):
        number = socket.if_nametoindex("leg-a")
    ip(host.name, "link del leg-a", f"link add leg-a index {number} type veth peer name other-end")
    with inside(host.name):
        host.guard.attach("leg-a")
        assert HostNats(host.guard).observe().keys() == {"leg-b"}
        assert LinkTraffics(host.guard).of(["leg-a"])["leg-a"].outbound_packets == 0
