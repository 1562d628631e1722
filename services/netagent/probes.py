"""Health checks: echoes sent to guests from this node, many at a time, and which of them came back.

An answer is known by the random token in its payload, never by its sender: a guest behind the central NAT is asked at
its public address and answers from its private one. Sockets are the kernel's own for echoes (icmp(7), "ping sockets"):
they need no right but `net.ipv4.ping_group_range`, and hear the answers to their own questions alone.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Self

from services.netagent.errors import CannotProbe
from services.netagent.wire import PROBES_PER_SECOND, ProbeResult, Probes, ProbeTarget

RUNS = 8  # at once
LAG_S = 0.005  # how much of a pause is made up for: a wait ends up to a millisecond late
TOKEN_BYTES = 8
ANSWER_BYTES = 10_000
ANSWERS_AT_ONCE = 64  # a guest that answers without end must not keep us from sending, nor from ending
RECEIVE_BUFFER_BYTES = 1 << 20

_ECHO = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence; the kernel fills in those between
_NUMBER = struct.Struct("!H")
PMTUDISC_PROBE = 3  # DF, whatever path MTU the kernel remembers


class Family(NamedTuple):
    """What differs between IPv4 and IPv6."""

    number: int
    protocol: int
    echo_request: int  # RFC 792, RFC 4443
    header_bytes: int
    mtu_discover: tuple[int, int]  # level and name of the option


FAMILIES = {
    4: Family(socket.AF_INET, socket.IPPROTO_ICMP, 8, 20, (socket.IPPROTO_IP, 10)),
    6: Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 40, (socket.IPPROTO_IPV6, 23)),
}


class Prober:
    """Sends from `source` and `source_ipv6`, addresses of this node, or from what the kernel chooses. Thread-safe.

    All runs together send no more than PROBES_PER_SECOND.
    """

    def __init__(self, source: IPv4Address | None = None, source_ipv6: IPv6Address | None = None) -> None:
        self._sources = {4: source, 6: source_ipv6}
        self._pace = Pace(PROBES_PER_SECOND)
        self._runs = threading.BoundedSemaphore(RUNS)

    def run(self, asked: Probes) -> list[ProbeResult]:
        """Ask every target, and wait for answers; a result each, in the order of the targets.

        As soon as all have answered, and within `asked.bound_s`. A probe to an address that has no route is lost like
        any other. Raises CannotProbe.
        """
        if not self._runs.acquire(blocking=False):
            raise CannotProbe(f"{RUNS} runs of probes are under way; try again")
        try:
            with Run(asked, self._sources, self._pace) as run:
                return run.results()
        except OSError as refused:
            raise CannotProbe(f"this node cannot send probes: {refused}") from refused
        finally:
            self._runs.release()


class Pace:
    """Lets so many pass in a second. Thread-safe."""

    def __init__(self, per_second: int) -> None:
        self._every_s = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait_s(self, now: float) -> float:
        """0: one may pass now, and is counted; else ask again in so many seconds."""
        with self._lock:
            self._next = max(self._next, now - LAG_S)
            if self._next > now:
                return self._next - now
            self._next += self._every_s
            return 0.0


class Asked:
    """One target, and how it went: the moment each probe left, by number, and the round trips of those answered."""

    def __init__(self, target: ProbeTarget, token: bytes) -> None:
        self.target = target
        self.sent_at: list[float] = []
        self.rtt_s: dict[int, float] = {}
        self._token = token

    def next_message(self) -> bytes:
        """All of the next probe behind the IP header."""
        family = FAMILIES[self.target.address.version]
        message = echo_request(family, self._token + _NUMBER.pack(len(self.sent_at)))
        return message.ljust(self.target.size - family.header_bytes, b"\0")

    def result(self) -> ProbeResult:
        took = [round(seconds * 1e6) for seconds in self.rtt_s.values()]
        return ProbeResult(
            address=self.target.address,
            size=self.target.size,
            sent=len(self.sent_at),
            received=len(took),
            rtt_us=(min(took), round(statistics.median(took))) if took else None,
        )


class Run:
    """One request's probes, in the calling thread and its network namespace. Raises OSError where it cannot send."""

    def __init__(self, asked: Probes, sources: dict[int, IPv4Address | IPv6Address | None], pace: Pace) -> None:
        self._asked = asked
        self._pace = pace
        self._timeout_s = asked.timeout_ms / 1000
        tokens = {secrets.token_bytes(TOKEN_BYTES): target for target in asked.targets}
        self._by_token = {token: Asked(target, token) for token, target in tokens.items()}
        self._missing = len(asked.targets) * asked.count
        self._sockets: dict[int, socket.socket] = {}
        self._poll = select.poll()
        try:
            for version in {target.address.version for target in asked.targets}:
                self._sockets[version] = echo_socket(FAMILIES[version], sources[version])
                self._poll.register(self._sockets[version], select.POLLIN)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets.values():
            each.close()

    def results(self) -> list[ProbeResult]:
        ends = time.monotonic() + self._asked.sending_s
        for due, probe in self._schedule(time.monotonic()):
            if not self._until_due(due, ends):
                break
            self._send(probe)
        ends = time.monotonic() + self._timeout_s
        while self._missing and (left := ends - time.monotonic()) > 0:
            self._receive(left)
        return [probe.result() for probe in self._by_token.values()]

    def _schedule(self, begun: float) -> Iterator[tuple[float, Asked]]:
        for number in range(self._asked.count):
            for probe in self._by_token.values():
                yield begun + number * self._asked.interval_ms / 1000, probe

    def _until_due(self, due: float, ends: float) -> bool:
        """Whether the next probe may leave, which it must then."""
        while (now := time.monotonic()) < ends:
            wait_s = due - now if due > now else self._pace.wait_s(now)
            if not wait_s:
                self._receive(0)
                return True
            self._receive(wait_s)
        return False

    def _send(self, probe: Asked) -> None:
        address, message = probe.target.address, probe.next_message()
        probe.sent_at.append(time.monotonic())
        with contextlib.suppress(OSError):  # no route, or too much for the first link: lost like on any other
            self._sockets[address.version].sendto(message, (str(address), 0))

    def _receive(self, wait_s: float) -> None:
        """What has come, and what comes first within `wait_s`."""
        if not self._poll.poll(wait_s * 1000):
            return
        for each in self._sockets.values():
            for payload in echoed(each):
                self._note(payload, time.monotonic())

    def _note(self, payload: bytes, now: float) -> None:
        probe = self._by_token.get(payload[:TOKEN_BYTES])
        if probe is None or len(payload) < TOKEN_BYTES + _NUMBER.size:
            return
        (number,) = _NUMBER.unpack_from(payload, TOKEN_BYTES)
        if number >= len(probe.sent_at) or number in probe.rtt_s:
            return
        took = now - probe.sent_at[number]
        if took <= self._timeout_s:
            probe.rtt_s[number] = took
            self._missing -= 1


def echo_request(family: Family, payload: bytes) -> bytes:
    """All of an echo behind the IP header."""
    return _ECHO.pack(family.echo_request, 0, 0, 0, 0) + payload


def echoed(asked: socket.socket) -> Iterator[bytes]:
    """The payloads of answers that have come."""
    with contextlib.suppress(OSError):  # nothing more
        for _ in range(ANSWERS_AT_ONCE):
            yield asked.recv(ANSWER_BYTES)[_ECHO.size :]


def echo_socket(family: Family, source: IPv4Address | IPv6Address | None) -> socket.socket:
    """The kernel's own for echoes, non-blocking. Raises OSError."""
    made = socket.socket(family.number, socket.SOCK_DGRAM, family.protocol)
    try:
        made.setsockopt(*family.mtu_discover, PMTUDISC_PROBE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        made.setblocking(False)
        if source is not None:
            made.bind((str(source), 0))
    except BaseException:
        made.close()
        raise
    return made
