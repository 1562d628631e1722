"""Re-derives what nodes must hold of a port, or whatever runs on them, in the transaction that changed a fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_interface
from uuid import UUID

from common.db import Transaction
from services.netagent import wire
from services.placement import bells, modes, snapshot
from services.placement.conversion.steps import CONVERSIONS, Path, Stage, path
from services.placement.model import Claim, Port, Prefix, Zone
from services.placement.move import Kind, Passage, Step, announcer, rebinds_to, seats
from services.placement.snapshot import UNANNOUNCED, FlexibleAddress, PortFacts, Sequenced
from services.placement.store import entries, instances, nodes
from services.placement.store.operations import uuid_of


def passage_of(claim: Claim | None) -> Passage | None:
    """A claim's part in where the port is; a conversion has none."""
    if claim is None or claim.kind in CONVERSIONS:
        return None
    return Passage(Kind(claim.kind), Step(claim.step), claim.source_id, claim.destination_id)


def path_of(port: Port) -> Path | None:
    """How far the central NAT, or its own hypervisor's, serves a port; None: it has no part in either."""
    if port.claim is not None and port.claim.kind in CONVERSIONS:
        return path(Stage[port.claim.step.upper()])
    return snapshot.settled_path(port.mode)


def announced_prefixes(facts: PortFacts) -> list[Prefix]:
    """What is announced of a port one by one now, by the hypervisor that announces it."""
    node = announcer(facts.seats)
    return snapshot.announced(facts, node) if node else []


def derive_port(tx: Transaction, port: Port) -> set[UUID]:
    """`derive_ports` of one."""
    return derive_ports(tx, [port])


def derive_ports(tx: Transaction, ports: Sequence[Port]) -> set[UUID]:
    """Bring the entries of `ports`, which are locked, up to date on every node; return the nodes that change.

    The sequence of an address rises here when another node announces it.
    """
    facts = port_facts(tx, ports)
    announcers = {
        prefix: node
        for one in facts.values()
        if (node := announcer(one.seats))
        for prefix in snapshot.announced(one, node)
    }
    sequences = instances.announce_from(tx, announcers)
    mapped = {port.instance.zone for port in ports if (path := facts[port.id].path) and path.mapping}
    gateways = {zone: nodes.members(tx, zone, "gateway") for zone in sorted(mapped)}
    checked = {port.instance.zone for port in ports if any(address.candidates for address in port.addresses)}
    edges = {zone: nodes.members(tx, zone, "edge") for zone in sorted(checked)}
    wanted = {}
    for port in ports:
        now = _now(facts[port.id], sequences, gateways.get(port.instance.zone, []))
        now = replace(now, checks=_checks(port), edges=edges.get(port.instance.zone, []))
        wanted[port.id] = snapshot.port_entries(now)
    changed = entries.replace(tx, wanted, {port.id: _asked_by(port) for port in ports})
    awaited = {seat.node for one in facts.values() for seat in one.seats}.union(*gateways.values())
    for changed_node in nodes.by_id(tx, changed - awaited):
        if changed_node.role == "edge":  # nobody waits for checks
            tx.ring(bells.NODE, str(changed_node.id))
    return changed


def _checks(port: Port) -> list[wire.HealthCheck]:
    """The health checks of a port's failover addresses; none while it is being made or taken away."""
    if port.claim is not None and port.claim.kind in {Kind.CREATE, Kind.DELETE}:
        return []
    found = [
        snapshot.health_check(port.id, path_of(port), ip_interface(address.host), address.health_check)
        for address in port.addresses
        if address.health_check is not None
    ]
    return [check for check in found if check is not None]


def _asked_by(port: Port) -> UUID:
    """Whose wish it is that a port's entries go."""
    return uuid_of(port.claim.operation_id) if port.claim else port.target_id


def port_facts(tx: Transaction, ports: Sequence[Port]) -> dict[UUID, PortFacts]:
    """What decides each port's entries, but for the gateways, with the sequences that its addresses have now."""
    where = {port.id: seats(port.node_id, passage_of(port.claim)) for port in ports}
    seated = nodes.by_id(tx, {seat.node for found in where.values() for seat in found})
    endpoints = {node.id: node.endpoint for node in seated}
    flexible = [address.prefix for port in ports for address in port.addresses]
    bound = [held.prefix for port in ports for held in port.node_addresses]
    sequences = instances.sequences(tx, flexible + bound)
    homes = instances.homes(tx, [prefix for prefix in flexible if prefix.version == 6])
    return {
        port.id: PortFacts(
            port=port.id,
            name=port.instance.name,
            mac=port.mac,
            path=path_of(port),
            owns=port.mode == modes.ROUTED,
            seats=where[port.id],
            addresses=[
                FlexibleAddress(
                    address.prefix,
                    ip_interface(address.host),
                    sequences.get(address.prefix, UNANNOUNCED),
                    homes.get(address.prefix),
                )
                for address in port.addresses
            ],
            node_bound=snapshot.node_bound(
                port.mode,
                [snapshot.Held(held.node_id, held.prefix, held.carried) for held in port.node_addresses],
                {address.prefix for address in port.addresses},
                where[port.id],
                rebinds_to(passage_of(port.claim)),
                sequences,
            ),
            gateways=(),
            endpoints=endpoints,
        )
        for port in ports
    }


def _now(facts: PortFacts, sequences: Mapping[Prefix, Sequenced], gateways: Sequence[UUID]) -> PortFacts:
    """The same with the gateways, and the sequences that some of its addresses have got."""
    return replace(
        facts,
        addresses=[replace(one, sequence=sequences.get(one.prefix, one.sequence)) for one in facts.addresses],
        node_bound=[replace(one, sequence=sequences.get(one.prefix, one.sequence)) for one in facts.node_bound],
        gateways=gateways,
    )


def derive_zone(tx: Transaction, zone: Zone, asked_by: UUID | None = None) -> set[UUID]:
    """Bring the entries that every node of `zone` holds whatever runs on it up to date.

    `asked_by`: the Operation whose wish it is that entries go.
    """
    holds: dict[UUID, snapshot.Entries] = {}
    members = nodes.nodes_of_zone(tx, zone.name)
    zone_prefixes = nodes.zone_prefixes(tx, zone.name)
    hypervisors = [node for node in members if node.role == "hypervisor"]
    edges = [node.id for node in members if node.role == "edge"]
    for node in members:
        own = [prefix for prefix in (node.private_prefix, node.legacy_prefix) if prefix is not None]
        peers = [other.endpoint for other in hypervisors if other.id != node.id]
        wanted = snapshot.node_entries(node.role, own, zone_prefixes, peers, nat=zone.stack != "routed")
        fenced_by = edges if node.fence else []
        holds[node.id] = {**dict.fromkeys(fenced_by, snapshot.fence_entries(node.neighbours)), node.id: wanted}
    return entries.replace(tx, holds, dict.fromkeys(holds, asked_by) if asked_by else None)
