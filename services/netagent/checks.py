"""Health checks: an edge asks who holds an address, as long as the entry is there, and tells when the answer changes.

They are held like rows of a kernel's table: read back means that the check runs. One thread does all of them, for the
network namespace that the first was put in. Their source is that of probes, which guards let answer.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from dataplane.driver import DriverError
from dataplane.entries import Check, CheckProtocol
from services.netagent.probes import FAMILIES, Pace, echo_request, echo_socket, echoed
from services.netagent.wire import CHECK_TIMEOUT_MS, PROBES_PER_SECOND, CheckState, Condition

TOKEN_BYTES = 8
NUMBER_BYTES = 4
ABORT = b"\1\0\0\0\0\0\0\0"  # struct linger: closing sends RST, and nothing stays behind

Address = IPv4Address | IPv6Address


@dataclass
class Tally:
    """What the probes of one check have come to. Pure: moments are seconds of one monotonic clock."""

    threshold: int
    hold_down_s: float
    began: float
    condition: Condition = Condition.UNKNOWN
    missed: int = 0
    since: float = field(init=False)

    def __post_init__(self) -> None:
        self.since = self.began

    def answered(self, now: float) -> bool:
        """Whether that changes its condition."""
        self.missed = 0
        return self._turn(Condition.UP, now)

    def lost(self, now: float) -> bool:
        """Whether that changes its condition: never before the hold-down is over, unless it had been up."""
        self.missed += 1
        started = self.condition is Condition.UP or now >= self.began + self.hold_down_s
        return self.missed >= self.threshold and started and self._turn(Condition.DOWN, now)

    def _turn(self, condition: Condition, now: float) -> bool:
        if condition is self.condition:
            return False
        self.condition, self.since = condition, now
        return True


class Running:
    """One check, and its probe under way."""

    def __init__(self, row: Check, now: float) -> None:
        self.row = row
        self.tally = Tally(row.threshold, row.hold_down_s, now)
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self.interval_s = row.interval_ms / 1000
        self.timeout_s = min(row.interval_ms, CHECK_TIMEOUT_MS) / 1000
        self.number = 0  # of probes sent
        self.awaits = False  # an answer to the last one
        self.connection: socket.socket | None = None
        self.stopped = False

    def state(self, now: float) -> CheckState:
        return CheckState(
            address=self.row.address,
            holder=self.row.holder,
            condition=self.tally.condition,
            missed=self.tally.missed,
            since_ms=round((now - self.tally.since) * 1000),
        )


class Checks:
    """Driver of a node's health checks, and what they have found. Thread-safe."""

    entry = Check

    def __init__(
        self,
        changed: Callable[[Address], None],
        source: IPv4Address | None = None,
        source_ipv6: IPv6Address | None = None,
    ) -> None:
        """`changed` is told the address of whose holder something new was found."""
        self._changed = changed
        self._sources = {4: source, 6: source_ipv6}
        self._pace = Pace(PROBES_PER_SECOND)
        self._lock = threading.Lock()
        self._running: dict[Address, Running] = {}
        self._by_token: dict[bytes, Running] = {}
        self._connecting: dict[int, Running] = {}
        self._echoes: dict[int, socket.socket] = {}  # by IP version
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._news: dict[Address, None] = {}
        self._events = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._events.register(self._wake, select.EPOLLIN)
        self._thread: threading.Thread | None = None

    def states(self) -> list[CheckState]:
        now = time.monotonic()
        with self._lock:
            return [running.state(now) for running in self._running.values()]

    # --- driver ------------------------------------------------------------------------------------------------------

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Check]:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return {}
            wanted = list(self._running) if keys is None else [key for key in keys if key in self._running]
            return {key: self._running[key].row for key in wanted}  # type: ignore[index]  # of addresses

    def put(self, entry: Check) -> None:
        with self._lock:
            known = self._running.get(entry.address)
            if known is None or known.row != entry:
                self._open(entry)
                if known is not None:
                    self._stop(known)
                self._start(Running(entry, time.monotonic()))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="health-checks", daemon=True)
                self._thread.start()
        os.eventfd_write(self._wake, 1)

    def drop(self, entry: Check) -> None:
        with self._lock:
            known = self._running.pop(entry.address, None)
            if known is not None:
                self._stop(known)

    def _open(self, entry: Check) -> None:
        version = entry.address.version
        if entry.protocol is CheckProtocol.ICMP and version not in self._echoes:
            try:
                opened = echo_socket(FAMILIES[version], self._sources[version])
            except OSError as refused:
                raise DriverError("check.socket", f"this node cannot send echoes: {refused}") from refused
            self._echoes[version] = opened
            self._events.register(opened, select.EPOLLIN)

    def _start(self, running: Running) -> None:
        self._running[running.row.address] = running
        self._by_token[running.token] = running
        self._at(time.monotonic(), lambda now: self._probe(running, now))

    def _stop(self, running: Running) -> None:
        running.stopped = True
        self._by_token.pop(running.token, None)
        self._hang_up(running)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    heapq.heappop(self._due)[2](now)
                wait_s = max(0.0, self._due[0][0] - now) if self._due else None
                news, self._news = self._news, {}
            for address in news:
                self._changed(address)
            happened = self._events.poll(0 if news else wait_s)
            with self._lock:
                now = time.monotonic()
                for descriptor, _ in happened:
                    self._hear(descriptor, now)

    def _at(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), act))

    def _probe(self, running: Running, now: float) -> None:
        """Send the next probe, or a little later if there are too many; it is lost when its time is over."""
        if running.stopped:
            return
        wait_s = self._pace.wait_s(now)
        if wait_s:
            self._at(now + wait_s, lambda now: self._probe(running, now))
            return
        running.number += 1
        running.awaits = True
        number = running.number
        with contextlib.suppress(OSError):  # no route: lost like on any other
            if running.row.protocol is CheckProtocol.ICMP:
                self._ask(running)
            else:
                self._connect(running)
        self._at(now + running.timeout_s, lambda now: self._give_up(running, number, now))
        self._at(now + running.interval_s, lambda now: self._probe(running, now))

    def _ask(self, running: Running) -> None:
        address = running.row.address
        payload = running.token + running.number.to_bytes(NUMBER_BYTES, "big")
        self._echoes[address.version].sendto(echo_request(FAMILIES[address.version], payload), (str(address), 0))

    def _connect(self, running: Running) -> None:
        address = running.row.address
        made = socket.socket(FAMILIES[address.version].number, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        running.connection = made
        self._connecting[made.fileno()] = running
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        source = self._sources[address.version]
        if source is not None:
            made.bind((str(source), 0))
        self._events.register(made, select.EPOLLOUT)
        refused = made.connect_ex((str(address), running.row.port))
        if refused not in (0, errno.EINPROGRESS):
            self._hang_up(running)

    def _hang_up(self, running: Running) -> None:
        if running.connection is not None:
            del self._connecting[running.connection.fileno()]
            running.connection.close()
            running.connection = None

    def _give_up(self, running: Running, number: int, now: float) -> None:
        if running.number == number and not running.stopped:
            self._hang_up(running)
            self._settle(running, answered=False, now=now)

    def _settle(self, running: Running, *, answered: bool, now: float) -> None:
        if running.awaits:
            running.awaits = False
            if running.tally.answered(now) if answered else running.tally.lost(now):
                self._news[running.row.address] = None

    def _hear(self, descriptor: int, now: float) -> None:
        if descriptor == self._wake:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        elif descriptor in self._connecting:
            running = self._connecting[descriptor]
            accepted = _accepted(running.connection) if running.connection is not None else None
            if accepted is not None:
                self._hang_up(running)
                self._settle(running, answered=accepted, now=now)
        for each in self._echoes.values():
            if each.fileno() == descriptor:
                for payload in echoed(each):
                    self._answer(payload, now)

    def _answer(self, payload: bytes, now: float) -> None:
        running = self._by_token.get(payload[:TOKEN_BYTES])
        if running is not None and payload[TOKEN_BYTES:] == running.number.to_bytes(NUMBER_BYTES, "big"):
            self._settle(running, answered=True, now=now)


def _accepted(connection: socket.socket) -> bool | None:
    """None: not decided. (An event may be that of an earlier connection, whose descriptor this one was given.)"""
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return False
    try:
        connection.getpeername()
    except OSError:
        return None
    return True
