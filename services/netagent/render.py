"""From what placement says to rows of the kernel's tables. Pure; one wire entry at a time, at constant cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from uuid import UUID

from dataplane.entries import (
    Anchor,
    Blackhole,
    Check,
    CheckProtocol,
    Discard,
    Entry,
    Fallback,
    Fence,
    Forward,
    GuardAddress,
    GuardPort,
    GuestAddress,
    HostNat,
    Inbound,
    Leg,
    LegState,
    Outbound,
    Peer,
)
from services.netagent import wire

NODE_SEQUENCE = 1  # of prefixes bound to a node: they never move
OF_GUESTS = {4: 32, 6: 64}  # so long at least are guests' prefixes, by IP version, and those of nodes and pools are not
STATES = {
    wire.PortState.ACTIVE: LegState.ACTIVE,
    wire.PortState.STANDBY: LegState.STANDBY,
    wire.PortState.LEAVING: LegState.LEAVING,
}


class Unrenderable(Exception):
    """An entry that means nothing by itself; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def guest_name(port: UUID) -> str:
    """What the guest of a port is called by drivers."""
    return port.hex


def link_of(guest: str) -> str:
    """The name of a guest's leg: an interface name holds 15 characters."""
    return "g" + guest[:12]


def link_name(port: UUID) -> str:
    return link_of(guest_name(port))


def render(entry: wire.Entry, ports: Mapping[UUID, wire.Port]) -> list[Entry]:
    """The rows that `entry` asks for; `ports` are this node's. Raises Unrenderable.

    A guest's own addresses are this node's business only while its active leg is here.
    """
    match entry:
        case wire.Port():
            mac = entry.mac.hex(":")
            link = link_name(entry.port)
            leg = Leg(link, guest_name(entry.port), mac, STATES[entry.state], entry.name)
            rows: list[Entry] = [leg, GuardPort(link, mac)]
        case wire.Address():
            rows = _address(entry, ports)
        case wire.Peer():
            rows = [Peer(entry.endpoint)]
        case wire.NodePrefix():
            rows = [Anchor(entry.prefix, NODE_SEQUENCE)]
        case wire.Aggregate():
            rows = [Discard(entry.prefix)]
        case wire.Inbound():
            rows = [Inbound(entry.public, entry.private)]
        case wire.Outbound():
            rows = [Outbound(entry.private, entry.public)]
        case wire.HostNat():
            rows = _hostnat(entry, ports)
        case wire.Fence():
            rows = [Fence(entry.neighbour)]
        case wire.Blackhole():
            rows = [Blackhole(entry.prefix, None if entry.neighbour == wire.NOWHERE else entry.neighbour)]
        case wire.HealthCheck():
            rows = [_check(entry)]
    return rows


def held(rows: Collection[Entry]) -> set[wire.EntryKey]:
    """The entries that `rows` were made of: the reverse of `render`, by those rows that stand for one.

    An announcement without a route is taken for an address's, or for a node's own prefix, by its length.
    """
    guests = {row.link: row.guest for row in rows if isinstance(row, Leg)}
    mapped = {row.public for row in rows if isinstance(row, HostNat)}
    found = (_entry_of(row, guests) for row in rows if not _is_mapped(row, mapped))
    return {key for key in found if key is not None}


def _is_mapped(row: Entry, public: Collection[IPv4Address | IPv6Address]) -> bool:
    """Whether a row is there for a HostNat, which has one that stands for it."""
    return isinstance(row, Forward | Anchor) and row.prefix.network_address in public


def _entry_of(row: Entry, guests: Mapping[str, str]) -> wire.EntryKey | None:
    """`guests`: by their legs' links."""
    key = None
    match row:
        case Leg():
            key = wire.EntryKey(wire.Kind.PORT, UUID(row.guest).bytes)
        case HostNat() if row.link in guests:
            key = wire.EntryKey(wire.Kind.HOSTNAT, UUID(guests[row.link]).bytes)
        case Anchor() if row.prefix.prefixlen < OF_GUESTS[row.prefix.version]:
            key = wire.EntryKey(wire.Kind.PREFIX, wire.pack_prefix(row.prefix))
        case Anchor() | Forward():
            key = wire.EntryKey(wire.Kind.ADDRESS, wire.pack_prefix(row.prefix))
        case Peer():
            key = wire.EntryKey.of(wire.Peer(row.endpoint))
        case Discard():
            key = wire.EntryKey.of(wire.Aggregate(row.prefix))
        case Inbound():
            key = wire.EntryKey.of(wire.Inbound(row.public, row.private))
        case Outbound():
            key = wire.EntryKey.of(wire.Outbound(row.private, row.public))
        case Fence():
            key = wire.EntryKey.of(wire.Fence(row.neighbour))
        case Blackhole():
            key = wire.EntryKey.of(wire.Blackhole(row.prefix, row.neighbour or wire.NOWHERE))
        case Check():
            key = wire.EntryKey(wire.Kind.HEALTH_CHECK, row.address.packed)
    return key


def _check(entry: wire.HealthCheck) -> Check:
    protocol = CheckProtocol[entry.protocol.name]
    if (entry.port == 0) is (protocol is CheckProtocol.TCP) or not entry.interval_ms or not entry.threshold:
        raise Unrenderable("agent.check.senseless", f"{entry} asks for nothing that could be found")
    limits = entry.interval_ms, entry.threshold, entry.hold_down_s
    return Check(entry.address, entry.holder, protocol, entry.port, *limits)


def _address(entry: wire.Address, ports: Mapping[UUID, wire.Port]) -> list[Entry]:
    port = _port_of(entry, ports)
    link = link_name(entry.port)
    rows: list[Entry] = [GuardAddress(link, entry.prefix), Forward(entry.prefix, link, port.mac.hex(":"))]
    if entry.fallback != wire.NOWHERE:
        rows.append(Fallback(entry.prefix, entry.fallback))
    if port.state is wire.PortState.ACTIVE:
        rows.append(GuestAddress(guest_name(entry.port), entry.host))
    if entry.sequence > 0:
        rows.append(Anchor(entry.prefix, entry.sequence))
    return rows


def _hostnat(entry: wire.HostNat, ports: Mapping[UUID, wire.Port]) -> list[Entry]:
    """What the rewrite needs: the guard, which lies inside of it, lets the private address pass in both directions;
    the public one is routed to the link, with a neighbour, for the guest does not answer ARP for it."""
    port = _port_of(entry, ports)
    if not entry.inbound and (entry.outbound or entry.sequence or entry.fallback != wire.NOWHERE):
        raise Unrenderable("agent.hostnat.not_inbound", f"{entry.public} would be lost: the port takes nothing for it")
    link, public = link_name(entry.port), IPv4Network(entry.public)
    rows: list[Entry] = [
        GuardAddress(link, IPv4Network(entry.private)),
        HostNat(link, entry.public, entry.private, entry.inbound, entry.outbound),
    ]
    if entry.inbound:
        rows.append(Forward(public, link, port.mac.hex(":")))
    if entry.fallback != wire.NOWHERE:
        rows.append(Fallback(public, entry.fallback))
    if entry.sequence > 0:
        rows.append(Anchor(public, entry.sequence))
    return rows


def _port_of(entry: wire.Address | wire.HostNat, ports: Mapping[UUID, wire.Port]) -> wire.Port:
    port = ports.get(entry.port)
    if port is None:
        what = entry.prefix if isinstance(entry, wire.Address) else entry.public
        raise Unrenderable("agent.entry.no_port", f"{what} is on port {entry.port}, which is not here")
    return port
