"""Addresses that the edges hold apart from a node that has not withdrawn them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import aliased

from common.db import Transaction
from services.netagent import wire
from services.placement.model import AddressFence, Node, NodeEntry

ADDRESS, PORT = int(wire.Kind.ADDRESS), int(wire.Kind.PORT)
LATE = or_(NodeEntry.generation > Node.applied_generation, NodeEntry.failure.is_not(None))
"""What its node has not read back."""


def unwithdrawn(tx: Transaction) -> list[tuple[NodeEntry, Node]]:
    """Addresses that leave a port which stays, not withdrawn by its node and not fenced from it; nor is the node."""
    port = aliased(NodeEntry)
    stays = exists().where(
        port.node_id == NodeEntry.node_id, port.owner == NodeEntry.owner, port.kind == PORT, ~port.removed
    )
    fenced = exists().where(AddressFence.node_id == NodeEntry.node_id, AddressFence.key == NodeEntry.key)
    query = select(NodeEntry, Node).join(Node, NodeEntry.node_id == Node.id)
    query = query.where(NodeEntry.kind == ADDRESS, NodeEntry.removed, LATE, Node.fenced_at.is_(None), stays, ~fenced)
    return [(entry, node) for entry, node in tx.session.execute(query)]


def fences(tx: Transaction) -> Sequence[AddressFence]:
    """All, locked."""
    query = select(AddressFence).order_by(AddressFence.node_id, AddressFence.key).with_for_update()
    return tx.session.scalars(query.execution_options(populate_existing=True)).all()


def add(tx: Transaction, entry: NodeEntry) -> AddressFence:
    fence = AddressFence(node_id=entry.node_id, key=entry.key, port_id=entry.owner)
    tx.session.add(fence)
    tx.session.flush()
    return fence


def outlived(tx: Transaction, among: Collection[AddressFence]) -> list[AddressFence]:
    """Those whose address its node has withdrawn, or has read back that it holds again.

    Not before: until then its kernel may hold it for a port that the address has left.
    """
    nodes = {fence.node_id for fence in among}
    late = select(NodeEntry.node_id, NodeEntry.key).join(Node, NodeEntry.node_id == Node.id)
    late = late.where(NodeEntry.kind == ADDRESS, LATE, NodeEntry.node_id.in_(nodes))
    still = {(row.node_id, row.key) for row in tx.session.execute(late)}
    return [fence for fence in among if (fence.node_id, fence.key) not in still]


def of_node(tx: Transaction, node_id: UUID) -> bool:
    """Whether an address is fenced from a node."""
    return bool(tx.session.scalar(select(exists().where(AddressFence.node_id == node_id))))
