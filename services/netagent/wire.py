"""What placement tells an agent and what the agent answers: entries, snapshots, deltas, digests.

Entries travel packed, in network byte order, so that a digest means the same on both sides and a million of them stream
well. A message ends in a checksum: cut at any byte, it is refused whole.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from typing import ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, Field

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

DIGEST_KEY = b"godwit.netagent.wire/1"  # fixed: both sides must agree, nothing is kept secret by it
NOWHERE = IPv4Address(0)
PROBES_PER_SECOND = 10_000  # that a node sends at most
CHECK_TIMEOUT_MS = 1000  # after which a health check's probe is lost, or after its interval if that is shorter
PROBES_ROOM_S = 2.0  # beyond what a run takes alone, for those that run beside it


class Kind(enum.IntEnum):
    """Which class of entry: its number in messages, checkpoints and the controller's rows, never reused."""

    PORT = 1
    ADDRESS = 2
    PEER = 3
    PREFIX = 4
    AGGREGATE = 5
    INBOUND = 6
    OUTBOUND = 7
    HOSTNAT = 8
    FENCE = 9
    BLACKHOLE = 10
    HEALTH_CHECK = 11


NAMES = {int(kind): kind.name.lower() for kind in Kind}


class CheckProtocol(enum.IntEnum):
    """What a health check asks for: see `dataplane.entries.CheckProtocol`."""

    ICMP = 1
    TCP = 2


class PortState(enum.IntEnum):
    """What this node's link to the guest does: see `dataplane.entries.LegState`."""

    ACTIVE = 1
    STANDBY = 2
    LEAVING = 3


class Malformed(Exception):
    """The bytes are no message of ours: cut, altered, or of another version."""


def pack_prefix(prefix: Prefix) -> bytes:
    return bytes((prefix.version, prefix.prefixlen)) + prefix.network_address.packed


def unpack_prefix(raw: bytes) -> Prefix:
    network = IPv4Network if raw[0] == 4 else IPv6Network
    return network((raw[2:], raw[1]))


@dataclass(frozen=True, slots=True)
class Port:
    """A guest's link on this hypervisor. Its addresses are entries of their own."""

    kind: ClassVar[Kind] = Kind.PORT
    port: UUID
    mac: bytes  # 6 bytes
    state: PortState
    name: str  # of the instance: the guest's host name

    def key(self) -> bytes:
        return self.port.bytes

    def value(self) -> bytes:
        return self.mac + bytes((self.state,)) + self.name.encode()

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        return cls(UUID(bytes=key), value[:6], PortState(value[6]), value[7:].decode())


@dataclass(frozen=True, slots=True)
class Address:
    """A prefix on a port of this hypervisor.

    `sequence` > 0: announced from here with it. `fallback`: the VXLAN endpoint of the hypervisor to forward to while
    our link to the guest has no carrier. `host` is what the guest configures: within the prefix, of its version.
    """

    kind: ClassVar[Kind] = Kind.ADDRESS
    prefix: Prefix
    port: UUID
    host: Interface
    sequence: int = 0
    fallback: IPv4Address = NOWHERE

    def key(self) -> bytes:
        return pack_prefix(self.prefix)

    def value(self) -> bytes:
        return self.port.bytes + struct.pack("!Q", self.sequence) + self.fallback.packed + self.host.ip.packed

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        prefix = unpack_prefix(key)
        (sequence,) = struct.unpack("!Q", value[16:24])
        interface = IPv4Interface if prefix.version == 4 else IPv6Interface
        host = interface((value[28:], prefix.prefixlen))
        return cls(prefix, UUID(bytes=value[:16]), host, sequence, IPv4Address(value[24:28]))


@dataclass(frozen=True, slots=True)
class Peer:
    """Another hypervisor of the zone, by its VXLAN endpoint."""

    kind: ClassVar[Kind] = Kind.PEER
    endpoint: IPv4Address

    def key(self) -> bytes:
        return self.endpoint.packed

    def value(self) -> bytes:
        return b""

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:  # noqa: ARG003  one form for all entries
        return cls(IPv4Address(key))


@dataclass(frozen=True, slots=True)
class _PrefixEntry:
    prefix: Prefix

    def key(self) -> bytes:
        return pack_prefix(self.prefix)

    def value(self) -> bytes:
        return b""

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:  # noqa: ARG003
        return cls(unpack_prefix(key))


@dataclass(frozen=True, slots=True)
class NodePrefix(_PrefixEntry):
    """A prefix bound to this node and announced whole: a hypervisor's 10.x and legacy IPv6, a gateway's public ones."""

    kind: ClassVar[Kind] = Kind.PREFIX


@dataclass(frozen=True, slots=True)
class Aggregate(_PrefixEntry):
    """A pool's prefix, which the edge answers as unreachable where nobody announces a part of it."""

    kind: ClassVar[Kind] = Kind.AGGREGATE


@dataclass(frozen=True, slots=True)
class Inbound:
    """Gateway: destination `public` becomes `private`."""

    kind: ClassVar[Kind] = Kind.INBOUND
    public: IPv4Address
    private: IPv4Address

    def key(self) -> bytes:
        return self.public.packed

    def value(self) -> bytes:
        return self.private.packed

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        return cls(IPv4Address(key), IPv4Address(value))


@dataclass(frozen=True, slots=True)
class Outbound:
    """Gateway: source `private` becomes `public`."""

    kind: ClassVar[Kind] = Kind.OUTBOUND
    private: IPv4Address
    public: IPv4Address

    def key(self) -> bytes:
        return self.private.packed

    def value(self) -> bytes:
        return self.public.packed

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        return cls(IPv4Address(key), IPv4Address(value))


@dataclass(frozen=True, slots=True)
class HostNat:
    """1:1 NAT at a port's own link: at most one public address a port, so its key is the port.

    The guest keeps `private`, which is an `Address` of the port too. `inbound`: `public` is routed to the link and
    rewritten there; `outbound`: what the guest sends is rewritten, unless the peer is private. Outbound, announced or
    with a fallback it must be inbound. `sequence` > 0: announced from here with it; `fallback` as of an `Address`.
    """

    kind: ClassVar[Kind] = Kind.HOSTNAT
    port: UUID
    public: IPv4Address
    private: IPv4Address
    inbound: bool
    outbound: bool
    sequence: int = 0
    fallback: IPv4Address = NOWHERE

    def key(self) -> bytes:
        return self.port.bytes

    def value(self) -> bytes:
        return _HOSTNAT.pack(
            self.public.packed,
            self.private.packed,
            self.inbound,
            self.outbound,
            self.sequence,
            self.fallback.packed,
        )

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        public, private, inbound, outbound, sequence, fallback = _HOSTNAT.unpack(value)
        ends = IPv4Address(public), IPv4Address(private)
        return cls(UUID(bytes=key), *ends, inbound, outbound, sequence, IPv4Address(fallback))


_HOSTNAT = struct.Struct("!4s4s??Q4s")


@dataclass(frozen=True, slots=True)
class Fence:
    """Edge: the link to `neighbour` is held down, and with it its BGP session and every route by it.

    `neighbour` is the address of a node's own end of a link; a node with several links takes as many entries.
    """

    kind: ClassVar[Kind] = Kind.FENCE
    neighbour: IPv4Address

    def key(self) -> bytes:
        return self.neighbour.packed

    def value(self) -> bytes:
        return b""

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:  # noqa: ARG003
        return cls(IPv4Address(key))


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Edge: what is for `prefix` is discarded, whoever announces it.

    With a `neighbour` (as of a `Fence`), only what would leave to it, and also what comes from it with such a source:
    the address is fenced from that node, and free to be announced by another. Prefixes of one neighbour must not
    overlap.
    """

    kind: ClassVar[Kind] = Kind.BLACKHOLE
    prefix: Prefix
    neighbour: IPv4Address = NOWHERE

    def key(self) -> bytes:
        return self.neighbour.packed + pack_prefix(self.prefix)

    def value(self) -> bytes:
        return b""

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:  # noqa: ARG003
        return cls(unpack_prefix(key[4:]), IPv4Address(key[:4]))


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Edge: whether who holds `address` answers, as `dataplane.entries.Check` says; told by `Changes`.

    `port` is 0 unless it is TCP's. One that was up is found down within `interval_ms` * `threshold` and the
    least of `interval_ms` and CHECK_TIMEOUT_MS.
    """

    kind: ClassVar[Kind] = Kind.HEALTH_CHECK
    address: IPv4Address | IPv6Address
    holder: UUID
    protocol: CheckProtocol
    port: int
    interval_ms: int
    threshold: int
    hold_down_s: int

    def key(self) -> bytes:
        return self.address.packed

    def value(self) -> bytes:
        numbers = self.protocol, self.port, self.interval_ms, self.threshold, self.hold_down_s
        return self.holder.bytes + _HEALTH_CHECK.pack(*numbers)

    @classmethod
    def unpack(cls, key: bytes, value: bytes) -> Self:
        protocol, *numbers = _HEALTH_CHECK.unpack(value[16:])
        return cls(ip_address(key), UUID(bytes=value[:16]), CheckProtocol(protocol), *numbers)


_HEALTH_CHECK = struct.Struct("!BHIBH")


Entry = Port | Address | Peer | NodePrefix | Aggregate | Inbound | Outbound | HostNat | Fence | Blackhole | HealthCheck
CLASSES: dict[Kind, type[Entry]] = {
    cls.kind: cls
    for cls in (
        Port,
        Address,
        Peer,
        NodePrefix,
        Aggregate,
        Inbound,
        Outbound,
        HostNat,
        Fence,
        Blackhole,
        HealthCheck,
    )
}


@dataclass(frozen=True, slots=True, order=True)
class EntryKey:
    """Names one entry of a node."""

    kind: Kind
    key: bytes

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(entry.kind, entry.key())


def unpack(kind: int, key: bytes, value: bytes) -> Entry:
    """Raises Malformed."""
    try:
        return CLASSES[Kind(kind)].unpack(key, value)
    except (ValueError, struct.error, IndexError) as error:
        raise Malformed(f"entry of kind {kind}: {error}") from error


def describe_entry(entry: Entry) -> str:
    """For a person to read: `address 198.18.16.1/32`."""
    named = getattr(entry, fields(entry)[0].name)
    called = f" ({entry.name})" if isinstance(entry, Port) else ""
    return f"{entry.kind.name.lower()} {named}{called}"


# --- digests ---------------------------------------------------------------------------------------------------------


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


# --- answers (JSON) --------------------------------------------------------------------------------------------------


class Failure(BaseModel):
    """One entry that the kernel does not hold as asked."""

    kind: str
    key: str  # hex
    code: str
    message: str


class State(BaseModel):
    """The heartbeat: where the agent is, and what its kernel was last seen to hold."""

    epoch: int
    generation: int
    digest: dict[str, str]  # of the entries that were read back; by kind


class Realized(State):
    """The answer to a snapshot or delta, after reading the kernel back."""

    failed: list[Failure] = []


class EdgeRoute(BaseModel):
    """Where the edge's kernel sends a prefix: the next hops it would use, best route only."""

    prefix: str
    next_hops: list[str]  # addresses; empty: unreachable or no route


class PrivatePeer(BaseModel):
    """A 10.x address that a guest, at its own 10.x address, exchanges packets with."""

    peer: IPv4Address
    received: int  # packets, by the guest
    sent: int
    seen_seconds_ago: float


class PortTraffic(BaseModel):
    """What hostnat rewrote on a port's link since the link was made, in packets and IPv4 bytes; and private peers.

    The peers are a sample: of a node's many the longest unseen are forgotten. Seen on ports of every mode.
    """

    port: UUID
    inbound_packets: int
    inbound_bytes: int
    outbound_packets: int
    outbound_bytes: int
    private_peers: list[PrivatePeer]


class ProbeTarget(BaseModel):
    """Whom to send echoes to; `size` in bytes of IP packet, never fragmented."""

    address: IPv4Address | IPv6Address
    size: int = Field(ge=64, le=9000)


class Probes(BaseModel):
    """Echoes to send: `count` to each target, and how long the answer to each is waited for."""

    targets: list[ProbeTarget] = Field(min_length=1, max_length=10_000)
    count: int = Field(ge=1, le=50)
    interval_ms: int = Field(ge=5, le=1000)
    timeout_ms: int = Field(ge=10, le=5000)

    @property
    def sending_s(self) -> float:
        """How long sending takes at most; what has no room by then, because others probe too, is not sent."""
        round_s = len(self.targets) / PROBES_PER_SECOND
        return (self.count - 1) * max(self.interval_ms / 1000, round_s) + round_s + PROBES_ROOM_S

    @property
    def bound_s(self) -> float:
        """Within which it is over."""
        return self.sending_s + self.timeout_ms / 1000


class ProbeResult(ProbeTarget):
    """What became of one target's echoes. `sent` below the count asked for: the node was busy with others'."""

    sent: int
    received: int
    rtt_us: tuple[int, int] | None  # least and median; None: no answer


class Condition(enum.StrEnum):
    """What a health check has found: `unknown` until it is answered, or has not been for long enough."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class CheckState(BaseModel):
    """What a health check has found of a holder of an address."""

    address: IPv4Address | IPv6Address
    holder: UUID
    condition: Condition
    missed: int  # probes unanswered in a row
    since_ms: int  # how long ago its condition changed, or it began


class ReversePath(enum.StrEnum):
    """What a link asks of a packet's source: nothing, a route back by the same link, or any route (RFC 3704)."""

    OFF = "off"
    STRICT = "strict"
    LOOSE = "loose"


class Observed(BaseModel):
    """What a node's kernel was set up to and has seen, beside its entries."""

    reverse_path: dict[str, ReversePath]  # of IPv4, in effect; by link
    packets: dict[str, int]
    """By what became of them, since the maps were made: at guests' links `dataplane.guard.REASONS`, at a gateway's
    `dataplane.nat.VERDICTS`, at an edge none."""
    room: int | None = None
    """How many more guests' links the tables of a hypervisor take, hostnat or not; null: no hypervisor."""


class Table(enum.StrEnum):
    """A kernel's table, by the class of its rows in `dataplane.entries`."""

    LEG = "leg"
    GUARD_PORT = "guard_port"
    GUARD_ADDRESS = "guard_address"
    HOST_NAT = "host_nat"
    FORWARD = "forward"
    FALLBACK = "fallback"
    GUEST_ADDRESS = "guest_address"
    ANCHOR = "anchor"
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    FENCE = "fence"
    BLACKHOLE = "blackhole"


class Row(BaseModel):
    """One row of a kernel's table: as the node's last order asks for it, and as the kernel holds it now.

    Both by the names of the row's fields; null: it is not asked for, not there. `unreadable`: why it is not known
    whether it is there.
    """

    table: Table
    wanted: dict[str, str] | None
    seen: dict[str, str] | None
    unreadable: str | None = None


class Rows(BaseModel):
    """What a kernel holds of some ports and prefixes, and how far its node has been told."""

    epoch: int
    generation: int
    rows: list[Row]


class RowLookup(BaseModel):
    """Rows that are asked for: those of these ports' links, and of these prefixes there and in the node's tables."""

    ports: list[UUID] = Field(max_length=1000)
    prefixes: list[IPv4Network | IPv6Network] = Field(max_length=1000)


class DiskState(BaseModel):
    """A port's disk, as it is seen from a node."""

    exists: bool
    in_use: bool  # a guest runs on it, or ran when its host died
    archived_at: str | None  # the URL that holds the same, and if it came from there a fragment; null: none does


class DiskArchive(BaseModel):
    """A guest's disk in an object store: what `archive` answers, and `restore` takes."""

    url: str
    digest: str  # SHA-256 of the object, in hex
    size_bytes: int  # of the object
    left_out: int  # links, devices and the like, which stay behind


class Changes(BaseModel):
    """What happened at an edge since event number `after`: lossy, a wake-up only."""

    next: int
    prefixes: list[str] = []  # whose edge routes changed
    checks: list[str] = []  # addresses of whose holders health checks found something new
