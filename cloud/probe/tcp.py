"""Long-lived TCP connections to echo servers: numbered lines out, the same lines back."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from cloud import rawlog
from cloud.probe.clock import Pace, Stop, be_ordinary, be_punctual, say_ready
from cloud.probe.target import Target
from cloud.probe.udp import ECHO_PORT, LINGER_NS


class Connection:
    """The NUMBERth connection and its records so far. Raises OSError if it cannot be made within `timeout_s`."""

    def __init__(self, number: int, address: str, port: int, timeout_s: float) -> None:
        self.number = number
        self.records: list[str] = []
        self.alive = True
        self._next = 0
        self._unsent = b""
        self._buffer = b""
        self._socket = socket.create_connection((address, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)

    def send(self) -> None:
        """Write the next line, and what an earlier write left over."""
        if not self.alive:
            return
        self._unsent += b"%d\n" % self._next
        self.records.append(f"s {self.number} {self._next} {time.monotonic_ns()}")
        self._next += 1
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._end(type(error).__name__)

    def receive(self) -> None:
        while self.alive and select.select([self._socket], [], [], 0)[0]:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                self._end(type(error).__name__)
                return
            if not data:
                self._end("closed")
                return
            now_ns = time.monotonic_ns()
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            self.records += [f"r {self.number} {int(line)} {now_ns}" for line in lines if line.strip().isdigit()]

    def _end(self, reason: str) -> None:
        self.alive = False
        self.records.append(f"x {self.number} {time.monotonic_ns()} {reason}")


def run(targets: Sequence[Target], interval_us: int, stop: Stop, port: int = ECHO_PORT) -> None:
    """Keep a connection to each target busy until `stop` is due, wait for the last echoes, tell the raw log."""
    connections = [
        target.reach(lambda address, number=number: Connection(number, address, port, timeout_s=5.0))  # type: ignore[misc]
        for number, target in enumerate(targets)
    ]
    be_punctual()
    pace = Pace(interval_us * 1000)
    say_ready()
    while not stop.due(time.monotonic_ns()):
        pace.wait()
        for connection in connections:
            connection.send()
            connection.receive()
    end_ns = time.monotonic_ns() + LINGER_NS
    while time.monotonic_ns() < end_ns:
        pace.wait()
        for connection in connections:
            connection.receive()
    be_ordinary()
    header = {"targets": [target.address for target in targets], "interval_us": interval_us}
    rawlog.tell("tcp", header, [record for connection in connections for record in connection.records])
