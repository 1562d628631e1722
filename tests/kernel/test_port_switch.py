"""Ports pass from the central NAT to hostnat and back, under probes and TCP: CONVERSION.md, "Order of one switch".

Nothing is lost or doubled in that order. In the reversed one packets are lost, so the probes would show it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kernel.hosts import needs_root, until
from tests.kernel.nat_zone import INTERNET, Guest, Zone, zone

pytestmark = needs_root

FAST_S, SLOW_S = 0.001, 0.005
SETTLE = 100  # probes of each fast flow answered: longer than the worst transit to a gateway
ROUNDS = 3


@dataclass
class Flow:
    """UDP echoes of one sender to one target, numbered; and the answers as they came."""

    name: str
    probe: socket.socket
    every_s: float
    sent: int = 0
    answers: list[int] = field(default_factory=list)
    due: float = 0.0

    def send(self) -> None:
        with contextlib.suppress(OSError):  # an error about an earlier one: it counts as lost, if it is
            self.probe.send(self.sent.to_bytes(8, "big"))
        self.sent += 1

    def receive(self) -> None:
        with contextlib.suppress(OSError):
            self.answers.append(int.from_bytes(self.probe.recv(64), "big"))

    @property
    def lost(self) -> list[int]:
        return sorted(set(range(self.sent)) - set(self.answers))

    @property
    def doubled(self) -> list[int]:
        return sorted(number for number, times in Counter(self.answers).items() if times > 1)


class Probes:
    """Keeps all flows going, in a thread of its own."""

    def __init__(self, flows: list[Flow]) -> None:
        self.flows = flows
        self._by_socket = {flow.probe: flow for flow in flows}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        begun = time.monotonic()
        for flow in self.flows:
            flow.due = begun
        while not self._stopping.is_set():
            now = time.monotonic()
            for flow in self.flows:
                if flow.due <= now:
                    flow.send()
                    flow.due += flow.every_s
            self._receive(min(flow.due for flow in self.flows) - time.monotonic())
        ends = time.monotonic() + 0.5
        while any(flow.lost for flow in self.flows) and (left := ends - time.monotonic()) > 0:
            self._receive(left)

    def _receive(self, wait_s: float) -> None:
        ready, _, _ = select.select(list(self._by_socket), [], [], max(0.0, wait_s))
        for probe in ready:
            self._by_socket[probe].receive()

    def settle(self) -> None:
        """Wait until each flow was answered so much longer."""
        goals = {flow.name: flow.sent + max(1, round(SETTLE * FAST_S / flow.every_s)) for flow in self.flows}
        until(lambda: all(flow.answers and flow.answers[-1] >= goals[flow.name] for flow in self.flows), "settled")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        for flow in self.flows:
            flow.probe.close()

    def faults(self) -> dict[str, tuple[list[int], list[int]]]:
        """(lost, doubled) of each flow that has any."""
        return {flow.name: (flow.lost, flow.doubled) for flow in self.flows if flow.lost or flow.doubled}


def _probe(target: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    probe.connect((target, 7))
    probe.setblocking(False)
    return probe


def _stream(target: str) -> socket.socket:
    return socket.create_connection((target, 7), timeout=10)


def _answers(target: str) -> bool:
    with _probe(target) as probe:
        probe.setblocking(True)
        probe.settimeout(0.5)
        try:
            probe.send(b"there?")
            return probe.recv(64) == b"there?"
        except OSError:
            return False


@dataclass
class Village:
    """Guest `a` and its neighbours on NAT ports: `c` on the same hypervisor, `b` on the other one."""

    zone: Zone
    a: Guest
    b: Guest
    c: Guest
    probes: Probes
    streams: dict[str, socket.socket]

    def talk(self) -> None:
        """Every old connection still carries."""
        for name, stream in self.streams.items():
            stream.sendall(name.encode())
            assert stream.recv(64) == name.encode()


@pytest.fixture
def village(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    with zone(tmp_path, tmp_path_factory.getbasetemp() / "build") as made:
        a, c, b = made.guest(0, 5), made.guest(0, 6), made.guest(1, 5)
        r, s = made.guest(0, 7, routed=True), made.guest(1, 7, routed=True)
        world = made.internet.run
        for guest in (a, b, c, r, s):
            until(lambda guest=guest: world(lambda: _answers(str(guest.public))), f"{guest.public} answers")  # type: ignore[misc]
            until(lambda guest=guest: guest.inside(lambda: _answers(INTERNET)), "internet answers")  # type: ignore[misc]
        ways: list[tuple[str, Callable[[Callable[[], socket.socket]], socket.socket], str, float]] = [
            ("internet → a", world, str(a.public), FAST_S),
            ("a → internet", a.inside, INTERNET, FAST_S),
            ("b → a, other host", b.inside, str(a.public), FAST_S),
            ("c → a, same host", c.inside, str(a.public), FAST_S),
            ("a → b, other host", a.inside, str(b.public), SLOW_S),
            ("a → c, same host", a.inside, str(c.public), SLOW_S),
            ("a → itself", a.inside, str(a.public), SLOW_S),
            ("a → b by 10.x", a.inside, str(b.private), SLOW_S),
            ("c → a by 10.x", c.inside, str(a.private), SLOW_S),
            ("routed → a, same host", r.inside, str(a.public), SLOW_S),
            ("a → routed, same host", a.inside, str(r.public), SLOW_S),
            ("routed → a, other host", s.inside, str(a.public), SLOW_S),
            ("a → routed, other host", a.inside, str(s.public), SLOW_S),
            ("internet → c", world, str(c.public), SLOW_S),
        ]
        streams = {name: enter(lambda to=to: _stream(to)) for name, enter, to, _ in ways}  # type: ignore[misc]
        flows = [Flow(name, enter(lambda to=to: _probe(to)), every_s) for name, enter, to, every_s in ways]  # type: ignore[misc]
        probes = Probes(flows)
        try:
            yield Village(made, a, b, c, probes, streams)
        finally:
            probes.stop()
            for stream in streams.values():
                stream.close()


def order(guests: list[Guest], *, outbound: bool = False, sequence: int = 0) -> None:
    """One delta a hypervisor."""
    for at in {id(guest.hypervisor): guest.hypervisor for guest in guests}.values():
        here = [guest for guest in guests if guest.hypervisor is at]
        at.order(*[guest.hostnat(outbound=outbound, sequence=sequence) for guest in here])


def prepare(village: Village, guests: list[Guest], sequence: int) -> None:
    order(guests)
    order(guests, sequence=sequence)
    for guest in guests:
        village.zone.announce(guest)
    village.probes.settle()


def switch(village: Village, guests: list[Guest], sequence: int) -> None:
    order(guests, outbound=True, sequence=sequence)
    village.probes.settle()
    village.zone.gateway.order(gone=tuple(entry for guest in guests for entry in guest.mapping()))
    village.probes.settle()


def roll_back(village: Village, guests: list[Guest], sequence: int) -> None:
    village.zone.gateway.order(*[entry for guest in guests for entry in guest.mapping()])
    order(guests, sequence=sequence)
    village.probes.settle()
    for guest in guests:
        village.zone.withdraw(guest)
    order(guests)
    village.probes.settle()
    for guest in guests:
        guest.hypervisor.order(gone=(guest.hostnat(),))
    village.probes.settle()


def rewritten(guest: Guest) -> tuple[int, int]:
    """Packets at its own link, in and out."""
    seen = guest.hypervisor.traffic(guest.port)
    return seen.inbound_packets, seen.outbound_packets


@pytest.mark.parametrize("together", [1, 3], ids=["one port", "three ports"])
def test_ports_pass_to_hostnat_and_back_without_loss(village: Village, together: int) -> None:
    guests = [village.a, village.b, village.c][:together]
    gateway = village.zone.gateway
    for sequence in range(1, ROUNDS + 1):
        prepare(village, guests, sequence)
        village.talk()
        switch(village, guests, sequence)
        direct, by_gateway = [rewritten(guest) for guest in guests], gateway.translated()
        village.probes.settle()
        village.talk()
        for guest, (inbound, outbound) in zip(guests, direct, strict=True):
            assert rewritten(guest)[0] > inbound, "at its own link after the switch"
            assert rewritten(guest)[1] > outbound
        if together == 3:
            assert gateway.translated() == by_gateway, "no packet goes by the gateway any more"
        roll_back(village, guests, sequence)
        village.talk()
        central, by_gateway = [rewritten(guest) for guest in guests], gateway.translated()
        village.probes.settle()
        assert [rewritten(guest) for guest in guests] == central, "at the gateway only, rolled back"
        assert gateway.translated() > by_gateway

    village.probes.stop()
    sent = {flow.name: flow.sent for flow in village.probes.flows}
    print(f"{ROUNDS} switches of {together} and back: {sent}")
    assert village.probes.faults() == {}
    for hypervisor in village.zone.hypervisors:
        assert hypervisor.guard.counters()["dropped_not_its_address"] == 0
    assert min(sent.values()) >= ROUNDS * 6 * SETTLE * FAST_S / SLOW_S


def test_the_reversed_order_loses_packets(village: Village) -> None:
    """The control: gateways off before the outbound rewrite is on."""
    guests = [village.a]
    prepare(village, guests, 1)
    village.zone.gateway.order(gone=village.a.mapping())
    outward = next(flow for flow in village.probes.flows if flow.name == "a → internet")
    seen = outward.sent
    until(lambda: outward.sent > seen + SETTLE, "probes that no gateway translates")
    order(guests, outbound=True, sequence=1)
    village.probes.settle()

    village.probes.stop()
    assert len(outward.lost) >= SETTLE - 1
