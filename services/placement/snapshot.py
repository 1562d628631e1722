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
from services.placement.conversion.steps import Path
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
    """A 10.x or legacy IPv6 of the port, and the node whose prefix it is from.

    `sequence`: it went along to another node, and is announced on its own.
    """

    node: UUID
    prefix: Prefix
    host: Interface
    sequence: Sequenced | None = None


@dataclass(frozen=True, slots=True)
class PortFacts:
    """All that decides a port's entries."""

    port: UUID
    name: str
    mac: str
    path: Path | None  # how far the central NAT, or its own hypervisor's, serves it; None: neither
    owns: bool  # the guest has its flexible addresses itself
    rebinds: bool  # it gets other node-bound addresses on each node
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
        fallback = facts.endpoints[seat.fallback] if seat.fallback else wire.NOWHERE
        entries[seat.node] = [
            wire.Port(facts.port, bytes.fromhex(facts.mac.replace(":", "")), seat.state, facts.name),
            *_node_bound(facts, seat, fallback, newest=seat.node == last),
            *_flexible(facts, seat, fallback),
        ]
    if facts.path is not None and facts.path.mapping and (mapping := _mappings(facts)):
        entries.update(dict.fromkeys(facts.gateways, mapping))
    return entries


def _node_bound(facts: PortFacts, seat: Seat, fallback: IPv4Address, *, newest: bool) -> list[wire.Entry]:
    """Those that change with the node: the destination takes the source's along until the source is withdrawn."""
    seated = {other.node for other in facts.seats}
    return [
        wire.Address(
            bound.prefix,
            facts.port,
            bound.host,
            bound.sequence.on(seat.node) if bound.sequence and seat.announces else 0,
            fallback,
        )
        for bound in facts.node_bound
        if not facts.rebinds or bound.node == seat.node or (newest and bound.node in seated)
    ]


def _flexible(facts: PortFacts, seat: Seat, fallback: IPv4Address) -> list[wire.Entry]:
    if facts.owns:
        return [
            wire.Address(
                address.prefix,
                facts.port,
                address.host,
                address.sequence.on(seat.node) if seat.announces else 0,
                fallback,
            )
            for address in facts.addresses
        ]
    path, private = facts.path, next(iter(_private(facts)), None)
    if path is None or not path.inbound or private is None:
        return []
    return [
        wire.HostNat(
            facts.port,
            public,
            private,
            path.inbound,
            path.outbound,
            address.sequence.on(seat.node) if path.announced and seat.announces else 0,
            fallback,
        )
        for address in facts.addresses
        if isinstance(public := address.prefix.network_address, IPv4Address)
    ]


def _private(facts: PortFacts) -> dict[IPv4Address, UUID]:
    """The port's 10.x addresses that are in use, and the node each is of."""
    seated = {seat.node for seat in facts.seats}
    return {
        address: bound.node
        for bound in facts.node_bound
        if isinstance(address := bound.prefix.network_address, IPv4Address)
        and (bound.node in seated or not facts.rebinds)
    }


def _mappings(facts: PortFacts) -> list[wire.Entry]:
    found: list[wire.Entry] = []
    for address in facts.addresses:
        public = address.prefix.network_address
        if not isinstance(public, IPv4Address) or not facts.seats:
            continue
        for private, node in _private(facts).items():
            found.append(wire.Outbound(private, public))
            if node == announcer(facts.seats):
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
