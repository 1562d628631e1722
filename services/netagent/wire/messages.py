"""Snapshots and deltas of entries, their digests, and how much of them may go unasked.

A message ends in a checksum: cut at any byte, it is refused whole.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from services.netagent.wire.entries import NAMES, Entry, EntryKey, Kind, Malformed, unpack

DIGEST_KEY = b"godwit.netagent.wire/1"  # fixed: both sides must agree, nothing is kept secret by it


def entry_hash(kind: int, key: bytes, value: bytes) -> int:
    packed = struct.pack("!BB", kind, len(key)) + key + value
    return int.from_bytes(hashlib.blake2b(packed, digest_size=16, key=DIGEST_KEY).digest(), "big")


class Digest:
    """Order-free, incremental digest per kind: the sum modulo 2^128 of the entries' keyed hashes."""

    def __init__(self, sums: Mapping[int, int] | None = None) -> None:
        self.sums: dict[int, int] = dict(sums or {})

    def add(self, kind: int, key: bytes, value: bytes) -> None:
        self._shift(kind, entry_hash(kind, key, value))

    def remove(self, kind: int, key: bytes, value: bytes) -> None:
        self._shift(kind, -entry_hash(kind, key, value))

    def _shift(self, kind: int, by: int) -> None:
        total = (self.sums.get(kind, 0) + by) % (1 << 128)
        if total:
            self.sums[kind] = total
        else:
            self.sums.pop(kind, None)

    def hex(self) -> dict[str, str]:
        """By the kind's lower-case name; a kind without entries is left out."""
        return {NAMES[kind]: f"{total:032x}" for kind, total in sorted(self.sums.items())}

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        digest = cls()
        for entry in entries:
            digest.add(entry.kind, entry.key(), entry.value())
        return digest


# --- messages --------------------------------------------------------------------------------------------------------

_HEADER = struct.Struct("!4sB16sQQQII")  # magic, type, node, epoch, generation, base or approved, puts, tombstones
_MAGIC = b"GDW1"
_SNAPSHOT, _DELTA = 1, 2


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An entry to remove, and who asked for it: an Operation, or the target whose owner changed its addresses.

    None: nobody did; such removals are budgeted.
    """

    entry: EntryKey
    asked_by: UUID | None = None


BUDGET_SHARE = 5  # one entry in five of what a node holds may go unasked …
BUDGET_LEAST = 5  # … and always this many


def over_budget(held: int, unasked: int, *, alone: bool) -> str | None:
    """Why a node that holds `held` entries is not to lose `unasked` of them that nobody asked to remove, or None.

    `alone`: nothing is put at the same time. The controller sends no such change, and an agent takes none.
    """
    budget = max(BUDGET_LEAST, held // BUDGET_SHARE)
    if unasked > budget:
        return f"{unasked} of {held} entries would go that nobody asked to remove; at most {budget} may"
    if 0 < unasked == held and alone:
        return f"all {unasked} entries would go and nobody asked for it; that is never allowed"
    return None


def removals_digest(unasked: Iterable[EntryKey]) -> str:
    """Names a set of removals, as 16 hexadecimal digits: others have another one."""
    named = b"".join(bytes((key.kind, len(key.key))) + key.key for key in sorted(unasked))
    return hashlib.blake2b(named, digest_size=8).hexdigest()


def way_out(node: str, unasked: Iterable[EntryKey]) -> str:
    """What a person does who wants those removals that are over a budget."""
    return f"`godwit node approve {node} {removals_digest(unasked)}` lets them go"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a node must hold at (epoch, generation).

    `approved`: the digest of removals which nobody asked for, and which an operator lets the node make all the same.
    """

    node: UUID
    epoch: int
    generation: int
    entries: list[Entry]
    tombstones: list[Tombstone] = field(default_factory=list)  # what the database still remembers as asked for
    approved: str | None = None

    def pack(self) -> bytes:
        approved = int(self.approved or "0", 16)
        return _pack(_SNAPSHOT, self.node, self.epoch, self.generation, approved, self.entries, self.tombstones)


@dataclass(frozen=True, slots=True)
class Delta:
    """All changes since `base`: applies to a node that is at `base` or later, and older than `generation`."""

    node: UUID
    epoch: int
    base: int
    generation: int
    puts: list[Entry]
    tombstones: list[Tombstone]

    def pack(self) -> bytes:
        return _pack(_DELTA, self.node, self.epoch, self.generation, self.base, self.puts, self.tombstones)


def _pack(
    type_: int, node: UUID, epoch: int, generation: int, base: int, puts: list[Entry], tombstones: list[Tombstone]
) -> bytes:
    parts = [_HEADER.pack(_MAGIC, type_, node.bytes, epoch, generation, base, len(puts), len(tombstones))]
    for entry in puts:
        key, value = entry.key(), entry.value()
        parts.append(struct.pack("!BBH", entry.kind, len(key), len(value)) + key + value)
    for tombstone in tombstones:
        asked_by = tombstone.asked_by.bytes if tombstone.asked_by else bytes(16)
        parts.append(struct.pack("!BB", tombstone.entry.kind, len(tombstone.entry.key)))
        parts.append(tombstone.entry.key + asked_by)
    body = b"".join(parts)
    return body + hashlib.blake2b(body, digest_size=16).digest()


def parse(raw: bytes) -> Snapshot | Delta:
    """Raises Malformed; nothing of a damaged message is used."""
    body, checksum = raw[:-16], raw[-16:]
    if len(raw) < _HEADER.size + 16 or hashlib.blake2b(body, digest_size=16).digest() != checksum:
        raise Malformed("the message is truncated or altered")
    magic, type_, node, epoch, generation, base, put_count, tombstone_count = _HEADER.unpack_from(body)
    if magic != _MAGIC or type_ not in (_SNAPSHOT, _DELTA):
        raise Malformed("the message is of another version")
    offset = _HEADER.size
    try:
        puts = []
        for _ in range(put_count):
            kind, key_length, value_length = struct.unpack_from("!BBH", body, offset)
            offset += 4
            end = offset + key_length + value_length
            puts.append(unpack(kind, body[offset : offset + key_length], body[offset + key_length : end]))
            offset = end
        tombstones = []
        for _ in range(tombstone_count):
            kind, key_length = struct.unpack_from("!BB", body, offset)
            offset += 2
            key = body[offset : offset + key_length]
            asked_by = body[offset + key_length : offset + key_length + 16]
            tombstones.append(Tombstone(EntryKey(Kind(kind), key), UUID(bytes=asked_by) if any(asked_by) else None))
            offset += key_length + 16
    except (struct.error, ValueError) as error:
        raise Malformed(str(error)) from error
    if offset != len(body):
        raise Malformed("the message holds more than it declares")
    if type_ == _SNAPSHOT:
        return Snapshot(UUID(bytes=node), epoch, generation, puts, tombstones, f"{base:016x}" if base else None)
    return Delta(UUID(bytes=node), epoch, base, generation, puts, tombstones)
