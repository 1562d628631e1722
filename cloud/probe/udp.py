"""Echo probes over UDP to each of several addresses, answers counted where they are received."""

from __future__ import annotations

import select
import socket
import struct
import time
from array import array
from collections.abc import Iterator, Sequence

from cloud import rawlog
from cloud.probe.clock import Pace, Stop, be_ordinary, be_punctual, real_minus_monotonic_ns, say_ready
from cloud.probe.target import Target

ECHO_PORT = 7
PAYLOAD = struct.Struct("!8sIQ")  # magic, target, sequence number; network byte order
MAGIC = b"gdwtecho"
BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35  # CLOCK_REALTIME
LINGER_NS = 500_000_000


class Prober:
    """Sends to its targets tick by tick and keeps both sides of the story in memory until the end.

    A busy target has a probe at each tick, another one at every `idle_ticks`th: they take turns. All are busy until
    `attend` says which are.
    """

    def __init__(self, targets: Sequence[Target], port: int = ECHO_PORT, idle_ticks: int = 1) -> None:
        self.addresses = [target.address for target in targets]
        self.sent_ns = [array("q") for _ in targets]  # by sequence number
        self.unsent = 0
        self.answers = array("q")  # target, sequence number, CLOCK_REALTIME ns, responder: four for each
        self.strays = array("q")  # the same of answers that came from another address: whose, is the last
        self.responders: dict[bytes, int] = {}
        self.elsewhere: dict[str, int] = {}
        self._peers: list[tuple[str, int]] = [(target.address, port) for target in targets]
        self._sockets = [target.reach(_socket) for target in targets]
        self._by_descriptor = {sock.fileno(): number for number, sock in enumerate(self._sockets)}
        self._arrivals = select.epoll()
        for descriptor in self._by_descriptor:
            self._arrivals.register(descriptor, select.EPOLLIN)
        everyone = list(range(len(targets)))
        self._busy = [] if idle_ticks > 1 else everyone
        self._turns = [everyone[turn::idle_ticks] if idle_ticks > 1 else [] for turn in range(idle_ticks)]
        self._tick = 0

    def attend(self, addresses: Sequence[str]) -> None:
        """From now on these are busy, and no others."""
        wanted = set(addresses)
        self._busy = [number for number, address in enumerate(self.addresses) if address in wanted]

    def send(self) -> None:
        """The probes of one tick. One that the kernel refuses counts as sent: it is lost all the same."""
        for target in self._busy:
            self._send(target)
        for target in self._turns[self._tick % len(self._turns)]:
            if target not in self._busy:
                self._send(target)
        self._tick += 1

    def _send(self, target: int) -> None:
        sent = self.sent_ns[target]
        payload = PAYLOAD.pack(MAGIC, target, len(sent))
        sent.append(time.monotonic_ns())
        try:
            self._sockets[target].sendto(payload, socket.MSG_DONTWAIT, self._peers[target])
        except OSError:
            self.unsent += 1

    def receive(self) -> None:
        """Take everything that has arrived."""
        for descriptor, _ in self._arrivals.poll(0):
            target = self._by_descriptor[descriptor]
            while True:
                try:
                    data, ancillary, _, peer = self._sockets[target].recvmsg(512, 64, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error that was waiting on the socket
                self._take(target, data, ancillary, peer)

    def _take(self, target: int, data: bytes, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int]) -> None:
        if len(data) < PAYLOAD.size:
            return
        magic, named, sequence = PAYLOAD.unpack_from(data)
        if magic != MAGIC or named != target:
            return
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        at_ns = seconds * 1_000_000_000 + nanoseconds
        if peer[0] != self.addresses[target]:
            self.strays.extend((target, sequence, at_ns, self.elsewhere.setdefault(peer[0], len(self.elsewhere))))
            return
        responder = self.responders.setdefault(data[PAYLOAD.size :], len(self.responders))
        self.answers.extend((target, sequence, at_ns, responder))

    def records(self, real_minus_monotonic: int) -> Iterator[str]:
        for target, sent in enumerate(self.sent_ns):
            for sequence, at_ns in enumerate(sent):
                yield f"s {target} {sequence} {at_ns}"
        for letter, arrived, names in (
            ("r", self.answers, [_word(name) for name in self.responders]),
            ("w", self.strays, list(self.elsewhere)),
        ):
            fields = iter(arrived)
            for target, sequence, real_ns, name in zip(fields, fields, fields, fields, strict=True):
                yield f"{letter} {target} {sequence} {real_ns - real_minus_monotonic} {names[name]}"


def _word(name: bytes) -> str:
    text = name.decode("ascii", "replace").strip()
    return "".join(char if char.isalnum() or char in "-._" else "?" for char in text) or "-"


def _socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return sock


def run(targets: Sequence[Target], interval_us: int, stop: Stop, port: int = ECHO_PORT, idle_us: int = 0) -> None:
    """Probe until `stop` is due, wait 500 ms for late answers, tell the raw log.

    With `idle_us`, targets are probed that seldom, but for those that the last line on standard input names.
    """
    prober = Prober(targets, port, max(1, idle_us // interval_us))
    policy = be_punctual()
    offset_ns = real_minus_monotonic_ns()
    pace = Pace(interval_us * 1000)
    prober.send()
    say_ready()
    while not stop.due(time.monotonic_ns()):
        for line in stop.heard():
            prober.attend(line.split())
        pace.wait()
        prober.send()
        prober.receive()
    end_ns = time.monotonic_ns() + LINGER_NS
    while time.monotonic_ns() < end_ns:
        pace.wait()
        prober.receive()
    be_ordinary()
    header = {
        "targets": prober.addresses,
        "interval_us": interval_us,
        "idle_us": idle_us,
        "scheduling": policy,
        "refused_by_kernel": prober.unsent,
        "clock_drift_ns": real_minus_monotonic_ns() - offset_ns,  # between the two clocks, from first to last probe
    }
    rawlog.tell("probe", header, prober.records(offset_ns))
