"""Re-derives what nodes must hold of a port, or whatever runs on them, in the transaction that changed a fact."""

from __future__ import annotations

from ipaddress import ip_interface
from uuid import UUID

from common.db import Transaction
from services.placement import modes, snapshot
from services.placement.conversion.steps import CONVERSIONS, Path, Stage, path
from services.placement.model import Claim, Port, Prefix, Zone
from services.placement.move import Kind, Passage, Seat, Step, announcer, seats
from services.placement.node_addresses import host_of
from services.placement.snapshot import FlexibleAddress, NodeBound, PortFacts, Sequenced
from services.placement.store import entries, instances, nodes


def passage_of(claim: Claim | None) -> Passage | None:
    """A claim's part in where the port is; a conversion has none."""
    if claim is None or claim.kind in CONVERSIONS:
        return None
    return Passage(Kind(claim.kind), Step(claim.step), claim.source_id, claim.destination_id)


def path_of(port: Port) -> Path | None:
    """How far the central NAT, or its own hypervisor's, serves a port; None: it has no part in either."""
    if port.claim is not None and port.claim.kind in CONVERSIONS:
        return path(Stage[port.claim.step.upper()])
    return {modes.NAT: path(Stage.NAT), modes.HOSTNAT: path(Stage.SWITCHED)}.get(port.mode)


def announces(port: Port) -> bool:
    """Whether the port's flexible addresses are announced by its hypervisor."""
    where = path_of(port)
    return where.announced if where is not None else port.mode == modes.ROUTED


def announced_prefixes(tx: Transaction, port: Port) -> list[Prefix]:
    """What its hypervisor announces of a running port: its flexible addresses, and node-bound ones that went along."""
    found = [address.prefix for address in port.addresses] if announces(port) else []
    if not modes.MODES[port.mode].rebinds:
        found += instances.sequences(tx, [held.prefix for held in port.node_addresses])
    return found


def derive_port(tx: Transaction, port: Port) -> set[UUID]:
    """Bring the entries of `port` up to date on every node; return the nodes that change. The port is locked."""
    where = seats(port.node_id, passage_of(port.claim))
    nat_path = path_of(port)
    gateways = []
    if nat_path is not None and nat_path.mapping:
        nodes.hold_members(tx, port.instance.zone)
        gateways = nodes.nodes_of_zone(tx, port.instance.zone, "gateway")
    hypervisors = {node.id: node for seat in where if (node := nodes.node(tx, seat.node))}
    facts = PortFacts(
        port=port.id,
        name=port.instance.name,
        mac=port.mac,
        path=nat_path,
        owns=port.mode == modes.ROUTED,
        rebinds=modes.MODES[port.mode].rebinds,
        seats=where,
        addresses=_addresses(tx, port, where),
        node_bound=_node_bound(tx, port, where),
        gateways=[gateway.id for gateway in gateways],
        endpoints={node_id: node.endpoint for node_id, node in hypervisors.items()},
    )
    asked_by = UUID(port.claim.operation_id.removeprefix("placement-")) if port.claim else port.target_id
    return entries.replace(tx, port.id, snapshot.port_entries(facts), asked_by)


def _node_bound(tx: Transaction, port: Port, where: tuple[Seat, ...]) -> list[NodeBound]:
    """The port's node-bound addresses; one that went along to another node is announced there, also when it is back."""
    held = sorted(port.node_addresses, key=lambda one: (one.prefix.version, int(one.prefix.network_address)))
    sequences: dict[Prefix, Sequenced] = {}
    from_node = announcer(where)
    if not modes.MODES[port.mode].rebinds and from_node is not None:
        moved = instances.sequences(tx, [one.prefix for one in held])
        away = [one.prefix for one in held if one.prefix in moved or one.node_id != from_node]
        sequences = instances.announce_from(tx, away, from_node)
    return [NodeBound(one.node_id, one.prefix, host_of(one.prefix), sequences.get(one.prefix)) for one in held]


def _addresses(tx: Transaction, port: Port, where: tuple[Seat, ...]) -> list[FlexibleAddress]:
    """The port's flexible addresses with their sequences, which rise here when a new hypervisor announces them."""
    from_node = announcer(where)
    prefixes = [address.prefix for address in port.addresses]
    if announces(port) and from_node is not None:
        sequences = instances.announce_from(tx, prefixes, from_node)
    else:
        sequences = instances.sequences(tx, prefixes)
    unannounced = Sequenced(0, None, None)
    return [
        FlexibleAddress(address.prefix, ip_interface(address.host), sequences.get(address.prefix, unannounced))
        for address in port.addresses
    ]


def derive_zone(tx: Transaction, zone: Zone) -> set[UUID]:
    """Bring the entries that every node of `zone` holds whatever runs on it up to date."""
    changed: set[UUID] = set()
    members = nodes.nodes_of_zone(tx, zone.name)
    zone_prefixes = nodes.zone_prefixes(tx, zone.name)
    hypervisors = [node for node in members if node.role == "hypervisor"]
    for node in members:
        own = [prefix for prefix in (node.private_prefix, node.legacy_prefix) if prefix is not None]
        peers = [other.endpoint for other in hypervisors if other.id != node.id]
        wanted = snapshot.node_entries(node.role, own, zone_prefixes, peers)
        changed |= entries.replace(tx, node.id, {node.id: wanted})
    return changed
