"""1:1 NAT tables of a gateway, and the programs on its two links.

The tables lie in memory shared with the programs (`bpf/nat_gateway.bpf.c`): per direction `l1[65536]` names the leaf of
each /16, and a leaf holds 65,536 addresses in network byte order, 0 where there is none. One mapping is one aligned
4-byte store. Maps and XDP links are pinned: they outlive the agent, and a restarted one finds its rows in them.

The programs rewrite in place and pass to the kernel, which forwards: it needs `ip_forward`, and no `rp_filter` on the
two links, since a rewritten source does not lead back to the private one.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from array import array
from collections.abc import Hashable, Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from dataplane import libbpf
from dataplane.bpf import build
from dataplane.driver import DriverError
from dataplane.entries import Inbound, Outbound

HALF = 1 << 16
LEAF_BYTES = 4 * HALF
PRIVATE = range(10 << 24, 11 << 24)  # 10.0.0.0/8: the only sources that are translated
UNICAST = range(1 << 24, 224 << 24)
MEMBARRIER_CMD_GLOBAL = 1

VERDICTS = (  # as enum rw_verdict
    "passed_other",
    "passed_own",
    "passed_ttl",
    "rewritten",
    "hairpinned",
    "dropped_miss_public",
    "dropped_miss_private",
    "dropped_length",
    "dropped_source_route",
)


class TableFull(DriverError):
    """Every leaf is in use: mappings in another /16 need a table with more leaves."""

    def __init__(self, address: IPv4Address) -> None:
        super().__init__("nat.table.full", f"no leaf is left for the /16 of {address}")


class Table:
    """One direction: from an address to another, by two direct look-ups.

    One process writes. It keeps no rows: what it remembers, how many rows each leaf has, is counted from the leaves.
    """

    def __init__(self, name: str, pins: Path, store: ctypes.CDLL) -> None:
        leaves = libbpf.Map.pinned(pins / f"{name}_leaves")
        self._store = store.godwit_store
        self._l1_memory = libbpf.Map.pinned(pins / f"{name}_l1").memory(LEAF_BYTES)
        self._leaf_memory = leaves.memory(leaves.max_entries * LEAF_BYTES)
        self._l1 = memoryview(self._l1_memory).cast("I")
        self._l1_at = _address_of(self._l1_memory)
        self._leaves_at = _address_of(self._leaf_memory)
        used = {leaf - 1: half for half, leaf in enumerate(array("I", self._l1_memory[:])) if leaf}
        self._rows = {leaf: sum(1 for _ in self._walk(leaf)) for leaf in used}
        self._free = [leaf for leaf in reversed(range(leaves.max_entries)) if leaf not in used]
        self._left: set[int] = set(self._free)  # a program may still read a leaf that was given up a moment ago

    def get(self, address: IPv4Address) -> IPv4Address | None:
        """What `address` maps to, as the programs see it now."""
        high, low = divmod(int(address), HALF)
        leaf = self._l1[high]
        return _address(self._word(leaf - 1, low)) if leaf and self._word(leaf - 1, low) else None

    def put(self, address: IPv4Address, to: IPv4Address) -> None:
        """Map `address` to `to` by one store; the /16's first mapping takes a leaf. Raises TableFull."""
        high, low = divmod(int(address), HALF)
        leaf = self._l1[high] - 1 if self._l1[high] else self._take(address)
        if not self._word(leaf, low):
            self._rows[leaf] += 1
        self._store(self._leaves_at + leaf * LEAF_BYTES, low, _word(to))
        if not self._l1[high]:
            self._store(self._l1_at, high, leaf + 1)

    def drop(self, address: IPv4Address) -> None:
        """Forget `address`; with its last mapping a /16 gives its leaf back, all zero."""
        high, low = divmod(int(address), HALF)
        leaf = self._l1[high] - 1
        if leaf < 0 or not self._word(leaf, low):
            return
        self._store(self._leaves_at + leaf * LEAF_BYTES, low, 0)
        self._rows[leaf] -= 1
        if not self._rows[leaf]:
            self._store(self._l1_at, high, 0)
            self._free.insert(0, leaf)
            self._left.add(leaf)

    def items(self) -> Iterator[tuple[IPv4Address, IPv4Address]]:
        """Every mapping, in order of address."""
        for high, leaf in enumerate(array("I", self._l1_memory[:])):
            if leaf:
                for low, word in self._walk(leaf - 1):
                    yield IPv4Address(high * HALF + low), _address(word)

    def _take(self, address: IPv4Address) -> int:
        """A free leaf for a /16, which the caller makes known once it holds the first mapping."""
        if not self._free:
            raise TableFull(address)
        leaf = self._free.pop()
        if leaf in self._left:
            _wait_for_running_programs()  # on one that read the leaf's number before it was given up
            self._left.clear()
        self._rows[leaf] = 0
        return leaf

    def _word(self, leaf: int, low: int) -> int:
        return int(struct.unpack_from("=I", self._leaf_memory, leaf * LEAF_BYTES + 4 * low)[0])

    def _walk(self, leaf: int) -> Iterator[tuple[int, int]]:
        words = array("I", self._leaf_memory[leaf * LEAF_BYTES : (leaf + 1) * LEAF_BYTES])
        return ((low, word) for low, word in enumerate(words) if word)


class Nat:
    """A gateway's NAT: both tables and the programs on its public and private link.

    `pins`: this node's bpffs directory. `cache`: where compiled files are kept. `leaves`: how many /16s each direction
    can touch, 256 KiB each; tables that are pinned already keep their size. Raises BpfError, BuildError.
    """

    def __init__(self, pins: Path, cache: Path, leaves: int = 64) -> None:
        self._pins = pins / "nat"
        sizes = {"inbound_leaves": leaves, "outbound_leaves": leaves}
        self._programs = libbpf.Object(build.program("nat_gateway", cache), self._pins, sizes, ["nat_counters"])
        store = ctypes.CDLL(str(build.library("store", cache)))
        store.godwit_store.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32)
        store.godwit_store.restype = None
        self.inbound = Table("inbound", self._pins, store)
        self.outbound = Table("outbound", self._pins, store)
        self._counters = libbpf.Map.pinned(self._pins / "nat_counters")

    def attach(self, public_link: str, private_link: str) -> None:
        """Put the programs on the links, by their role; on links that have one already it is swapped, and no packet
        passes between; on links that have these, nothing is done. Raises OSError, of which BpfError is one."""
        for role, link in (("public", public_link), ("private", private_link)):
            self._attach(role, socket.if_nametoindex(link))

    def attached(self, public_link: str, private_link: str) -> bool:
        """Whether this object's programs are on the links."""
        try:
            return all(
                self._on(role) == (socket.if_nametoindex(link), libbpf.program_id(self._program(role)))
                for role, link in (("public", public_link), ("private", private_link))
            )
        except OSError:
            return False

    def counters(self) -> dict[str, int]:
        """Packets by what became of them, since the maps were made."""
        return dict(zip(VERDICTS, self._counters.counts(), strict=True))

    def _attach(self, role: str, ifindex: int) -> None:
        pin = self._pins / f"link_{role}"
        if pin.exists():
            on, program = self._on(role)
            if on == ifindex:
                if program != libbpf.program_id(self._program(role)):
                    libbpf.update_link(libbpf.pinned(pin), self._program(role))
                return
            pin.unlink()  # its interface is gone, or plays another role now
        libbpf.pin(libbpf.attach_xdp(self._program(role), ifindex), pin)

    def _on(self, role: str) -> tuple[int, int]:
        return libbpf.xdp_link_of(libbpf.pinned(self._pins / f"link_{role}"))

    def _program(self, role: str) -> libbpf.Descriptor:
        return self._programs.program(f"nat_{role}")


class NatInbound:
    """Driver of the public → private table. Put an address's Outbound first: then its answers find their way out."""

    entry = Inbound

    def __init__(self, nat: Nat) -> None:
        self._table = nat.inbound

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Inbound]:
        return {public: Inbound(public, private) for public, private in _rows(self._table, keys)}

    def put(self, entry: Inbound) -> None:
        check_public(entry.public)
        check_private(entry.private)
        self._table.put(entry.public, entry.private)

    def drop(self, entry: Inbound) -> None:
        self._table.drop(entry.public)


class NatOutbound:
    """Driver of the private → public table."""

    entry = Outbound

    def __init__(self, nat: Nat) -> None:
        self._table = nat.outbound

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Outbound]:
        return {private: Outbound(private, public) for private, public in _rows(self._table, keys)}

    def put(self, entry: Outbound) -> None:
        check_public(entry.public)
        check_private(entry.private)
        self._table.put(entry.private, entry.public)

    def drop(self, entry: Outbound) -> None:
        self._table.drop(entry.private)


def _rows(table: Table, keys: Iterable[Hashable] | None) -> Iterator[tuple[IPv4Address, IPv4Address]]:
    if keys is None:
        yield from table.items()
        return
    for key in keys:
        if isinstance(key, IPv4Address) and (to := table.get(key)) is not None:
            yield key, to


def check_public(public: IPv4Address) -> None:
    """Raises DriverError."""
    if int(public) not in UNICAST or int(public) in PRIVATE:
        raise DriverError("nat.public.unusable", f"{public} is no public unicast address")


def check_private(private: IPv4Address) -> None:
    """Raises DriverError."""
    if int(private) not in PRIVATE:
        raise DriverError("nat.private.unusable", f"{private} is not in 10.0.0.0/8")


def _word(address: IPv4Address) -> int:
    """The number whose bytes in memory are the address in network byte order."""
    return int(struct.unpack("=I", address.packed)[0])


def _address(word: int) -> IPv4Address:
    return IPv4Address(struct.pack("=I", word))


def _address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _wait_for_running_programs() -> None:
    """Return once every program that runs now has ended: membarrier(2) waits for an RCU grace period."""
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {"x86_64": 324, "aarch64": 283}
    if libc.syscall(numbers[os.uname().machine], MEMBARRIER_CMD_GLOBAL, 0, 0) < 0:
        number = ctypes.get_errno()
        raise DriverError("nat.membarrier", os.strerror(number))
