"""rtnetlink, as far as we need it: messages, attributes, one request at a time.

A library would do, at a price (docs/adr/0010): a route takes six times as long to write, and three times to read.
Integers are in host byte order, as the kernel's; addresses and MACs in network order.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator

SOL_NETLINK = 270
ADD_MEMBERSHIP, CAP_ACK, EXT_ACK, GET_STRICT_CHK = 1, 10, 11, 12

NLMSG_ERROR, NLMSG_DONE = 2, 3
F_REQUEST, F_MULTI, F_ACK, F_DUMP_INTR = 0x001, 0x002, 0x004, 0x010
F_REPLACE, F_EXCL, F_CREATE = 0x100, 0x200, 0x400
F_DUMP = 0x300
F_ACK_TLVS = 0x200  # in an error message: extended ack attributes follow

NLA_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

RECEIVE_BYTES = 1 << 18
_HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")

Attributes = dict[int, bytes]


class NetlinkError(OSError):
    """The kernel refused a request; the text is its own explanation where it gives one."""


class Overrun(Exception):
    """Notifications were lost: what was learnt from them must be read anew."""


def attribute(kind: int, payload: bytes) -> bytes:
    return _ATTR.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, bytes((value,)))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *children: bytes) -> bytes:
    return attribute(kind | NLA_NESTED, b"".join(children))


def attributes(raw: bytes, offset: int = 0) -> Attributes:
    """Attributes by type; of a type that repeats, the last."""
    found: Attributes = {}
    end = len(raw)
    while offset + 4 <= end:
        length, kind = _ATTR.unpack_from(raw, offset)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = raw[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def number(raw: bytes | None, default: int = 0) -> int:
    return default if raw is None else int.from_bytes(raw, "little" if _LITTLE else "big")


def string(raw: bytes | None) -> str:
    return "" if raw is None else raw.rstrip(b"\0").decode(errors="replace")


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def _messages(raw: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, body) of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(raw):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(raw, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, raw[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _refusal(flags: int, body: bytes) -> NetlinkError | None:
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    reason = os.strerror(-code)
    if flags & F_ACK_TLVS and (said := attributes(body, 4 + _HEADER.size).get(1)):
        reason = f"{reason}: {string(said)}"
    return NetlinkError(-code, reason)


class Connection:
    """Requests to the kernel of the network namespace in which the connection was opened. Thread-safe."""

    def __init__(self, descriptor: int | None = None) -> None:
        """With `descriptor`, over a socket of `open_socket` that was opened elsewhere; it is ours from now on."""
        self._socket = open_socket() if descriptor is None else socket.socket(fileno=descriptor)
        self._lock = threading.Lock()
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[tuple[int, bytes]]:
        """(type, body) of each message answered, when the kernel has acknowledged. Raises NetlinkError."""
        return self._exchange(kind, body, F_REQUEST | F_ACK | flags)

    def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """All rows; read again when they changed meanwhile, so that none is missed."""
        while True:
            try:
                return self._exchange(kind, body, F_REQUEST | F_DUMP)
            except InterruptedError:
                continue

    def _exchange(self, kind: int, body: bytes, flags: int) -> list[tuple[int, bytes]]:
        with self._lock:
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
            answers: list[tuple[int, bytes]] = []
            interrupted = False
            while True:
                for type_, seen, sequence, content in _messages(self._socket.recv(RECEIVE_BYTES)):
                    if sequence != self._sequence:
                        continue
                    interrupted = interrupted or bool(seen & F_DUMP_INTR)
                    if type_ in (NLMSG_ERROR, NLMSG_DONE):
                        if len(content) >= 4 and (refusal := _refusal(seen, content)):
                            raise refusal
                        if interrupted:
                            raise InterruptedError
                        return answers
                    answers.append((type_, content))


class Notifications:
    """What the kernel tells the members of some rtnetlink multicast groups, in order."""

    def __init__(self, groups: tuple[int, ...], buffer_bytes: int = 8 << 20, descriptor: int | None = None) -> None:
        """With `descriptor`, over a socket of `open_socket` that was opened elsewhere; it is ours from now on."""
        self._socket = open_socket() if descriptor is None else socket.socket(fileno=descriptor)
        for option in (socket.SO_RCVBUF, 33):  # 33: SO_RCVBUFFORCE, which may exceed the system's limit
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, buffer_bytes)
            except PermissionError:
                continue
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def pending(self) -> Iterator[tuple[int, bytes]]:
        """(type, body) of what has arrived, without waiting. Raises Overrun."""
        while True:
            try:
                raw = self._socket.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Overrun from error
                raise
            for kind, _, _, body in _messages(raw):
                yield kind, body


def open_socket() -> socket.socket:
    """A socket to the kernel of the calling thread's network namespace, wherever it is used later."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.bind((0, 0))
    for option in (CAP_ACK, EXT_ACK, GET_STRICT_CHK):
        opened.setsockopt(SOL_NETLINK, option, 1)
    return opened
