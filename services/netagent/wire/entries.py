"""What a node holds, packed in network byte order."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from typing import ClassVar, Self
from uuid import UUID

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

NOWHERE = IPv4Address(0)


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
