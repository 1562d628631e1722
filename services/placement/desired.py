"""Re-derives what nodes must hold of a port, or whatever runs on them, in the transaction that changed a fact."""

from __future__ import annotations

from ipaddress import ip_interface
from uuid import UUID

from common.db import Transaction
from services.placement import modes, snapshot
from services.placement.model import Claim, NodeAddress, Port, Zone
from services.placement.move import Kind, Passage, Seat, Step, announcer, seats
from services.placement.node_addresses import host_of
from services.placement.snapshot import FlexibleAddress, NodeBound, PortFacts, Sequenced
from services.placement.store import entries, instances, nodes


def passage_of(claim: Claim | None) -> Passage | None:
    if claim is None:
        return None
    return Passage(Kind(claim.kind), Step(claim.step), claim.source_id, claim.destination_id)


def derive_port(tx: Transaction, port: Port) -> set[UUID]:
    """Bring the entries of `port` up to date on every node; return the nodes that change. The port is locked."""
    where = seats(port.node_id, passage_of(port.claim))
    gateways = []
    if port.mode == modes.NAT:
        nodes.hold_members(tx, port.instance.zone)
        gateways = nodes.nodes_of_zone(tx, port.instance.zone, "gateway")
    hypervisors = {node.id: node for seat in where if (node := nodes.node(tx, seat.node))}
    facts = PortFacts(
        port=port.id,
        name=port.instance.name,
        mac=port.mac,
        mode=port.mode,
        seats=where,
        addresses=_addresses(tx, port, where),
        node_bound=[NodeBound(held.node_id, held.prefix, host_of(held.prefix)) for held in _bound(port)],
        gateways=[gateway.id for gateway in gateways],
        endpoints={node_id: node.endpoint for node_id, node in hypervisors.items()},
    )
    asked_by = UUID(port.claim.operation_id.removeprefix("placement-")) if port.claim else port.target_id
    return entries.replace(tx, port.id, snapshot.port_entries(facts), asked_by)


def _bound(port: Port) -> list[NodeAddress]:
    return sorted(port.node_addresses, key=lambda held: (held.prefix.version, int(held.prefix.network_address)))


def _addresses(tx: Transaction, port: Port, where: tuple[Seat, ...]) -> list[FlexibleAddress]:
    """The port's flexible addresses with their sequences, which rise here when a new hypervisor announces them."""
    from_node = announcer(where)
    prefixes = [address.prefix for address in port.addresses]
    if modes.MODES[port.mode].announces and from_node is not None:
        sequences = {prefix: instances.announce_from(tx, prefix, from_node) for prefix in prefixes}
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
