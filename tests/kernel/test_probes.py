"""Health checks with real packets: an edge asks guests, and hosts that answer what they should not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_interface

import pytest

from services.netagent import wire
from services.netagent.errors import CannotProbe
from services.netagent.probes import RUNS, Prober
from tests import packets as p
from tests.kernel.hosts import Host, hosts, needs_root, until
from tests.kernel.nat_zone import PROBE_SOURCES, Guest, Zone, zone

pytestmark = needs_root

NAT_6, ROUTED_6 = "2001:db8:1:5::10", "2001:db8:1:7::10"


def asked(*targets: str, size: int = 64, count: int = 1, interval_ms: int = 5, timeout_ms: int = 500) -> wire.Probes:
    wanted = [wire.ProbeTarget(address=ip_address(target), size=size) for target in targets]
    return wire.Probes(targets=wanted, count=count, interval_ms=interval_ms, timeout_ms=timeout_ms)


def received(results: list[wire.ProbeResult]) -> dict[str, int]:
    return {str(result.address): result.received for result in results}


# --- guests ----------------------------------------------------------------------------------------------------------


def with_ipv6(zone: Zone, guest: Guest, host: str) -> None:
    """The guest's /64 is routed to it, as a legacy or a flexible one is."""
    prefix = IPv6Network((host, 64), strict=False)
    guest.hypervisor.order(wire.Address(prefix, guest.port, ip_interface(f"{host}/64"), 1))
    zone.edge.ip("-6", "route", "replace", str(prefix), "via", f"fd00:31:{guest.hypervisor.number}::2")


@pytest.fixture(scope="module")
def nat_zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    with zone(tmp_path_factory.mktemp("zone"), tmp_path_factory.getbasetemp() / "build") as made:
        for source in PROBE_SOURCES:
            made.edge.ip("addr", "add", str(source), "dev", "lo", *(["nodad"] if source.version == 6 else []))
        for link in ("gw-in", "gw-out"):  # the edge's questions come back to it by the gateway
            made.edge.run(lambda link=link: made.edge.kernel.sysctl(f"ipv4/conf/{link}/accept_local", 1))  # type: ignore[misc]
        for at in made.hypervisors:
            made.edge.ip("addr", "add", f"fd00:31:{at.number}::1/64", "dev", f"hv{at.number}", "nodad")
            at.host.ip("addr", "add", f"fd00:31:{at.number}::2/64", "dev", "up0", "nodad")
            at.host.ip("-6", "route", "add", "default", "via", f"fd00:31:{at.number}::1")
            at.host.ip("-6", "rule", "add", "pref", "100", "lookup", "101")
        yield made


@pytest.fixture(scope="module")
def guests(nat_zone: Zone) -> tuple[Guest, Guest, Guest]:
    """On a NAT port; on one whose both rewrites are on, at its own hypervisor; and a routed one."""
    nat, hostnat, routed = nat_zone.guest(0, 5), nat_zone.guest(0, 6), nat_zone.guest(0, 7, routed=True)
    hostnat.hypervisor.order(hostnat.hostnat(outbound=True, sequence=1))
    nat_zone.announce(hostnat)
    nat_zone.gateway.order(gone=hostnat.mapping())
    with_ipv6(nat_zone, nat, NAT_6)
    with_ipv6(nat_zone, routed, ROUTED_6)
    return nat, hostnat, routed


def probing(zone: Zone, request: wire.Probes) -> list[wire.ProbeResult]:
    return zone.edge.run(lambda: Prober(*PROBE_SOURCES).run(request))


def test_guests_answer_whatever_the_mode_of_their_ports(nat_zone: Zone, guests: tuple[Guest, Guest, Guest]) -> None:
    addresses = [str(guest.public) for guest in guests] + [NAT_6, ROUTED_6]
    all_answer = dict.fromkeys(addresses, 3)
    until(lambda: received(probing(nat_zone, asked(*addresses, count=3))) == all_answer, "the guests answer")
    before = [at.guard.counters() for at in nat_zone.hypervisors]

    found = probing(nat_zone, asked(*addresses, size=1500, count=3))

    assert received(found) == all_answer
    assert [(result.sent, result.size) for result in found] == [(3, 1500)] * 5
    assert all(result.rtt_us and 0 < result.rtt_us[0] <= result.rtt_us[1] < 500_000 for result in found)
    for at, counted in zip(nat_zone.hypervisors, before, strict=True):
        assert at.guard.counters()["dropped_host_plane"] == counted["dropped_host_plane"]
        assert at.guard.counters()["dropped_not_its_address"] == 0


def test_guests_do_not_answer_another_address_of_the_edge(nat_zone: Zone, guests: tuple[Guest, Guest, Guest]) -> None:
    """What makes the addresses of the probes special."""
    addresses = [str(guest.public) for guest in guests] + [NAT_6, ROUTED_6]
    plain = nat_zone.edge.run(lambda: Prober().run(asked(*addresses, timeout_ms=200)))

    assert received(plain) == dict.fromkeys(addresses, 0)


def test_a_hole_in_the_mtu_shows(nat_zone: Zone, guests: tuple[Guest, Guest, Guest]) -> None:
    addresses = [str(guests[2].public), ROUTED_6]
    fabric = nat_zone.hypervisors[0].host
    fabric.ip("link", "set", "up0", "mtu", "1400")
    try:
        assert received(probing(nat_zone, asked(*addresses, size=1500))) == dict.fromkeys(addresses, 0)
        assert received(probing(nat_zone, asked(*addresses, size=1400))) == dict.fromkeys(addresses, 1)
    finally:
        fabric.ip("link", "set", "up0", "mtu", "1500")


# --- hosts of the test's hand ----------------------------------------------------------------------------------------

NEAR, FAR = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts and a link, which also leads to 198.18.0.0/15."""
    with hosts("near", "far") as (edge, far):
        edge.ip("link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", far.name)
        for host, link, address in ((edge, "near0", NEAR), (far, "far0", FAR)):
            host.ip("addr", "add", f"{address}/24", "dev", link)
            host.ip("link", "set", link, "up")
        edge.ip("route", "add", "198.18.0.0/15", "via", FAR)
        yield edge, far


@contextlib.contextmanager
def answering(far: Host, answer: Callable[[str, bytes], tuple[str, bytes]]) -> Iterator[None]:
    """The far host answers an echo to an address with a payload as `answer` says: from which address, with what."""
    far.ip("addr", "add", "198.18.0.0/15", "dev", "lo")  # all of it is its own
    far.run(lambda: far.kernel.sysctl("ipv4/icmp_echo_ignore_all", 1))
    echoes = far.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    heard = far.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    heard.settimeout(0.05)
    ended = threading.Event()

    def answer_all() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                packet = heard.recv(2048)
                if packet[20] == 8:
                    source, payload = answer(str(IPv4Address(packet[16:20])), packet[28:])
                    reply = p.icmp(0, 0, int.from_bytes(packet[24:28], "big"), payload)
                    echoes.sendto(p.ipv4(source, NEAR, p.ICMP, reply), (NEAR, 0))

    thread = threading.Thread(target=answer_all)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        heard.close()
        echoes.close()


def test_an_answer_is_known_by_its_token_and_not_by_its_sender(pair: tuple[Host, Host]) -> None:
    edge, far = pair
    forged, elsewhere, early = "198.18.0.1", "198.18.0.2", "198.18.0.3"

    def answer(address: str, payload: bytes) -> tuple[str, bytes]:
        if address == forged:
            return address, bytes((payload[0] ^ 1,)) + payload[1:]
        if address == early:  # to a question that was not asked yet
            return address, payload[:8] + b"\0\x09" + payload[10:]
        return "10.1.0.5", payload

    with answering(far, answer):
        found = edge.run(lambda: Prober().run(asked(forged, elsewhere, early, count=4, timeout_ms=300)))

    assert received(found) == {forged: 0, elsewhere: 4, early: 0}


def test_a_thousand_targets_of_which_one_answers_are_over_in_time(pair: tuple[Host, Host]) -> None:
    edge, _ = pair
    silent = [str(IPv4Address("198.18.0.0") + number) for number in range(500)]
    nowhere = [str(IPv4Address("203.0.113.0") + number) for number in range(499)]  # no route
    request = asked(*silent, FAR, *nowhere, timeout_ms=400)
    begun = time.monotonic()

    found = edge.run(lambda: Prober().run(request))

    took = time.monotonic() - begun
    print(f"1,000 targets: {took:.2f} s, at most {request.bound_s:.2f} s")
    assert 1000 / wire.PROBES_PER_SECOND - 0.01 < took < request.bound_s
    assert sum(result.received for result in found) == 1
    assert received(found)[FAR] == 1
    assert {result.sent for result in found} == {1}
    assert {result.rtt_us for result in found if not result.received} == {None}


def test_runs_share_the_pace_and_too_many_are_refused(pair: tuple[Host, Host]) -> None:
    edge, _ = pair
    prober = Prober()
    silent = asked(*[str(IPv4Address("198.18.0.0") + number) for number in range(100)], timeout_ms=1000)
    ready = threading.Barrier(RUNS + 1)

    def run() -> list[wire.ProbeResult] | CannotProbe:
        edge._enter()
        ready.wait()
        try:
            return prober.run(silent)
        except CannotProbe as refused:
            return refused

    begun = time.monotonic()
    with ThreadPoolExecutor(RUNS + 1) as threads:
        outcomes = [future.result() for future in [threads.submit(run) for _ in range(RUNS + 1)]]
    took = time.monotonic() - begun

    sent = sum(result.sent for outcome in outcomes if isinstance(outcome, list) for result in outcome)
    assert [outcome.retryable for outcome in outcomes if isinstance(outcome, CannotProbe)] == [True]
    assert sent == 100 * RUNS
    assert took - 1 > 100 * RUNS / wire.PROBES_PER_SECOND - 0.01


def test_a_node_without_the_probe_address_says_so(pair: tuple[Host, Host]) -> None:
    edge, _ = pair
    with pytest.raises(CannotProbe, match="Cannot assign requested address"):
        edge.run(lambda: Prober(IPv4Address("172.31.254.1")).run(asked(FAR)))
