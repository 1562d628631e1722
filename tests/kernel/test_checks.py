"""Standing health checks with real packets: guests behind their guards, and hosts that fall silent."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from queue import Empty, Queue
from typing import NamedTuple
from uuid import UUID

import pytest

from dataplane.entries import Check, CheckProtocol
from services.netagent.checks import Checks
from services.netagent.wire import Condition
from tests.kernel.hosts import Host, needs_root, until
from tests.kernel.nat_zone import PROBE_SOURCES, Guest, Zone
from tests.kernel.test_probes import FAR, NEAR, ROUTED_6, guests, nat_zone, pair

pytestmark = needs_root

__all__ = ["guests", "nat_zone", "pair"]

ONE, TWO = UUID(int=1), UUID(int=2)
FAR_6, NEAR_6 = "2001:db8:f::2", "2001:db8:f::1"
LATE_S = 1.0  # on a machine that has much else to do


def check(address: str, protocol: CheckProtocol = CheckProtocol.ICMP, **also: int) -> Check:
    port = 8080 if protocol is CheckProtocol.TCP else 0
    limits = {"interval_ms": 50, "threshold": 3, "hold_down_s": 0, **also}
    return Check(ip_address(address), ONE, protocol, port, **limits)


class Edge(NamedTuple):
    """Checks of a host, and the addresses it told news of."""

    host: Host
    checks: Checks
    news: Queue[IPv4Address | IPv6Address]

    def put(self, *rows: Check) -> None:
        for row in rows:
            self.host.run(partial(self.checks.put, row))

    def conditions(self) -> dict[str, Condition]:
        return {str(state.address): state.condition for state in self.checks.states()}

    def become(self, address: str, condition: Condition) -> None:
        """Insist that it is told."""
        until(lambda: self.conditions()[address] is condition, f"{address} is {condition}")
        assert str(self.news.get(timeout=5)) == address

    def quiet(self) -> bool:
        with contextlib.suppress(Empty):
            self.news.get_nowait()
            return False
        return True


def on(host: Host, *sources: IPv4Address | IPv6Address) -> Edge:
    news: Queue[IPv4Address | IPv6Address] = Queue()
    return Edge(host, Checks(news.put, *sources), news)  # type: ignore[arg-type]  # IPv4, then IPv6


@contextlib.contextmanager
def listening(inside: Callable[[Callable[[], socket.socket]], socket.socket]) -> Iterator[None]:
    """A server on port 8080 of both families, whose kernel accepts for it."""
    server = inside(
        lambda: socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    )
    try:
        yield
    finally:
        server.close()


@pytest.fixture
def both(pair: tuple[Host, Host]) -> tuple[Host, Host]:
    near, far = pair
    for host, link, address in ((near, "near0", NEAR_6), (far, "far0", FAR_6)):
        host.ip("addr", "add", f"{address}/64", "dev", link, "nodad")
    return pair


# --- through guards --------------------------------------------------------------------------------------------------


def test_guests_answer_the_checks_of_the_edge_by_echo_and_by_tcp(
    nat_zone: Zone, guests: tuple[Guest, Guest, Guest]
) -> None:
    """Not by TCP behind the central NAT: that answer comes from the private address, past the gateway."""
    nat, hostnat, routed = guests
    edge = on(nat_zone.edge, *PROBE_SOURCES)
    with listening(hostnat.inside), listening(routed.inside):
        edge.put(check(str(nat.public)))
        edge.put(*(check(str(guest.public), CheckProtocol.TCP) for guest in (hostnat, routed)))
        edge.put(check(ROUTED_6, CheckProtocol.TCP))
        up = {str(guest.public): Condition.UP for guest in guests} | {ROUTED_6: Condition.UP}
        until(lambda: edge.conditions() == up, "all are up")
        before = routed.hypervisor.guard.counters()["dropped_host_plane"]
        assert routed.hypervisor.guard.counters()["passed_from_guest"] > 0

    until(
        lambda: (
            edge.conditions() == up | dict.fromkeys([str(hostnat.public), str(routed.public), ROUTED_6], Condition.DOWN)
        ),
        "nobody listens any more",
    )
    assert routed.hypervisor.guard.counters()["dropped_host_plane"] > before, "the guests say that they refuse, in vain"
    for state in edge.checks.states():
        edge.checks.drop(check(str(state.address)))
    assert edge.checks.states() == []


# --- falling silent --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", CheckProtocol)
@pytest.mark.parametrize("address", [FAR, FAR_6])
def test_who_falls_silent_is_found_down_in_time_and_up_again(
    both: tuple[Host, Host], protocol: CheckProtocol, address: str
) -> None:
    near, far = both
    edge = on(near)
    with listening(far.run):
        edge.put(check(address, protocol, interval_ms=100, threshold=3))
        edge.become(address, Condition.UP)

        far.ip("link", "set", "far0", "down")
        fell = time.monotonic()
        edge.become(address, Condition.DOWN)
        took = time.monotonic() - fell
        print(f"{protocol} {address}: down after {took * 1000:.0f} ms, bound 400 ms")
        assert 0.2 < took < 0.4 + LATE_S
        (state,) = edge.checks.states()
        assert (state.holder, state.missed >= 3, state.since_ms < 1000) == (ONE, True, True)

        far.ip("link", "set", "far0", "up")
        if address == FAR_6:
            far.ip("addr", "replace", f"{FAR_6}/64", "dev", "far0", "nodad")
        edge.become(address, Condition.UP)
    assert edge.quiet()


def test_who_refuses_connections_is_down_though_its_host_answers(both: tuple[Host, Host]) -> None:
    edge = on(both[0])
    edge.put(check(FAR, CheckProtocol.TCP), check(FAR_6))

    until(lambda: edge.conditions() == {FAR: Condition.DOWN, FAR_6: Condition.UP}, "one is down, the other up")


def test_another_holder_begins_anew_and_has_its_time_to_start(both: tuple[Host, Host]) -> None:
    near, far = both
    edge = on(near)
    far.ip("link", "set", "far0", "down")
    edge.put(check(FAR))
    edge.become(FAR, Condition.DOWN)

    edge.put(replace(check(FAR, hold_down_s=3600), holder=TWO))

    until(lambda: edge.checks.states()[0].missed > 5, "it is asked, and does not answer yet")
    assert edge.conditions() == {FAR: Condition.UNKNOWN}
    far.ip("link", "set", "far0", "up")
    edge.become(FAR, Condition.UP)
    assert [state.holder for state in edge.checks.states()] == [TWO]


def test_a_check_is_read_back_while_it_runs(both: tuple[Host, Host]) -> None:
    edge = on(both[0])
    row = check(FAR)
    assert edge.checks.observe() == {}

    edge.put(row, row)
    assert edge.checks.observe() == edge.checks.observe([row.key, ip_address(FAR_6)]) == {row.key: row}
    edge.become(FAR, Condition.UP)
    edge.put(row)
    assert edge.conditions() == {FAR: Condition.UP}, "put again, it goes on"

    edge.checks.drop(row)
    edge.checks.drop(row)
    assert edge.checks.observe() == {}


def test_a_hundred_checks_keep_their_time(both: tuple[Host, Host]) -> None:
    """Of which all but one answer; N = 100 at 10 a second each."""
    near, far = both
    addresses = [f"198.18.0.{number}" for number in range(1, 101)]
    for address in addresses[1:]:
        far.ip("addr", "add", f"{address}/32", "dev", "far0")
    edge = on(near)

    edge.put(*(check(address, interval_ms=100) for address in addresses))

    wanted = dict.fromkeys(addresses, Condition.UP) | {addresses[0]: Condition.DOWN}
    until(lambda: edge.conditions() == wanted, "those that answer are up")
    assert NEAR not in edge.conditions()
