"""A built fabric whose routing daemons a test starts and kills, and traffic through it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from cloud import bird
from cloud.namespaces import entered, run
from cloud.plan import ANNOUNCEMENTS, Node, Plan

PROTOCOL = 201


def eventually(condition: Callable[[], Any], within_s: float, what: str) -> float:
    """Poll until `condition` is true; returns the seconds it took."""
    started = time.monotonic()
    pause = threading.Event()  # lets the probing threads run
    while not condition():
        pause.wait(0.002)
        if time.monotonic() - started > within_s:
            raise AssertionError(f"not within {within_s} s: {what}")
    return time.monotonic() - started


class Fabric:
    """A built fabric whose daemons the test starts and kills."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start_bird(self, node: Node) -> None:
        configuration = self.directory / f"{node.name}.conf"
        configuration.write_text(bird.configuration(self.plan, node))
        with (self.directory / f"{node.name}.log").open("ab") as log:
            control = self.directory / f"{node.name}.ctl"
            argv = [
                "nice",
                "-n",
                "-15",
                *bird.command(configuration, control),
                *(bird.RECOVER if control.exists() else ()),
            ]
            with entered(node.namespace):
                self.daemons[node.name] = subprocess.Popen(argv, stderr=log)

    def kill_bird(self, node: Node) -> None:
        daemon = self.daemons.pop(node.name)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()

    def stop(self) -> None:
        for daemon in self.daemons.values():
            daemon.kill()
            daemon.wait()

    def established(self) -> int:
        """BGP sessions that the edges have up; an edge whose daemon is not there has none."""
        return sum(self._established(zone.edge) for zone in self.plan.zones)

    def _established(self, edge: Node) -> int:
        argv = ["birdc", "-s", str(self.directory / f"{edge.name}.ctl"), "show", "protocols"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.count("Established")

    @property
    def sessions(self) -> int:
        return sum(len(node.links) for node in self.plan.nodes)

    def wait_established(self) -> float:
        return eventually(lambda: self.established() == self.sessions, 15, "all BGP sessions up")

    def routes(self, node: Node, prefix: str, table: int | str = "main") -> list[dict[str, Any]]:
        family = "-6" if ":" in prefix else "-4"
        argv = ["ip", "-netns", node.namespace, family, "-json", "route", "show", "exact", prefix, "table", str(table)]
        rows: list[dict[str, Any]] = json.loads(run(argv) or "[]")
        return rows

    def next_hops(self, node: Node, prefix: str, table: int | str = "main") -> set[str]:
        rows = [row for row in self.routes(node, prefix, table) if row.get("protocol") == "bird"]
        return {hop["gateway"] for row in rows for hop in row.get("nexthops", [row])}

    def announce(self, node: Node, prefix: str, sequence: int, verb: str = "add") -> None:
        family = "-6" if ":" in prefix else "-4"
        where = ["table", str(ANNOUNCEMENTS), "metric", str(sequence), "proto", str(PROTOCOL)]
        run(["ip", "-netns", node.namespace, family, "route", verb, "unreachable", prefix, *where])

    def withdraw_all(self) -> None:
        for node in self.plan.nodes:
            for family in ("-4", "-6"):
                argv = ["ip", "-netns", node.namespace, family, "route", "flush", "table", str(ANNOUNCEMENTS)]
                subprocess.run(argv, capture_output=True, check=False)  # an absent table is an error


class Echo:
    """Answers UDP at `address` in one or several namespaces, each of which counts as a host of that address."""

    def __init__(self, address: str, *nodes: Node) -> None:
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._nodes = nodes
        self._address = address
        self.answered = {node.name: 0 for node in nodes}

    def __enter__(self) -> Self:
        for node in self._nodes:
            run(["ip", "-netns", node.namespace, "address", "replace", f"{self._address}/32", "dev", "lo"])
            with entered(node.namespace):
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind((self._address, 7))
            thread = threading.Thread(target=self._serve, args=(node.name, server))
            self._sockets.append(server)
            self._threads.append(thread)
            thread.start()
        return self

    def _serve(self, name: str, server: socket.socket) -> None:
        while (request := server.recvfrom(64))[0]:
            server.sendto(*request)
            self.answered[name] += 1

    def __exit__(self, *_: object) -> None:
        for node, server, thread in zip(self._nodes, self._sockets, self._threads, strict=True):
            with entered(node.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", (self._address, 7))  # an empty datagram ends the thread
            thread.join()
            server.close()
            run(["ip", "-netns", node.namespace, "address", "delete", f"{self._address}/32", "dev", "lo"])


class Prober:
    """Sends numbered datagrams from `internet` at a fixed rate, over several flows, and notes which came back."""

    def __init__(self, plan: Plan, address: str, flows: int = 8, interval_s: float = 0.001) -> None:
        self._target = (address, 7)
        self._interval = interval_s
        self._stop = threading.Event()
        with entered(plan.internet):
            self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
        for each in self._sockets:
            each.setblocking(False)
            each.bind(("203.0.113.2", 0))
        self.sent: dict[int, float] = {}
        self.received: set[int] = set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        number, due = 0, time.monotonic()
        while not self._stop.is_set():
            self._sockets[number % len(self._sockets)].sendto(number.to_bytes(8, "big"), self._target)
            self.sent[number] = time.monotonic()
            number += 1
            due += self._interval
            self._collect()
            time.sleep(max(0.0, due - time.monotonic()))
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends and len(self.received) < number:
            self._collect()

    def _collect(self) -> None:
        for each in self._sockets:
            try:
                while True:
                    self.received.add(int.from_bytes(each.recv(64), "big"))
            except (BlockingIOError, ConnectionRefusedError, OSError):
                continue

    @property
    def lost(self) -> list[int]:
        return sorted(set(self.sent) - self.received)
