"""Nodes: what they supply, and what their agents were last seen to hold."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from common.db import Transaction, violated
from common.web import Page, Paging, check_revision
from services.placement import bells, wire
from services.placement.desired import derive_zone
from services.placement.errors import (
    NodeImmutable,
    NodeInvalid,
    NodeTaken,
    NodeUnknown,
    PrefixInUse,
    PrefixOverlap,
    ZoneUnknown,
)
from services.placement.model import Inventory, Node, Prefix
from services.placement.store import entries, instances, nodes


def put_node(tx: Transaction, node_id: UUID, body: wire.NodePut, expected: int | None) -> wire.Node:
    """Register a node, or change what may change.

    Raises ZoneUnknown, NodeInvalid, NodeImmutable, NodeTaken, PrefixOverlap, PrefixInUse.
    """
    zone = nodes.zone(tx, body.zone, lock=True)
    if zone is None:
        raise ZoneUnknown(f"there is no zone {body.zone!r}")
    endpoint, endpoint_ipv6, private, legacy = _addressing(body)
    node = nodes.node(tx, node_id, lock=True)
    joins = node is None
    if node is None:
        node = Node(id=node_id, name=body.name, zone=body.zone, role=body.role, revision=0, generation=1, sums={})
    elif (node.name, node.zone, node.role) != (body.name, body.zone, body.role):
        raise NodeImmutable(f"node {node_id} is {node.name} ({node.role}) of zone {node.zone}")
    check_revision(expected, node.revision)
    _check_prefixes(tx, node, private, legacy)
    node.agent_url, node.endpoint, node.endpoint_ipv6 = body.agent_url, endpoint, endpoint_ipv6
    node.private_prefix, node.legacy_prefix = private, legacy
    node.traits = sorted(set(body.traits))
    offered = {item.resource_class: item for item in body.inventories}
    node.inventories = [Inventory(node_id=node_id, **item.model_dump()) for item in offered.values()]
    node.revision += 1
    tx.session.add(node)
    try:
        tx.session.flush()
    except IntegrityError as error:
        raise _contradiction(error, body) from error
    if joins and body.role is wire.NodeRole.GATEWAY:
        sibling = next((one for one in nodes.nodes_of_zone(tx, body.zone, "gateway") if one.id != node_id), None)
        if sibling is not None:
            entries.copy_mappings(tx, sibling.id, node)
    for changed in derive_zone(tx, zone):
        tx.ring(bells.NODE, str(changed))
    return node_wire(tx, node)


def _contradiction(error: IntegrityError, body: wire.NodePut) -> Exception:
    """What a constraint's refusal means; the refusal itself if it is none of the known ones."""
    match violated(error):
        case "node_private_prefix" | "node_legacy_prefix":
            prefixes = " or ".join(prefix for prefix in (body.private_prefix, body.legacy_prefix) if prefix)
            return PrefixOverlap(f"another node of zone {body.zone} holds a part of {prefixes}")
        case "uq_node_name":
            return NodeTaken(f"another node has the name {body.name!r}")
        case "uq_node_zone_endpoint":
            return NodeTaken(f"another node of zone {body.zone} has the endpoint {body.endpoint}")
    return error


def _check_prefixes(tx: Transaction, node: Node, private: Prefix | None, legacy: Prefix | None) -> None:
    """Raises PrefixInUse if guests hold addresses of the node that are in neither prefix."""
    for held in instances.addresses_of_node(tx, node.id):
        within = private if held.version == 4 else legacy
        if within is None or held.network_address not in within:
            raise PrefixInUse(f"a guest of {node.name} holds {held}, which would no longer be of its prefix")


def _addressing(body: wire.NodePut) -> tuple[IPv4Address, IPv6Address | None, Prefix | None, Prefix | None]:
    try:
        endpoint = IPv4Address(body.endpoint)
        endpoint_ipv6 = IPv6Address(body.endpoint_ipv6) if body.endpoint_ipv6 else None
        private = ip_network(body.private_prefix) if body.private_prefix else None
        legacy = ip_network(body.legacy_prefix) if body.legacy_prefix else None
    except ValueError as error:
        raise NodeInvalid(str(error)) from error
    if private is not None and not (isinstance(private, IPv4Network) and private.subnet_of(IPv4Network("10.0.0.0/8"))):
        raise NodeInvalid("the private prefix is a part of 10.0.0.0/8")
    if legacy is not None and not (isinstance(legacy, IPv6Network) and legacy.prefixlen <= 62):
        raise NodeInvalid("the legacy prefix is an IPv6 prefix of at most 62 bits: guests get a /64 each")
    if body.role is not wire.NodeRole.HYPERVISOR and (private or legacy or body.inventories):
        raise NodeInvalid("only hypervisors have prefixes and inventories")
    return endpoint, endpoint_ipv6, private, legacy


def update_node(tx: Transaction, node_id: UUID, body: wire.NodeUpdate, expected: int | None) -> wire.Node:
    node = _node(tx, node_id, lock=True)
    check_revision(expected, node.revision)
    if node.admin_state != body.admin_state:
        node.admin_state = body.admin_state
        node.revision += 1
    return node_wire(tx, node)


def get_node(tx: Transaction, node_id: UUID) -> wire.Node:
    return node_wire(tx, _node(tx, node_id))


def _node(tx: Transaction, node_id: UUID, *, lock: bool = False) -> Node:
    node = nodes.node(tx, node_id, lock=lock)
    if node is None:
        raise NodeUnknown(f"there is no node {node_id}")
    return node


def list_nodes(
    tx: Transaction, paging: Paging, zone: str | None, role: wire.NodeRole | None, name: str | None
) -> Page[wire.Node]:
    found = nodes.nodes(tx, paging.limit + 1, paging.key(str, UUID), zone, role, name)
    used = nodes.usage(tx, [node.id for node in found])
    counts = nodes.instance_counts(tx, [node.id for node in found])
    shown = [_node_wire(node, used, counts, entries.failures(tx, node.id)) for node in found]
    return paging.page(shown, key=lambda node: [node.name, str(node.id)])


def node_wire(tx: Transaction, node: Node) -> wire.Node:
    used = nodes.usage(tx, [node.id])
    return _node_wire(node, used, nodes.instance_counts(tx, [node.id]), entries.failures(tx, node.id))


def _node_wire(
    node: Node, used: dict[tuple[UUID, str], int], counts: dict[UUID, int], failures: list[str]
) -> wire.Node:
    return wire.Node(
        id=node.id,
        name=node.name,
        zone=node.zone,
        role=wire.NodeRole(node.role),
        admin_state=wire.AdminState(node.admin_state),
        condition=wire.Condition.UP if nodes.up(node) else wire.Condition.UNREACHABLE,
        agent_url=node.agent_url,
        endpoint=str(node.endpoint),
        endpoint_ipv6=str(node.endpoint_ipv6) if node.endpoint_ipv6 else None,
        private_prefix=str(node.private_prefix) if node.private_prefix else None,
        legacy_prefix=str(node.legacy_prefix) if node.legacy_prefix else None,
        inventories=[wire.Inventory.model_validate(item, from_attributes=True) for item in node.inventories],
        used={item.resource_class: used.get((node.id, item.resource_class), 0) for item in node.inventories},
        traits=node.traits,
        instances=counts.get(node.id, 0),
        generation=node.generation,
        applied_generation=node.applied_generation,
        failures=[*([node.refusal] if node.refusal else []), *failures],
        seen_at=node.heartbeat.seen_at if node.heartbeat else None,
        revision=node.revision,
    )


def list_allocations(tx: Transaction, node_id: UUID, paging: Paging) -> Page[wire.Allocation]:
    node = _node(tx, node_id)
    by_consumer: dict[UUID, wire.Allocation] = {}
    for row in nodes.allocations(tx, node_id, paging.limit + 1, paging.key(UUID)):
        allocation = by_consumer.setdefault(
            row.consumer, wire.Allocation(consumer=row.consumer, project=row.project, node=node.name, resources={})
        )
        allocation.resources[row.resource_class] = row.used
    return paging.page(list(by_consumer.values()), key=lambda item: [str(item.consumer)])
