"""What each node must hold, as rows: replaced by owner, read as a Delta or Snapshot, confirmed by what was read back.

A change costs the entries that change: generations, digests and deltas are kept as it is written, never recomputed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from common.db import Transaction
from services.netagent import wire
from services.placement.model import Incarnation, Node, NodeEntry
from services.placement.snapshot import Entries


def epoch(tx: Transaction) -> int:
    return tx.session.scalars(select(Incarnation.epoch)).one()


def replace(tx: Transaction, owner: UUID, wanted: Entries, asked_by: UUID | None = None) -> set[UUID]:
    """Make `wanted` all that nodes hold of `owner`; return the nodes that change.

    The caller holds the owner's lock. Nodes are locked in the order of their ids, so that no two owners wait for each
    other. `asked_by`: whose wish the removals are (`wire.Tombstone`).
    """
    held: dict[UUID, dict[wire.EntryKey, NodeEntry]] = {}
    for row in tx.session.scalars(select(NodeEntry).where(NodeEntry.owner == owner)):
        held.setdefault(row.node_id, {})[wire.EntryKey(wire.Kind(row.kind), row.key)] = row
    changed = set()
    for node_id in sorted(held.keys() | wanted.keys()):
        target = {wire.EntryKey.of(entry): entry.value() for entry in wanted.get(node_id, ())}
        rows = held.get(node_id, {})
        puts = {
            key: value
            for key, value in target.items()
            if key not in rows or rows[key].removed or rows[key].value != value
        }
        drops = [row for key, row in rows.items() if key not in target and not row.removed]
        if puts or drops:
            _write(tx, node_id, owner, puts, drops, asked_by)
            changed.add(node_id)
    return changed


def _write(
    tx: Transaction,
    node_id: UUID,
    owner: UUID,
    puts: dict[wire.EntryKey, bytes],
    drops: list[NodeEntry],
    asked_by: UUID | None,
) -> None:
    node = tx.session.scalars(
        select(Node).where(Node.id == node_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    ).one()
    node.generation += 1
    digest = wire.Digest({int(kind): int(total, 16) for kind, total in node.sums.items()})
    for row in drops:
        digest.remove(row.kind, row.key, row.value)
        row.removed, row.generation, row.operation, row.failure = True, node.generation, asked_by, None
    tx.session.flush()
    for live in _live(tx, node_id, puts):
        digest.remove(live.kind, live.key, live.value)
    for key, value in puts.items():
        digest.add(key.kind, key.key, value)
    node.sums = {str(kind): f"{total:x}" for kind, total in digest.sums.items()}
    if puts:
        statement = insert(NodeEntry).values(
            [
                {
                    "node_id": node_id,
                    "kind": int(key.kind),
                    "key": key.key,
                    "value": value,
                    "owner": owner,
                    "generation": node.generation,
                    "removed": False,
                    "operation": None,
                    "failure": None,
                }
                for key, value in puts.items()
            ]
        )
        new = statement.excluded
        tx.session.execute(
            statement.on_conflict_do_update(
                index_elements=["node_id", "kind", "key"],
                set_={name: new[name] for name in ("value", "owner", "generation", "removed", "operation", "failure")},
            )
        )
    tx.session.flush()
    for row in drops:
        tx.session.expire(row)


def _live(tx: Transaction, node_id: UUID, keys: Iterable[wire.EntryKey]) -> list[NodeEntry]:
    pairs = [(int(key.kind), key.key) for key in keys]
    if not pairs:
        return []
    query = select(NodeEntry).where(
        NodeEntry.node_id == node_id, ~NodeEntry.removed, tuple_(NodeEntry.kind, NodeEntry.key).in_(pairs)
    )
    return list(tx.session.scalars(query.execution_options(populate_existing=True)))


@dataclass(frozen=True, slots=True)
class Batch:
    """What to send a node, and the digest its agent must then answer with."""

    node: UUID
    agent_url: str
    message: wire.Snapshot | wire.Delta
    digest: dict[str, str]


def batch(tx: Transaction, node_id: UUID, *, whole: bool) -> Batch | None:
    """The Delta since what the node confirmed; the Snapshot with `whole`, or if it confirmed nothing yet.

    None when there is nothing to say.
    """
    node = tx.session.scalars(select(Node).where(Node.id == node_id).with_for_update(read=True)).one_or_none()
    if node is None or (node.generation == node.applied_generation and not whole):
        return None
    whole = whole or node.applied_generation == 0
    query = select(NodeEntry).where(NodeEntry.node_id == node_id)
    if not whole:
        query = query.where(NodeEntry.generation > node.applied_generation)
    puts: list[wire.Entry] = []
    tombstones: list[wire.Tombstone] = []
    for row in tx.session.scalars(query.execution_options(yield_per=10_000)):
        if row.removed:
            tombstones.append(wire.Tombstone(wire.EntryKey(wire.Kind(row.kind), row.key), row.operation))
        else:
            puts.append(wire.unpack(row.kind, row.key, row.value))
    message: wire.Snapshot | wire.Delta
    if whole:
        message = wire.Snapshot(node_id, epoch(tx), node.generation, puts, tombstones)
    else:
        message = wire.Delta(node_id, epoch(tx), node.applied_generation, node.generation, puts, tombstones)
    return Batch(node_id, node.agent_url, message, expected_digest(node))


def expected_digest(node: Node) -> dict[str, str]:
    return wire.Digest({int(kind): int(total, 16) for kind, total in node.sums.items()}).hex()


def confirm(tx: Transaction, node_id: UUID, realized: wire.Realized) -> set[UUID]:
    """Store what a node read back; return the owners for whom that changes something."""
    node = tx.session.scalars(
        select(Node).where(Node.id == node_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    ).one()
    before = node.applied_generation
    node.applied_generation = max(before, min(realized.generation, node.generation))
    failed = {
        (int(wire.Kind[failure.kind.upper()]), bytes.fromhex(failure.key)): f"{failure.code}: {failure.message}"
        for failure in realized.failed
    }
    fresh = and_(NodeEntry.generation > before, NodeEntry.generation <= node.applied_generation)
    concerned: ColumnElement[bool] = or_(fresh, NodeEntry.failure.is_not(None))
    if failed:
        concerned = or_(concerned, tuple_(NodeEntry.kind, NodeEntry.key).in_(list(failed)))
    owners = set()
    for row in tx.session.scalars(select(NodeEntry).where(NodeEntry.node_id == node_id, concerned)):
        failure = failed.get((row.kind, row.key)) if row.generation <= realized.generation else row.failure
        if row.generation > before or failure != row.failure:
            owners.add(row.owner)
        row.failure = failure
    tx.session.flush()
    tx.session.execute(
        delete(NodeEntry).where(
            NodeEntry.node_id == node_id,
            NodeEntry.removed,
            NodeEntry.failure.is_(None),
            NodeEntry.generation <= node.applied_generation,
        )
    )
    return owners


def forget_applied(tx: Transaction, node_id: UUID) -> None:
    """The node's agent lost what it had: nothing counts as confirmed."""
    tx.session.execute(update(Node).where(Node.id == node_id).values(applied_generation=0))


def _behind(owner: UUID) -> ColumnElement[bool]:
    return and_(
        NodeEntry.owner == owner,
        or_(NodeEntry.generation > Node.applied_generation, NodeEntry.failure.is_not(None)),
    )


def pending(tx: Transaction, owner: UUID) -> list[tuple[Node, str | None]]:
    """The nodes that have not read back what they must hold of `owner`, each with a failure if its kernel refused."""
    query = (
        select(Node, NodeEntry.failure)
        .join(NodeEntry, NodeEntry.node_id == Node.id)
        .where(_behind(owner))
        .ext(distinct_on(Node.id))
        .order_by(Node.id, NodeEntry.failure.desc().nulls_last())
    )
    return [(node, failure) for node, failure in tx.session.execute(query)]


def failures(tx: Transaction, node_id: UUID) -> list[str]:
    query = select(NodeEntry).where(NodeEntry.node_id == node_id, NodeEntry.failure.is_not(None)).limit(100)
    return [f"{wire.Kind(row.kind).name.lower()} {row.failure}" for row in tx.session.scalars(query)]


def nodes_with_failures(tx: Transaction) -> set[UUID]:
    return set(tx.session.scalars(select(NodeEntry.node_id).where(NodeEntry.failure.is_not(None)).distinct()))
