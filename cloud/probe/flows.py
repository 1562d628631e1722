"""Numbered packets from one place, and a count of those that arrive at another, whatever carries them.

A sink looks at every frame that arrives on any link, before the kernel decides what to do with it: a packet that was
delivered to the link counts, also where no program listens.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from cloud import rawlog
from cloud.probe.clock import Pace, Stop, say_ready

MAGIC = b"gdwtflow"
PAYLOAD = struct.Struct("!8sIQ")  # magic, flow, sequence number; network byte order
DISCARD_PORT = 9
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
IP_FREEBIND = 15
IPV6_FREEBIND = 78
BUFFER_BYTES = 8 << 20
IDLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Flow:
    """One kind of packet: number, where it comes from, where it must not (or may) arrive, addresses, `udp` or `icmp`.

    `towards` is a place, or `anywhere`: any place but its own.
    """

    number: int
    origin: str
    towards: str
    source: str
    destination: str
    protocol: str = "udp"

    @property
    def family(self) -> int:
        return 6 if ":" in self.destination else 4


def flows_of(text: str) -> list[Flow]:
    """Flows from the JSON that `flows_text` makes. Raises ValueError, TypeError."""
    return [Flow(**row) for row in json.loads(text)]


def flows_text(flows: list[Flow]) -> str:
    return json.dumps([asdict(flow) for flow in flows])


class Sender:
    """Sends the packets of one flow from an address that this namespace holds."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        family = socket.AF_INET6 if flow.family == 6 else socket.AF_INET
        if flow.protocol == "udp":
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        else:
            icmp = socket.IPPROTO_ICMPV6 if flow.family == 6 else socket.IPPROTO_ICMP
            self._socket = socket.socket(family, socket.SOCK_RAW, icmp)
        self._socket.setblocking(False)
        level, freebind = (socket.IPPROTO_IPV6, IPV6_FREEBIND) if flow.family == 6 else (socket.IPPROTO_IP, IP_FREEBIND)
        self._socket.setsockopt(level, freebind, 1)
        self._socket.bind((flow.source, 0))

    def send(self, sequence: int) -> bool:
        """Whether the kernel took it."""
        payload = PAYLOAD.pack(MAGIC, self.flow.number, sequence)
        port = DISCARD_PORT
        if self.flow.protocol == "icmp":
            payload, port = echo_request(payload, self.flow.family), 0
        try:
            self._socket.sendto(payload, (self.flow.destination, port))
        except OSError:
            return False
        return True


def echo_request(payload: bytes, family: int) -> bytes:
    """An ICMP echo request; the kernel fills in ICMPv6 checksums, not IPv4's (RFC 1071)."""
    if family == 6:
        return struct.pack("!BBHHH", 128, 0, 0, 1, 1) + payload
    total = sum(struct.unpack(f"!{len(payload) // 2}H", payload)) + 0x0800 + 1 + 1
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 1, 1) + payload


def send(flows: list[Flow], count: int, interval_us: int) -> None:
    """Send `count` packets of each flow, one of each a tick, and tell the raw log of those the kernel took."""
    senders = [Sender(flow) for flow in flows]
    records: list[str] = []
    refused = 0
    pace = Pace(interval_us * 1000)
    for sequence in range(count):
        for sender in senders:
            now_ns = time.monotonic_ns()
            if sender.send(sequence):
                records.append(f"s {sender.flow.number} {sequence} {now_ns}")
            else:
                refused += 1
        pace.wait()
    header = {"flows": [asdict(flow) for flow in flows], "interval_us": interval_us, "refused_by_kernel": refused}
    rawlog.tell("sent", header, records)


def found_in(frame: bytes) -> Iterator[tuple[int, int]]:
    """Flow and sequence number of each of our payloads in `frame`."""
    at = frame.find(MAGIC)
    while at >= 0 and at + PAYLOAD.size <= len(frame):
        _, number, sequence = PAYLOAD.unpack_from(frame, at)
        yield number, sequence
        at = frame.find(MAGIC, at + 1)


def sink(place: str, stop: Stop) -> None:
    """Record every packet of any flow that arrives on any link of this namespace until `stop` is due."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.settimeout(IDLE_S)
    records: list[str] = []
    say_ready()
    while not stop.due(time.monotonic_ns()):
        try:
            frame, (link, _, kind, *_) = sock.recvfrom(2048)
        except TimeoutError:
            continue
        except OSError:
            continue  # a link that went down says so once
        if kind == PACKET_OUTGOING or link == "lo":
            continue
        now_ns = time.monotonic_ns()
        records += [f"r {number} {sequence} {now_ns} {link}" for number, sequence in found_in(frame)]
    rawlog.tell("seen", {"place": place}, records)
