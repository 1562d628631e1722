"""Nodes: what they supply, and what their agents were last seen to hold."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from common.auth import Principal
from common.db import Transaction, violated
from common.web import Page, Paging, check_revision
from services.netagent.client import RemovalBudget
from services.netagent.wire import removals_digest
from services.placement import bells, scheduler, wire
from services.placement.desired import derive_zone
from services.placement.errors import (
    NodeBusy,
    NodeEdge,
    NodeFenced,
    NodeImmutable,
    NodeInvalid,
    NodeLocalDisk,
    NodeNoRoom,
    NodeNotFenced,
    NodeNotHypervisor,
    NodeTaken,
    NodeUnknown,
    PrefixInUse,
    PrefixOverlap,
    WithdrawalChanged,
    ZoneUnknown,
)
from services.placement.fleet.steps import Work
from services.placement.model import Inventory, Node, NodeWork, Prefix, Zone, now
from services.placement.scheduler import LOCAL_DISK_TRAIT
from services.placement.service import flavors
from services.placement.service.operations import operation_wire
from services.placement.store import entries, instances, nodes, operations
from services.placement.store.operations import uuid_of


def put_node(tx: Transaction, node_id: UUID, body: wire.NodePut, expected: int | None) -> wire.Node:
    """Register a node, or change what may change.

    Raises ZoneUnknown, NodeInvalid, NodeImmutable, NodeTaken, PrefixOverlap, PrefixInUse.
    """
    zone = nodes.zone(tx, body.zone, lock=True)
    if zone is None:
        raise ZoneUnknown(f"there is no zone {body.zone!r}")
    endpoint, endpoint_ipv6, private, legacy = _addressing(body)
    neighbours = _neighbours(body)
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
    node.neighbours = neighbours
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


def _neighbours(body: wire.NodePut) -> list[str]:
    try:
        return [str(IPv4Address(neighbour)) for neighbour in body.neighbours or [body.endpoint]]
    except ValueError as error:
        raise NodeInvalid(str(error)) from error


def update_node(tx: Transaction, node_id: UUID, body: wire.NodeUpdate, expected: int | None) -> wire.Node:
    """Raises NodeInvalid, or NodeBusy while it is drained."""
    if body.admin_state in {wire.AdminState.DRAINING, wire.AdminState.DRAINED}:
        raise NodeInvalid("draining has a verb of its own: send `:drain`")
    node = _free(tx, node_id, expected)
    if node.admin_state != body.admin_state:
        node.admin_state = body.admin_state
        node.revision += 1
    return node_wire(tx, node)


def fence(
    tx: Transaction, principal: Principal, node_id: UUID, body: wire.NodeFence, expected: int | None
) -> wire.Operation:
    """Have the edges hold a node apart, which its operator says is dead. Raises NodeEdge, NodeFenced, NodeBusy.

    A drain of it ends: what is left on it is to be evacuated.
    """
    zone, node = _with_zone(tx, node_id, expected)
    if node.role == wire.NodeRole.EDGE:
        raise NodeEdge(f"{node.name} is an edge")
    if node.fence is not None:
        raise NodeFenced(f"{node.name} is fenced already, by {node.fence['by']}")
    work = nodes.work(tx, node_id, lock=True)
    if work is not None and work.kind == Work.DRAIN:
        _end(tx, node, work, "fenced meanwhile")
    evidence = wire.Fence(**body.evidence.model_dump(), by=principal.subject, at=now())
    node.fence = evidence.model_dump(mode="json")
    return _begin(tx, principal, zone, node, Work.FENCE)


def unfence(tx: Transaction, principal: Principal, node_id: UUID, expected: int | None) -> wire.Operation:
    """Let a node in again, once it has withdrawn what is no longer its. Raises NodeNotFenced, NodeBusy."""
    zone, node = _with_zone(tx, node_id, expected)
    if node.fence is None:
        raise NodeNotFenced(f"{node.name} is not fenced")
    return _begin(tx, principal, zone, node, Work.UNFENCE)


def evacuate(tx: Transaction, principal: Principal, node_id: UUID, expected: int | None) -> wire.Operation:
    """Start everything that a fenced node ran elsewhere. Raises NodeNotFenced, NodeLocalDisk, NodeBusy."""
    zone, node = _hypervisor(tx, node_id, expected)
    if node.fenced_at is None or node.fence is None:
        raise NodeNotFenced(f"{node.name} is not fenced: it may still be running its instances")
    if LOCAL_DISK_TRAIT in node.traits:
        raise NodeLocalDisk(f"{node.name} keeps its guests' disks to itself (trait {LOCAL_DISK_TRAIT})")
    return _begin(tx, principal, zone, node, Work.EVACUATE)


def drain(
    tx: Transaction, principal: Principal, node_id: UUID, body: wire.NodeDrain, expected: int | None
) -> wire.Operation:
    """Move every running instance of a node elsewhere. Raises NodeFenced, NodeLocalDisk, NodeNoRoom, NodeBusy."""
    zone, node = _hypervisor(tx, node_id, expected)
    if node.fence is not None:
        raise NodeFenced(f"{node.name} is fenced: evacuate it")
    if LOCAL_DISK_TRAIT in node.traits:
        raise NodeLocalDisk(f"{node.name} keeps its guests' disks to itself (trait {LOCAL_DISK_TRAIT}): move them cold")
    there = instances.on_node(tx, node.id)
    needed = [flavors.resources(port.instance.flavor) for port in there]
    others = [host for host in nodes.hosts(tx, node.zone) if host.id != node.id and host.shares_disks]
    unplaced = scheduler.unplaced(others, needed)
    if unplaced:
        raise NodeNoRoom(f"{unplaced} of {len(there)} instances of {node.name} find no room on another hypervisor")
    node.admin_state = wire.AdminState.DRAINING
    return _begin(tx, principal, zone, node, Work.DRAIN, body.concurrency)


def undrain(tx: Transaction, node_id: UUID, expected: int | None) -> wire.Node:
    """Let a node take instances again; a drain that goes on ends here. Raises NodeFenced, NodeBusy."""
    node = _node(tx, node_id, lock=True)
    check_revision(expected, node.revision)
    if node.fence is not None:
        raise NodeFenced(f"{node.name} is fenced; unfence it first")
    work = nodes.work(tx, node_id, lock=True)
    if work is not None and work.kind != Work.DRAIN:
        raise NodeBusy(f"{node.name} is being changed by {work.operation_id}")
    if work is not None:
        _end(tx, node, work, "undrained meanwhile")
    node.admin_state = wire.AdminState.ENABLED
    node.revision += 1
    return node_wire(tx, node)


def cancel_drain(tx: Transaction, work: NodeWork) -> None:
    """Moves that have begun go on to their end; the node takes instances again."""
    node = _node(tx, work.node_id, lock=True)
    node.admin_state = wire.AdminState.ENABLED
    node.revision += 1
    _end(tx, node, work, None)


def _end(tx: Transaction, node: Node, work: NodeWork, because: str | None) -> None:
    operation = operations.get(tx, work.operation_id, lock=True)
    if operation is not None and because:
        operation.fail("placement.operation.preempted", f"{node.name} was {because}")
    elif operation is not None:
        operation.cancel()
    tx.session.delete(work)
    tx.session.flush()


def _with_zone(tx: Transaction, node_id: UUID, expected: int | None) -> tuple[Zone, Node]:
    """The node and its zone, both ours: what all of the zone's nodes hold is about to change."""
    zone = nodes.zone(tx, _node(tx, node_id).zone, lock=True)
    assert zone is not None  # noqa: S101  a foreign key
    node = _node(tx, node_id, lock=True)
    check_revision(expected, node.revision)
    return zone, node


def _hypervisor(tx: Transaction, node_id: UUID, expected: int | None) -> tuple[Zone, Node]:
    zone, node = _with_zone(tx, node_id, expected)
    if node.role != wire.NodeRole.HYPERVISOR:
        raise NodeNotHypervisor(f"{node.name} is a {node.role}")
    return zone, node


def _free(tx: Transaction, node_id: UUID, expected: int | None) -> Node:
    node = _node(tx, node_id, lock=True)
    check_revision(expected, node.revision)
    work = nodes.work(tx, node_id)
    if work is not None:
        raise NodeBusy(f"{node.name} is being changed by {work.operation_id}")
    return node


def _begin(
    tx: Transaction, principal: Principal, zone: Zone, node: Node, kind: Work, concurrency: int = 1
) -> wire.Operation:
    """The Operation that changes a node as a whole from now on. Raises NodeBusy."""
    _free(tx, node.id, None)
    operation = operations.add(tx, f"node.{kind}", f"/placement/v1/nodes/{node.id}", principal.project, kind)
    there = len(instances.on_node(tx, node.id)) if kind in {Work.EVACUATE, Work.DRAIN} else 0
    tx.session.add(
        NodeWork(node_id=node.id, operation_id=operation.id, kind=kind, concurrency=concurrency, total=there)
    )
    node.revision += 1
    tx.session.flush()
    if kind is Work.FENCE:
        derive_zone(tx, zone)  # whose work it is to tell the edges
    tx.ring(bells.NODE_WORK, str(node.id))
    return operation_wire(operation)


def approve(tx: Transaction, principal: Principal, node_id: UUID, digest: str, expected: int | None) -> wire.Operation:
    """Make the removals that `digest` names somebody's wish, so that no budget holds them back, ours or its agent's.

    Raises WithdrawalChanged if others are due.
    """
    node = _node(tx, node_id, lock=True)
    check_revision(expected, node.revision)
    due = entries.unasked(tx, node)
    if (node.refusal or "").startswith(RemovalBudget.code) and digest in (node.refusal or ""):
        node.approved, due = digest, {}
        tx.ring(bells.RESYNC, str(node.id))
    elif not due or removals_digest(due) != digest:
        raise WithdrawalChanged(f"{node.name} is not to lose what {digest} names; `godwit node show` says what it is")
    operation = operations.add(tx, "node.approve", f"/placement/v1/nodes/{node.id}", principal.project, "approved")
    for row in due.values():
        row.operation = uuid_of(operation.id)
    node.refusal = None
    node.revision += 1
    operation.succeed()
    tx.ring(bells.NODE, str(node.id))
    return operation_wire(operation)


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
    busy = {work.node_id: work.operation_id for work in nodes.works(tx)}
    shown = [_node_wire(node, used, counts, entries.failures(tx, node.id), busy.get(node.id)) for node in found]
    return paging.page(shown, key=lambda node: [node.name, str(node.id)])


def node_wire(tx: Transaction, node: Node) -> wire.Node:
    used = nodes.usage(tx, [node.id])
    work = nodes.work(tx, node.id)
    counts = nodes.instance_counts(tx, [node.id])
    return _node_wire(node, used, counts, entries.failures(tx, node.id), work.operation_id if work else None)


def _node_wire(
    node: Node,
    used: dict[tuple[UUID, str], int],
    counts: dict[UUID, int],
    failures: list[str],
    operation: str | None,
) -> wire.Node:
    return wire.Node(
        id=node.id,
        name=node.name,
        zone=node.zone,
        role=wire.NodeRole(node.role),
        admin_state=wire.AdminState(node.admin_state),
        condition=wire.Condition.UP if nodes.up(node) else wire.Condition.UNREACHABLE,
        fabric=_fabric(node),
        fence=wire.Fence(**node.fence) if node.fence else None,
        fenced=node.fenced_at is not None,
        operation=operation,
        agent_url=node.agent_url,
        endpoint=str(node.endpoint),
        endpoint_ipv6=str(node.endpoint_ipv6) if node.endpoint_ipv6 else None,
        neighbours=node.neighbours,
        private_prefix=str(node.private_prefix) if node.private_prefix else None,
        legacy_prefix=str(node.legacy_prefix) if node.legacy_prefix else None,
        inventories=[wire.Inventory.model_validate(item, from_attributes=True) for item in node.inventories],
        used=wire.Resources(
            {item.resource_class: used.get((node.id, item.resource_class), 0) for item in node.inventories}
        ),
        traits=node.traits,
        instances=counts.get(node.id, 0),
        generation=node.generation,
        applied_generation=node.applied_generation,
        failures=[*([node.refusal] if node.refusal else []), *failures],
        seen_at=node.heartbeat.seen_at if node.heartbeat else None,
        revision=node.revision,
    )


def _fabric(node: Node) -> wire.Condition | None:
    seen = node.heartbeat.fabric if node.heartbeat else None
    return None if seen is None else wire.Condition.UP if seen else wire.Condition.UNREACHABLE


def list_allocations(tx: Transaction, node_id: UUID, paging: Paging) -> Page[wire.Allocation]:
    node = _node(tx, node_id)
    by_consumer: dict[UUID, wire.Allocation] = {}
    for row in nodes.allocations(tx, node_id, paging.limit + 1, paging.key(UUID)):
        allocation = by_consumer.setdefault(
            row.consumer,
            wire.Allocation(consumer=row.consumer, project=row.project, node=node.name, resources=wire.Resources({})),
        )
        allocation.resources.root[row.resource_class] = row.used
    return paging.page(list(by_consumer.values()), key=lambda item: [str(item.consumer)])
