"""Zones, nodes and what they supply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import DateTime, case, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import selectinload

from common.db import Transaction, among
from services.placement.model import (
    Allocation,
    Heartbeat,
    Inventory,
    Node,
    NodeWork,
    Port,
    Prefix,
    Zone,
    ZonePrefix,
)
from services.placement.scheduler import Host, Supply
from services.placement.store.instances import Key

UNREACHABLE_AFTER = timedelta(seconds=4)  # four missed polls


def clock(tx: Transaction) -> datetime:
    """The database's time now: one clock for all workers."""
    return tx.session.scalars(select(func.clock_timestamp(type_=DateTime(timezone=True)))).one()


def up(node: Node, at: datetime | None = None) -> bool:
    """Whether the node's agent answered lately."""
    return node.heartbeat is not None and (at or datetime.now(UTC)) - node.heartbeat.seen_at < UNREACHABLE_AFTER


def zone(tx: Transaction, name: str, *, lock: bool = False) -> Zone | None:
    """With `lock`, the zone and its set of nodes are ours until commit."""
    return tx.session.get(Zone, name, with_for_update={"key_share": True} if lock else None, populate_existing=lock)


def members(tx: Transaction, zone_name: str, role: str) -> list[UUID]:
    """The zone's nodes of a role; no other joins it until commit."""
    tx.session.execute(select(Zone.name).where(Zone.name == zone_name).with_for_update(read=True))
    return list(tx.session.scalars(select(Node.id).where(Node.zone == zone_name, Node.role == role).order_by(Node.id)))


def by_id(tx: Transaction, node_ids: Collection[UUID]) -> list[Node]:
    return list(tx.session.scalars(select(Node).where(among(Node.id, node_ids))))


def zone_names(tx: Transaction) -> list[str]:
    return list(tx.session.scalars(select(Zone.name)))


def zones(tx: Transaction, limit: int, after: Key) -> list[Zone]:
    query = select(Zone).order_by(Zone.name).limit(limit)
    return list(tx.session.scalars(query.where(Zone.name > after[0]) if after else query))


def zone_prefixes(tx: Transaction, zone_name: str) -> list[Prefix]:
    return list(tx.session.scalars(select(ZonePrefix.prefix).where(ZonePrefix.zone == zone_name)))


def set_zone_prefixes(tx: Transaction, zone_name: str, prefixes: Iterable[Prefix]) -> None:
    tx.session.execute(delete(ZonePrefix).where(ZonePrefix.zone == zone_name))
    tx.session.add_all(ZonePrefix(zone=zone_name, prefix=prefix) for prefix in prefixes)


def node(tx: Transaction, node_id: UUID, *, lock: bool = False) -> Node | None:
    """With `lock`, the node is ours until commit."""
    lock_it = {"key_share": True, "of": Node} if lock else None
    return tx.session.get(Node, node_id, with_for_update=lock_it, populate_existing=lock)


def work(tx: Transaction, node_id: UUID, *, lock: bool = False) -> NodeWork | None:
    """What is being done to the node as a whole; with `lock`, it is ours until commit."""
    return tx.session.get(NodeWork, node_id, with_for_update=lock or None, populate_existing=lock)


def works(tx: Transaction) -> list[NodeWork]:
    return list(tx.session.scalars(select(NodeWork)))


def work_of_operation(tx: Transaction, operation_id: str, *, lock: bool = False) -> NodeWork | None:
    query = select(NodeWork).where(NodeWork.operation_id == operation_id)
    return tx.session.scalars(query.with_for_update() if lock else query).one_or_none()


def worked_on(tx: Transaction) -> set[UUID | None]:
    """The nodes that something is being done to."""
    return set(tx.session.scalars(select(NodeWork.node_id)))


def lock_supply(tx: Transaction, node_id: UUID) -> None:
    """Hold a node's capacity and node-bound addresses until commit. (Not the node's row: its entries are another's.)"""
    tx.session.execute(select(Inventory.node_id).where(Inventory.node_id == node_id).with_for_update())


def node_by_name(tx: Transaction, name: str) -> Node | None:
    return tx.session.scalars(select(Node).where(Node.name == name)).one_or_none()


def nodes(
    tx: Transaction,
    limit: int,
    after: Key,
    zone_name: str | None = None,
    role: str | None = None,
    name: str | None = None,
) -> list[Node]:
    query = select(Node).options(selectinload(Node.inventories)).order_by(Node.name, Node.id).limit(limit)
    for column, value in ((Node.zone, zone_name), (Node.role, role), (Node.name, name)):
        if value is not None:
            query = query.where(column == value)
    if after:
        query = query.where(tuple_(Node.name, Node.id) > after)
    return list(tx.session.scalars(query))


def nodes_of_zone(tx: Transaction, zone_name: str, role: str | None = None) -> list[Node]:
    query = select(Node).where(Node.zone == zone_name).order_by(Node.id)
    return list(tx.session.scalars(query.where(Node.role == role) if role else query))


def all_nodes(tx: Transaction) -> list[Node]:
    return list(tx.session.scalars(select(Node)))


def usage(tx: Transaction, node_ids: Sequence[UUID]) -> dict[tuple[UUID, str], int]:
    """What is used of each node, by resource class."""
    query = (
        select(Allocation.node_id, Allocation.resource_class, func.sum(Allocation.used))
        .where(Allocation.node_id.in_(node_ids))
        .group_by(Allocation.node_id, Allocation.resource_class)
    )
    return {(node_id, resource_class): int(used) for node_id, resource_class, used in tx.session.execute(query)}


def instance_counts(tx: Transaction, node_ids: Sequence[UUID]) -> dict[UUID, int]:
    query = select(Port.node_id, func.count()).where(Port.node_id.in_(node_ids)).group_by(Port.node_id)
    return {node_id: count for node_id, count in tx.session.execute(query) if node_id}


def hosts(tx: Transaction, zone_name: str) -> list[Host]:
    """The zone's hypervisors as the scheduler sees them."""
    query = select(Node).options(selectinload(Node.inventories))
    found = tx.session.scalars(query.where(Node.zone == zone_name, Node.role == "hypervisor")).all()
    used = usage(tx, [item.id for item in found])
    at = datetime.now(UTC)
    return [
        Host(
            id=item.id,
            name=item.name,
            enabled=item.admin_state == "enabled" and item.fence is None and item.fenced_at is None,
            up=up(item, at),
            traits=frozenset(item.traits),
            supplies={
                inventory.resource_class: Supply(
                    total=inventory.total,
                    reserved=inventory.reserved,
                    min_unit=inventory.min_unit,
                    max_unit=inventory.max_unit,
                    step_size=inventory.step_size,
                    allocation_ratio=inventory.allocation_ratio,
                    used=used.get((item.id, inventory.resource_class), 0),
                )
                for inventory in item.inventories
            },
        )
        for item in found
    ]


def allocations(tx: Transaction, node_id: UUID, limit: int, after: Key) -> list[Allocation]:
    """What the consumers of one page hold, by consumer."""
    consumers = select(Allocation.consumer).where(Allocation.node_id == node_id).distinct()
    if after:
        consumers = consumers.where(Allocation.consumer > after[0])
    consumers = consumers.order_by(Allocation.consumer).limit(limit)
    query = select(Allocation).where(Allocation.node_id == node_id, Allocation.consumer.in_(consumers))
    return list(tx.session.scalars(query.order_by(Allocation.consumer)))


def allocate(tx: Transaction, consumer: UUID, node_id: UUID, project: str, resources: dict[str, int]) -> None:
    tx.session.add_all(
        Allocation(consumer=consumer, node_id=node_id, resource_class=name, project=project, used=amount)
        for name, amount in resources.items()
        if amount
    )


def free(tx: Transaction, consumer: UUID) -> None:
    tx.session.execute(delete(Allocation).where(Allocation.consumer == consumer))


def transfer(tx: Transaction, consumer: UUID, to: UUID) -> None:
    """What `consumer` holds is from now on held by `to`, in place of what `to` held."""
    free(tx, to)
    tx.session.execute(update(Allocation).where(Allocation.consumer == consumer).values(consumer=to))


def seen(tx: Transaction, node_ids: Sequence[UUID]) -> None:
    """These nodes' agents answered just now."""
    if node_ids:
        at = datetime.now(UTC)
        statement = insert(Heartbeat).values([{"node_id": node_id, "seen_at": at} for node_id in sorted(node_ids)])
        tx.session.execute(
            statement.on_conflict_do_update(index_elements=["node_id"], set_={"seen_at": statement.excluded.seen_at})
        )


def seen_by_edges(tx: Transaction, fabric: Mapping[UUID, bool]) -> None:
    """Whether the edges have the routes of these nodes; what did not change is not written."""
    for there in (True, False):
        named = [node_id for node_id, has in fabric.items() if has is there]
        tx.session.execute(
            update(Heartbeat)
            .where(Heartbeat.node_id.in_(named), Heartbeat.fabric.is_distinct_from(there))
            .values(fabric=there)
        )


def unrealized(tx: Transaction) -> list[UUID]:
    """Nodes that have not confirmed their generation, and could if they were asked."""
    behind = tx.session.scalars(select(Node).where(Node.generation > Node.applied_generation))
    return [item.id for item in behind if up(item)]


def by_condition(tx: Transaction) -> dict[tuple[str, ...], float]:
    """How many nodes there are, by zone, role and condition."""
    answered = func.clock_timestamp() - Heartbeat.seen_at < UNREACHABLE_AFTER
    condition = case((answered, "up"), else_="unreachable").label("condition")
    query = select(Node.zone, Node.role, condition, func.count()).outerjoin(Heartbeat)
    rows = tx.session.execute(query.group_by(Node.zone, Node.role, condition))
    return {(zone, role, now): count for zone, role, now, count in rows}


def behind(tx: Transaction) -> dict[tuple[str, ...], float]:
    """How many nodes have not confirmed their generation, by zone and role."""
    query = select(Node.zone, Node.role, func.count()).where(Node.generation > Node.applied_generation)
    return {(zone, role): count for zone, role, count in tx.session.execute(query.group_by(Node.zone, Node.role))}
