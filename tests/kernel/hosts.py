"""Hypervisors for kernel tests: a network namespace and a thread that lives in it. Names begin with `gwtn-`.

Drivers follow the namespace of the thread that calls them, so a test talks to them through `Host.run` or `Within`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from dataplane.driver import Driver
from dataplane.entries import Entry
from dataplane.linux import Linux
from services.netagent import guest_helper, namespaces

T = TypeVar("T")
E = TypeVar("E", bound=Entry)

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 60.0  # until what must happen has not

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces")


def until(holds: Callable[[], bool], what: str) -> None:
    """Poll until `holds`, within a bound."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.01)


class Host:
    """A namespace, reachable as `ip netns exec NAME`, and a thread in it."""

    def __init__(self, role: str) -> None:
        self.name = f"gwtn-{os.getpid()}-{role}"
        self.pin = Path("/run/netns", self.name)
        self.pin.parent.mkdir(exist_ok=True)
        self.pin.touch()
        namespaces.create(self.pin)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.name, initializer=self._enter)
        self.kernel = self.run(self._begin)

    def _enter(self) -> None:
        descriptor = os.open(self.pin, os.O_RDONLY)
        try:
            namespaces.enter(descriptor)
        finally:
            os.close(descriptor)

    @staticmethod
    def _begin() -> Linux:
        kernel = Linux()
        kernel.set_link(1, up=True)
        for path, value in {
            "ipv4/ip_forward": 1,
            "ipv4/conf/all/rp_filter": 0,
            "ipv4/conf/default/rp_filter": 0,
            "ipv6/conf/all/forwarding": 1,
            "ipv6/conf/default/accept_dad": 0,
        }.items():
            kernel.sysctl(path, value)
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
        return kernel

    def run(self, work: Callable[[], T]) -> T:
        """Do `work` inside."""
        return self._thread.submit(work).result()

    def ip(self, *arguments: str) -> str:
        """The `ip` command inside."""
        done = subprocess.run(["ip", "-n", self.name, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self.name}: ip {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        self.kernel.close()
        self._thread.shutdown()
        namespaces.unbind(self.pin)
        self.pin.unlink()


@contextlib.contextmanager
def hosts(*roles: str) -> Iterator[list[Host]]:
    made: list[Host] = []
    try:
        for role in roles:
            made.append(Host(role))  # noqa: PERF401  so that those made are closed
        yield made
    finally:
        for host in made:
            host.close()


class Within(Generic[E]):
    """A driver whose calls happen inside a host."""

    def __init__(self, host: Host, make: Callable[[], Driver[E]]) -> None:
        self._host = host
        self._driver = host.run(make)
        self.entry = self._driver.entry

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, E]:
        return self._host.run(lambda: self._driver.observe(keys))

    def put(self, entry: E) -> None:
        self._host.run(lambda: self._driver.put(entry))

    def drop(self, entry: E) -> None:
        self._host.run(lambda: self._driver.drop(entry))


class Helper:
    """A guest helper in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "helper.sock"
        self.guests = directory / "guests"
        self.disks = directory / "disks"
        self.start()

    def start(self) -> None:
        settings = {"SOCKET": self.socket, "DIRECTORY": self.guests, "DISKS": self.disks}
        names = {f"GODWIT_GUESTS_{name}": str(path) for name, path in settings.items()}
        command = [sys.executable, "-m", "services.netagent.guest_helper"]
        self.socket.unlink(missing_ok=True)
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            command, env={**os.environ, **names}, cwd=REPOSITORY, stderr=subprocess.DEVNULL
        )
        until(self.socket.exists, "the helper listens")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        guest_helper.destroy_all(self.guests)
