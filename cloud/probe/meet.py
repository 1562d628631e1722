"""Who meets whom: numbered calls by TCP, UDP and ICMP, and listeners that note from which address each call came."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import asdict, dataclass

from cloud import rawlog
from cloud.probe.clock import Stop, say_ready
from cloud.probe.flows import echo_request

PORT = 7008
PAYLOAD = struct.Struct("!8sI")  # magic, number of the call; network byte order
MAGIC = b"gdwtmeet"
ECHO_REPLY, ECHO_REQUEST = 0, 8
TICK_S = 0.05
AGAIN = 5  # ticks, until a call that is not answered is sent again; TCP does so by itself


@dataclass(frozen=True, slots=True)
class Call:
    """A call by `tcp`, `udp` or `icmp` to an IPv4 address."""

    number: int
    protocol: str
    address: str


def calls_of(text: str) -> list[Call]:
    """Calls from the JSON that `calls_text` makes. Raises ValueError, TypeError."""
    return [Call(**row) for row in json.loads(text)]


def calls_text(calls: list[Call]) -> str:
    return json.dumps([asdict(call) for call in calls])


def number_in(data: bytes) -> int | None:
    """The number of the call that `data` carries."""
    at = data.find(MAGIC)
    if at < 0 or len(data) < at + PAYLOAD.size:
        return None
    number: int = PAYLOAD.unpack_from(data, at)[1]
    return number


def icmp_type(packet: bytes) -> int:
    """Of a whole IPv4 packet, as a raw socket hands it over."""
    return packet[(packet[0] & 0xF) * 4]


def listen(stop: Stop) -> None:
    """Answer calls until `stop` is due, and write the raw log of them. The kernel answers those by ICMP."""
    heard: dict[str, None] = {}

    def note(protocol: str, data: bytes, source: str) -> bool:
        number = number_in(data)
        if number is not None:
            heard[f"r {number} {protocol} {source}"] = None
        return number is not None

    with (
        socket.create_server(("", PORT)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp,
    ):
        udp.bind(("", PORT))
        say_ready()
        while not stop.due(time.monotonic_ns()):
            ready, _, _ = select.select([tcp, udp, icmp], [], [], TICK_S)
            if tcp in ready:
                connection, (source, _) = tcp.accept()
                connection.settimeout(1.0)
                with connection, suppress(OSError):
                    data = connection.recv(512)
                    if note("tcp", data, source):
                        connection.sendall(data)
            if udp in ready:
                data, (source, port) = udp.recvfrom(512)
                if note("udp", data, source):
                    with suppress(OSError):  # no way back: it is not answered, as it would be
                        udp.sendto(data, (source, port))
            if icmp in ready:
                data, (source, _) = icmp.recvfrom(2048)
                if icmp_type(data) == ECHO_REQUEST:
                    note("icmp", data, source)
    rawlog.tell("heard", {}, heard)


class Caller:
    """One call and whether it has been answered, by whom it was sent to and nobody else."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.answered = False
        kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}
        number = socket.IPPROTO_ICMP if call.protocol == "icmp" else 0
        payload = PAYLOAD.pack(MAGIC, call.number)
        self._unsent = echo_request(payload, 4) if call.protocol == "icmp" else payload
        self.socket = socket.socket(socket.AF_INET, kinds[call.protocol], number)
        self.socket.setblocking(False)
        with suppress(OSError):  # no way there, or (TCP) not yet
            self.socket.connect((call.address, PORT))

    def send(self) -> None:
        with suppress(OSError):
            self.socket.send(self._unsent)
            if self.call.protocol == "tcp":
                self._unsent = b""

    def receive(self) -> None:
        with suppress(OSError):
            while data := self.socket.recv(2048):
                echo = self.call.protocol != "icmp" or icmp_type(data) == ECHO_REPLY
                self.answered |= echo and number_in(data) == self.call.number


def call(calls: list[Call], stop: Stop) -> None:
    """Make all calls at once, again until each is answered or `stop` is due, and write the raw log."""
    callers = [Caller(one) for one in calls]
    ticks = 0
    while (waiting := [one for one in callers if not one.answered]) and not stop.due(time.monotonic_ns()):
        for one in waiting:
            if ticks % AGAIN == 0:
                one.send()
            one.receive()
        ticks += 1
        time.sleep(TICK_S)
    rawlog.tell("called", {}, [f"r {one.call.number}" for one in callers if one.answered])
