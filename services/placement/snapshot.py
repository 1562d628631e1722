"""What each node must hold for one port. Pure: the same facts always give the same entries.

Everything a node holds of a port is derived here, in one place, from where the port is, how far its move is, and which
addresses it has; nothing is patched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any
from uuid import UUID

from services.netagent import wire
from services.placement import modes
from services.placement.conversion.steps import Path, Stage, path
from services.placement.move import Seat, announcer
from services.placement.node_addresses import host_of

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Sequenced:
    """An address's sequence: it is `current` on `node`, and was one less on `previous`."""

    current: int
    node: UUID | None
    previous: UUID | None

    def away_from(self, home: UUID) -> bool:
        """Whether it was ever announced elsewhere than `home`: then it goes on being announced, wherever it is."""
        return self.current > 1 or self.node not in {None, home}

    def on(self, node: UUID) -> int:
        """The sequence with which `node` announces the address; 0: it does not."""
        if node == self.node:
            return self.current
        return self.current - 1 if node == self.previous else 0


UNANNOUNCED = Sequenced(0, None, None)


@dataclass(frozen=True, slots=True)
class FlexibleAddress:
    """An address of the port's AddressSet. `home`: it is a carried prefix, and this node's own one covers it."""

    prefix: Prefix
    host: Interface
    sequence: Sequenced
    home: UUID | None = None


@dataclass(frozen=True, slots=True)
class NodeBound:
    """A 10.x or legacy IPv6 of the port, and the node whose prefix it is from. `rebinds`: it stays there on a move."""

    node: UUID
    prefix: Prefix
    host: Interface
    rebinds: bool
    sequence: Sequenced = UNANNOUNCED


@dataclass(frozen=True, slots=True)
class Held:
    """A node-bound address that a port holds, and whether it is to become the ledger's."""

    node: UUID
    prefix: Prefix
    carried: bool


def node_bound(
    mode: str,
    held: Sequence[Held],
    flexible: Collection[Prefix],
    seats: Sequence[Seat],
    rebinds_to: UUID | None,
    sequences: Mapping[Prefix, Sequenced],
) -> list[NodeBound]:
    """The node-bound addresses that a port's guest has; one that is `flexible` by now is the ledger's.

    One that went along while the port was `hostnat` stays along when it is `nat` again, until a move of it
    (`move.rebinds_to`).
    """
    of_mode = modes.MODES[mode]
    seated = {seat.node for seat in seats}
    return [
        NodeBound(
            one.node,
            one.prefix,
            host_of(one.prefix),
            of_mode.rebinds and not one.carried and (one.node in seated or rebinds_to is not None),
            sequences.get(one.prefix, UNANNOUNCED),
        )
        for one in sorted(held, key=lambda one: (one.prefix.version, int(one.prefix.network_address)))
        if of_mode.node_bound and one.prefix not in flexible
    ]


def settled_path(mode: str) -> Path | None:
    """How far the central NAT, or its own hypervisor's, serves a port that is not being converted."""
    return {modes.NAT: path(Stage.NAT), modes.HOSTNAT: path(Stage.SWITCHED)}.get(mode)


@dataclass(frozen=True, slots=True)
class PortFacts:
    """All that decides a port's entries."""

    port: UUID
    name: str
    mac: str
    path: Path | None  # how far the central NAT, or its own hypervisor's, serves it; None: neither
    owns: bool  # the guest has its flexible addresses itself
    seats: Sequence[Seat]
    addresses: Sequence[FlexibleAddress]
    node_bound: Sequence[NodeBound]
    gateways: Sequence[UUID]
    endpoints: Mapping[UUID, IPv4Address]  # VXLAN endpoint of each hypervisor among the seats
    checks: Sequence[wire.HealthCheck] = ()
    edges: Sequence[UUID] = ()  # who run them

    def all_addresses(self) -> list[FlexibleAddress | NodeBound]:
        return [*self.addresses, *self.node_bound]


Entries = dict[UUID, list[wire.Entry]]


def announced(facts: PortFacts, node: UUID) -> list[Prefix]:
    """The addresses that `node` announces one by one when it is the port's announcer."""
    return [one.prefix for one in facts.all_addresses() if _is_announced(facts, one, node)]


def _is_announced(facts: PortFacts, address: FlexibleAddress | NodeBound, node: UUID) -> bool:
    if isinstance(address, NodeBound):
        return not address.rebinds and _went_along(address.sequence, address.node, node)
    if facts.owns or facts.path is None:
        return facts.owns
    carried = address.home is not None and _went_along(address.sequence, address.home, node)
    return facts.path.announced or carried


def _went_along(sequence: Sequenced, home: UUID, node: UUID) -> bool:
    """Whether an address that a node's prefix covers must be announced on its own: it is, or was, elsewhere."""
    return node != home or sequence.away_from(home)


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
    if facts.checks:
        entries.update({edge: list(facts.checks) for edge in facts.edges})
    return entries


def health_check(port: UUID, path: Path | None, host: Interface, spec: Mapping[str, Any]) -> wire.HealthCheck | None:
    """The check of an address, by the spec the ledger has of it; its holder is the port.

    None: by TCP behind the central NAT, past which the answer comes, from the private address.
    """
    protocol = wire.CheckProtocol[spec["protocol"].upper()]
    if protocol is wire.CheckProtocol.TCP and path is not None and not path.outbound:
        return None
    limits = spec["interval_ms"], spec["threshold"], spec["hold_down_s"]
    return wire.HealthCheck(host.ip, port, protocol, spec["port"] or 0, *limits)


def _node_bound(facts: PortFacts, seat: Seat, fallback: IPv4Address, *, newest: bool) -> list[wire.Entry]:
    """Those that change with the node: the destination takes the source's along until the source is withdrawn."""
    seated = {other.node for other in facts.seats}
    return [
        wire.Address(bound.prefix, facts.port, bound.host, _sequence(facts, seat, bound), fallback)
        for bound in facts.node_bound
        if not bound.rebinds or bound.node == seat.node or (newest and bound.node in seated)
    ]


def _flexible(facts: PortFacts, seat: Seat, fallback: IPv4Address) -> list[wire.Entry]:
    """The guest has a flexible address itself if it owns it, or always had it: a carried prefix."""
    if facts.path is None and not facts.owns:
        return []
    found: list[wire.Entry] = []
    private = next(iter(_private(facts)), None)
    for address in facts.addresses:
        sequence = _sequence(facts, seat, address)
        public = address.prefix.network_address
        if facts.owns or not isinstance(public, IPv4Address):
            found.append(wire.Address(address.prefix, facts.port, address.host, sequence, fallback))
        elif facts.path is not None and facts.path.inbound and private is not None:
            ways = facts.path.inbound, facts.path.outbound
            found.append(wire.HostNat(facts.port, public, private, *ways, sequence, fallback))
    return found


def _sequence(facts: PortFacts, seat: Seat, address: FlexibleAddress | NodeBound) -> int:
    """The sequence with which the seat's node announces an address; 0: it does not."""
    return address.sequence.on(seat.node) if seat.announces and _is_announced(facts, address, seat.node) else 0


def _private(facts: PortFacts) -> dict[IPv4Address, UUID]:
    """The port's 10.x addresses that are in use, and the node each is of."""
    seated = {seat.node for seat in facts.seats}
    return {
        address: bound.node
        for bound in facts.node_bound
        if isinstance(address := bound.prefix.network_address, IPv4Address)
        and (bound.node in seated or not bound.rebinds)
    }


def _mappings(facts: PortFacts) -> list[wire.Entry]:
    """Inbound to the 10.x of the announcer's own prefix, or to one that went along; outbound from each."""
    private = _private(facts)
    by_node = {node: address for address, node in private.items()}
    inbound = by_node.get(node) if (node := announcer(facts.seats)) else None
    if inbound is None and facts.seats:
        inbound = next((one for one, of in private.items() if of not in {seat.node for seat in facts.seats}), None)
    found: list[wire.Entry] = []
    for address in facts.addresses:
        public = address.prefix.network_address
        if isinstance(public, IPv4Address) and facts.seats:
            found += [wire.Outbound(one, public) for one in private]
            found += [wire.Inbound(public, inbound)] if inbound else []
    return found


def fence_entries(neighbours: Sequence[str]) -> list[wire.Entry]:
    """What an edge holds of a node that is held apart: each of its links is down."""
    return [wire.Fence(IPv4Address(neighbour)) for neighbour in neighbours]


def node_entries(
    role: str, own: Sequence[Prefix], zone_prefixes: Sequence[Prefix], peers: Sequence[IPv4Address], *, nat: bool
) -> list[wire.Entry]:
    """What a node holds whatever runs on it: its own prefixes, its peers, the zone's prefixes by its role.

    `nat`: whether the zone has the central NAT; without it its gateways announce nothing.
    """
    if role == "hypervisor":
        return [*(wire.NodePrefix(prefix) for prefix in own), *(wire.Peer(endpoint) for endpoint in peers)]
    if role == "gateway":
        return [wire.NodePrefix(prefix) for prefix in zone_prefixes if prefix.version == 4 and nat]
    return [wire.Aggregate(prefix) for prefix in zone_prefixes]
