"""Network namespaces, links and raw sockets for kernel tests. Names begin with `gwtd-` and the process's number."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
REPORTS = bytes.fromhex("333300000016")  # where a kernel of its own accord reports its multicast groups (RFC 3810)
PATIENCE = 5.0  # seconds until what must happen has not
RECEIVE_BYTES = 65536

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces and loads BPF programs")

_numbers = itertools.count()


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread works in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@contextlib.contextmanager
def namespaces(*roles: str) -> Iterator[list[str]]:
    """Fresh namespaces, without IPv6 of their own accord, removed at the end."""
    stem = f"gwtd-{os.getpid()}-{next(_numbers)}"
    names = [f"{stem}-{role}" for role in roles]
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            sysctl(name, "net.ipv6.conf.default.accept_dad", "0")
            sysctl(name, "net.ipv6.conf.default.addr_gen_mode", "1")
            sysctl(name, "net.ipv6.conf.default.router_solicitations", "0")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextlib.contextmanager
def bpffs(directory: Path) -> Iterator[Path]:
    """A bpffs of our own, unmounted at the end with all pins."""
    directory.mkdir()
    run("mount", "-t", "bpf", "bpf", str(directory))
    try:
        yield directory
    finally:
        run("umount", str(directory))


def sysctl(namespace: str, key: str, value: str) -> None:
    with inside(namespace):
        Path("/proc/sys", *key.split(".")).write_text(value)


def ip(namespace: str, *lines: str) -> None:
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")


def quiet(namespace: str) -> None:
    """The namespace's own IPv6 stack sends nothing by itself."""
    sysctl(namespace, "net.ipv6.conf.all.disable_ipv6", "1")
    sysctl(namespace, "net.ipv6.conf.default.disable_ipv6", "1")


def veth(one: tuple[str, str, str], other: tuple[str, str, str], *, offloads: bool = False) -> None:
    """A pair of (namespace, link, MAC), both ends down. Without `offloads` checksums are complete on the wire."""
    (ns, link, address), (peer_ns, peer, peer_address) = one, other
    run(*f"ip -n {ns} link add {link} address {address} type veth peer name {peer} netns {peer_ns}".split())
    run("ip", "-n", peer_ns, "link", "set", "dev", peer, "address", peer_address)
    if not offloads:
        for where, name in ((ns, link), (peer_ns, peer)):
            run(*f"ip netns exec {where} ethtool -K {name} tx off tso off gso off gro off".split())


class Wire:
    """A raw socket on a link: sends frames, and receives those the link's other end sent."""

    def __init__(self, namespace: str, link: str) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            self._socket.bind((link, 0))
        self.seen: list[bytes] = []  # all that ever came in

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def until(self, last: Callable[[bytes], bool]) -> list[bytes]:
        """Frames that came in, up to and without the one that `last` recognises."""
        found: list[bytes] = []
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, sender = self._socket.recvfrom(RECEIVE_BYTES)
            except TimeoutError:
                break
            if sender[2] == socket.PACKET_OUTGOING or frame.startswith(REPORTS):
                continue
            self.seen.append(frame)
            if last(frame):
                return found
            found.append(frame)
        raise AssertionError(f"the last frame did not come; {[frame.hex() for frame in found]}")

    def waiting(self) -> list[bytes]:
        """Frames that have come in already."""
        self._socket.setblocking(False)
        found: list[bytes] = []
        while True:
            try:
                frame, sender = self._socket.recvfrom(RECEIVE_BYTES)
            except BlockingIOError:
                return found
            if sender[2] != socket.PACKET_OUTGOING:
                self.seen.append(frame)
                found.append(frame)

    def close(self) -> None:
        self._socket.close()
