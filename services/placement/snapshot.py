"""What each node must hold for one port. Pure: the same facts always give the same entries.

Everything a node holds of a port is derived here, in one place, from where the port is, how far its move is, and which
addresses it has; nothing is patched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from uuid import UUID

from services.netagent import wire
from services.placement import modes
from services.placement.move import Seat, announcer

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Sequenced:
    """An address's sequence: it is `current` on `node`, and was one less on `previous`."""

    current: int
    node: UUID | None
    previous: UUID | None

    def on(self, node: UUID) -> int:
        """The sequence with which `node` announces the address; 0: it does not."""
        if node == self.node:
            return self.current
        return self.current - 1 if node == self.previous else 0


@dataclass(frozen=True, slots=True)
class FlexibleAddress:
    """An address of the port's AddressSet."""

    prefix: Prefix
    host: Interface
    sequence: Sequenced


@dataclass(frozen=True, slots=True)
class NodeBound:
    """A 10.x or legacy IPv6 of the port, and the node whose prefix it is from."""

    node: UUID
    prefix: Prefix
    host: Interface


@dataclass(frozen=True, slots=True)
class PortFacts:
    """All that decides a port's entries."""

    port: UUID
    name: str
    mac: str
    mode: str
    seats: Sequence[Seat]
    addresses: Sequence[FlexibleAddress]
    node_bound: Sequence[NodeBound]
    gateways: Sequence[UUID]
    endpoints: Mapping[UUID, IPv4Address]  # VXLAN endpoint of each hypervisor among the seats


Entries = dict[UUID, list[wire.Entry]]


def port_entries(facts: PortFacts) -> Entries:
    """The entries of `facts.port` on every node that holds any."""
    entries: Entries = {}
    last = facts.seats[-1].node if facts.seats else None
    for seat in facts.seats:
        entries[seat.node] = [
            wire.Port(facts.port, bytes.fromhex(facts.mac.replace(":", "")), seat.state, facts.name),
            *_seat_addresses(facts, seat, newest=seat.node == last),
        ]
    if facts.mode == modes.NAT and facts.seats and (mapping := _mappings(facts)):
        entries.update(dict.fromkeys(facts.gateways, mapping))
    return entries


def _seat_addresses(facts: PortFacts, seat: Seat, *, newest: bool) -> list[wire.Entry]:
    fallback = facts.endpoints[seat.fallback] if seat.fallback else wire.NOWHERE
    seated = {other.node for other in facts.seats}
    found: list[wire.Entry] = [
        # The destination takes the source's along until the source is withdrawn; the source has its own alone.
        wire.Address(bound.prefix, facts.port, bound.host, 0, fallback)
        for bound in facts.node_bound
        if bound.node == seat.node or (newest and bound.node in seated)
    ]
    if modes.MODES[facts.mode].announces:
        found += [
            wire.Address(
                address.prefix,
                facts.port,
                address.host,
                address.sequence.on(seat.node) if seat.announces else 0,
                fallback,
            )
            for address in facts.addresses
        ]
    return found


def _mappings(facts: PortFacts) -> list[wire.Entry]:
    seated = {seat.node for seat in facts.seats}
    found: list[wire.Entry] = []
    for address in facts.addresses:
        public = address.prefix.network_address
        if not isinstance(public, IPv4Address):
            continue
        for bound in facts.node_bound:
            private = bound.prefix.network_address
            if not isinstance(private, IPv4Address) or bound.node not in seated:
                continue
            found.append(wire.Outbound(private, public))
            if bound.node == announcer(facts.seats):
                found.append(wire.Inbound(public, private))
    return found


def node_entries(
    role: str, own: Sequence[Prefix], zone_prefixes: Sequence[Prefix], peers: Sequence[IPv4Address]
) -> list[wire.Entry]:
    """What a node holds whatever runs on it: its own prefixes, its peers, the zone's prefixes by its role."""
    if role == "hypervisor":
        return [*(wire.NodePrefix(prefix) for prefix in own), *(wire.Peer(endpoint) for endpoint in peers)]
    if role == "gateway":
        return [wire.NodePrefix(prefix) for prefix in zone_prefixes if prefix.version == 4]
    return [wire.Aggregate(prefix) for prefix in zone_prefixes]
