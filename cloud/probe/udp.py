"""Echo probes over UDP: one a millisecond to each of several addresses, answers counted where they are received."""

from __future__ import annotations

import socket
import struct
import time
from array import array
from collections.abc import Iterator, Sequence

from cloud import rawlog
from cloud.probe.clock import Pace, Stop, be_punctual, real_minus_monotonic_ns, say_ready

ECHO_PORT = 7
PAYLOAD = struct.Struct("!8sIQ")  # magic, target, sequence number; network byte order
MAGIC = b"gdwtecho"
BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35  # CLOCK_REALTIME
LINGER_NS = 500_000_000


class Prober:
    """Sends to every target at each tick and keeps both sides of the story in memory until the end."""

    def __init__(self, addresses: Sequence[str], port: int = ECHO_PORT) -> None:
        self.addresses = list(addresses)
        self.sent_ns = [array("q") for _ in addresses]  # by sequence number
        self.unsent = 0
        self.answers = array("q")  # target, sequence number, CLOCK_REALTIME ns, responder: four for each
        self.responders: dict[bytes, int] = {}
        self._peers: list[tuple[str, int]] = [(address, port) for address in addresses]
        self._sockets = [_socket(address) for address in addresses]

    def send(self) -> None:
        """One probe to each target. One that the kernel refuses counts as sent: it is lost all the same."""
        for target, sock in enumerate(self._sockets):
            sent = self.sent_ns[target]
            payload = PAYLOAD.pack(MAGIC, target, len(sent))
            sent.append(time.monotonic_ns())
            try:
                sock.sendto(payload, socket.MSG_DONTWAIT, self._peers[target])
            except OSError:
                self.unsent += 1

    def receive(self) -> None:
        """Take everything that has arrived."""
        for target, sock in enumerate(self._sockets):
            while True:
                try:
                    data, ancillary, _, peer = sock.recvmsg(512, 64, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error that was waiting on the socket
                self._take(target, data, ancillary, peer)

    def _take(self, target: int, data: bytes, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int]) -> None:
        if len(data) < PAYLOAD.size or peer[0] != self.addresses[target]:
            return
        magic, named, sequence = PAYLOAD.unpack_from(data)
        if magic != MAGIC or named != target:
            return
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        responder = self.responders.setdefault(data[PAYLOAD.size :], len(self.responders))
        self.answers.extend((target, sequence, seconds * 1_000_000_000 + nanoseconds, responder))

    def records(self, real_minus_monotonic: int) -> Iterator[str]:
        for target, sent in enumerate(self.sent_ns):
            for sequence, at_ns in enumerate(sent):
                yield f"s {target} {sequence} {at_ns}"
        names = [_word(name) for name in self.responders]
        answers = iter(self.answers)
        for target, sequence, real_ns, responder in zip(answers, answers, answers, answers, strict=True):
            yield f"r {target} {sequence} {real_ns - real_minus_monotonic} {names[responder]}"


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


def run(addresses: Sequence[str], interval_us: int, stop: Stop, port: int = ECHO_PORT) -> None:
    """Probe until `stop` is due, wait 500 ms for late answers, tell the raw log."""
    prober = Prober(addresses, port)
    policy = be_punctual()
    offset_ns = real_minus_monotonic_ns()
    pace = Pace(interval_us * 1000)
    prober.send()
    say_ready()
    while not stop.due(time.monotonic_ns()):
        pace.wait()
        prober.send()
        prober.receive()
    end_ns = time.monotonic_ns() + LINGER_NS
    while time.monotonic_ns() < end_ns:
        pace.wait()
        prober.receive()
    header = {
        "targets": prober.addresses,
        "interval_us": interval_us,
        "scheduling": policy,
        "refused_by_kernel": prober.unsent,
        "clock_drift_ns": real_minus_monotonic_ns() - offset_ns,  # between the two clocks, from first to last probe
    }
    rawlog.tell("probe", header, prober.records(offset_ns))
