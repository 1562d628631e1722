"""What each node must hold, as rows: replaced by owner, read as a Delta or Snapshot, confirmed by what was read back.

A change costs the entries that change: generations, digests and deltas are kept as it is written, never recomputed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Row,
    SmallInteger,
    Uuid,
    and_,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert

from common.db import Transaction, among, table
from services.netagent import wire
from services.placement import budgets
from services.placement.errors import WithdrawBudget
from services.placement.model import AddressFence, Incarnation, Node, NodeEntry, Withdrawal, now
from services.placement.snapshot import Entries, Prefix
from services.placement.store.nodes import up


def epoch(tx: Transaction) -> int:
    return tx.session.scalars(select(Incarnation.epoch)).one()


def replace(tx: Transaction, wanted: Mapping[UUID, Entries], asked_by: Mapping[UUID, UUID] | None = None) -> set[UUID]:
    """Make `wanted` all that nodes hold of each owner named in it; return the nodes that change.

    The caller holds the owners' locks. Nodes are locked in the order of their ids, so that no two callers wait for each
    other. `asked_by`: whose wish an owner's removals are (`wire.Tombstone`).
    """
    held: dict[UUID, dict[UUID, dict[wire.EntryKey, bytes]]] = defaultdict(lambda: defaultdict(dict))
    query = select(NodeEntry.owner, NodeEntry.node_id, NodeEntry.kind, NodeEntry.key, NodeEntry.value)
    for row in tx.session.execute(query.where(among(NodeEntry.owner, wanted), ~NodeEntry.removed)):
        held[row.owner][row.node_id][wire.EntryKey(wire.Kind(row.kind), row.key)] = row.value
    changes: dict[UUID, _Change] = defaultdict(_Change)
    for owner, entries in wanted.items():
        for node_id in held[owner].keys() | entries.keys():
            target = {wire.EntryKey.of(entry): entry.value() for entry in entries.get(node_id, ())}
            present = held[owner][node_id]
            for key, value in target.items():
                if present.get(key) != value:
                    changes[node_id].puts[key] = (value, owner)
            for key in present.keys() - target.keys():
                changes[node_id].drops[key] = owner
    for node_id in sorted(changes):
        _write(tx, node_id, changes[node_id], asked_by or {})
    return set(changes)


@dataclass
class _Change:
    """What changes on one node: values to hold with their owners, and what goes with whose it was."""

    puts: dict[wire.EntryKey, tuple[bytes, UUID]] = field(default_factory=dict)
    drops: dict[wire.EntryKey, UUID] = field(default_factory=dict)


def _write(tx: Transaction, node_id: UUID, change: _Change, asked_by: Mapping[UUID, UUID]) -> None:
    node = tx.session.scalars(
        select(Node)
        .where(Node.id == node_id)
        .with_for_update(key_share=True, of=Node)
        .execution_options(populate_existing=True)
    ).one()
    node.generation += 1
    digest = wire.Digest({int(kind): int(total, 16) for kind, total in node.sums.items()})
    if change.drops:
        for kind, gone, value in _drop(tx, node, change.drops, asked_by):
            digest.remove(kind, gone, value)
    if change.puts:
        for row in _rows(tx, node_id, change.puts):
            if not row.removed:
                digest.remove(row.kind, row.key, row.value)
        for key, (value, _) in change.puts.items():
            digest.add(key.kind, key.key, value)
        _put(tx, node, change.puts)
    node.sums = {str(kind): f"{total:x}" for kind, total in digest.sums.items()}
    tx.session.flush()


def _drop(
    tx: Transaction, node: Node, drops: Mapping[wire.EntryKey, UUID], asked_by: Mapping[UUID, UUID]
) -> Sequence[Row[int, bytes, bytes]]:
    """Those that went: what has become another owner's since is its now."""
    going = table(
        kind=(SmallInteger, [key.kind for key in drops]),
        key=(LargeBinary, [key.key for key in drops]),
        owner=(Uuid, list(drops.values())),
        operation=(Uuid, [asked_by.get(owner) for owner in drops.values()]),
    )
    same = NodeEntry.kind == going.c.kind, NodeEntry.key == going.c.key, NodeEntry.owner == going.c.owner
    return tx.session.execute(
        update(NodeEntry)
        .where(NodeEntry.node_id == node.id, *same, ~NodeEntry.removed)
        .values(removed=True, generation=node.generation, failure=None, operation=going.c.operation)
        .returning(NodeEntry.kind, NodeEntry.key, NodeEntry.value)
        .execution_options(synchronize_session=False)
    ).all()


def _put(tx: Transaction, node: Node, puts: Mapping[wire.EntryKey, tuple[bytes, UUID]]) -> None:
    new = table(
        kind=(SmallInteger, [key.kind for key in puts]),
        key=(LargeBinary, [key.key for key in puts]),
        value=(LargeBinary, [value for value, _ in puts.values()]),
        owner=(Uuid, [owner for _, owner in puts.values()]),
    )
    columns: dict[str, ColumnElement[Any]] = {
        "node_id": literal(node.id),
        "generation": literal(node.generation),
        "removed": literal(False),
        "operation": null(),
        "failure": null(),
        **{column.name: column for column in new.c},
    }
    statement = insert(NodeEntry).from_select(list(columns), select(*columns.values()))
    changing = [name for name in columns if name not in {"node_id", "kind", "key"}]
    tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["node_id", "kind", "key"], set_={name: statement.excluded[name] for name in changing}
        )
    )


Held = Row[int, bytes, bytes, UUID, int, bool, str | None]
"""Columns of a row: kind, key, value, owner, generation, removed, failure."""

_HELD = (
    NodeEntry.kind,
    NodeEntry.key,
    NodeEntry.value,
    NodeEntry.owner,
    NodeEntry.generation,
    NodeEntry.removed,
    NodeEntry.failure,
)


def _rows(tx: Transaction, node_id: UUID, keys: Collection[wire.EntryKey]) -> Sequence[Held]:
    """The rows of these, as they are now, tombstones included."""
    named = table(kind=(SmallInteger, [key.kind for key in keys]), key=(LargeBinary, [key.key for key in keys]))
    query = select(*_HELD).join(named, and_(NodeEntry.kind == named.c.kind, NodeEntry.key == named.c.key))
    return tx.session.execute(query.where(NodeEntry.node_id == node_id)).all()


@dataclass(frozen=True, slots=True)
class Batch:
    """What to send a node, and the digest its agent must then answer with."""

    node: UUID
    agent_url: str
    message: wire.Snapshot | wire.Delta
    digest: dict[str, str]


def batch(tx: Transaction, node_id: UUID, *, whole: bool) -> Batch | None:
    """The Delta since what the node confirmed; the Snapshot with `whole`, or if it confirmed nothing yet.

    None when there is nothing to say, or nobody who answers. Raises WithdrawBudget.
    """
    node = tx.session.scalars(select(Node).where(Node.id == node_id).with_for_update(read=True, of=Node)).one_or_none()
    if node is None or not up(node) or (node.generation == node.applied_generation and not whole):
        return None
    whole = whole or node.applied_generation == 0
    query = select(NodeEntry.kind, NodeEntry.key, NodeEntry.value, NodeEntry.removed, NodeEntry.operation)
    query = query.where(NodeEntry.node_id == node_id)
    if not whole:
        query = query.where(NodeEntry.generation > node.applied_generation)
    puts: list[wire.Entry] = []
    tombstones: list[wire.Tombstone] = []
    for kind, key, value, removed, operation in tx.session.execute(query.execution_options(yield_per=10_000)):
        if removed:
            tombstones.append(wire.Tombstone(wire.EntryKey(wire.Kind(kind), key), operation))
        else:
            puts.append(wire.unpack(kind, key, value))
    _check_budgets(tx, node, alone=not puts)
    message: wire.Snapshot | wire.Delta
    if whole:
        message = wire.Snapshot(node_id, epoch(tx), node.generation, puts, tombstones, node.approved)
    else:
        message = wire.Delta(node_id, epoch(tx), node.applied_generation, node.generation, puts, tombstones)
    return Batch(node_id, node.agent_url, message, expected_digest(node))


def unasked(tx: Transaction, node: Node) -> dict[wire.EntryKey, NodeEntry]:
    """What a node has still to lose though nobody asked for it."""
    query = select(NodeEntry).where(NodeEntry.node_id == node.id, NodeEntry.removed, NodeEntry.operation.is_(None))
    rows = tx.session.scalars(query.where(NodeEntry.generation > node.applied_generation))
    return {wire.EntryKey(wire.Kind(row.kind), row.key): row for row in rows}


def _check_budgets(tx: Transaction, node: Node, *, alone: bool) -> None:
    due = list(unasked(tx, node))
    if not due:
        return
    held = or_(NodeEntry.removed, NodeEntry.generation <= node.applied_generation)
    lately = select(func.coalesce(func.sum(Withdrawal.addresses), 0)).where(Withdrawal.node_id == node.id)
    gone = tx.session.scalars(lately.where(Withdrawal.at > now() - budgets.WINDOW)).one()
    left = gone + _left(tx, node.id, due)
    mapped = _count(tx, node.id, *MAPPED)
    why = budgets.refusal(node.name, _count(tx, node.id, held), due, alone=alone, mapped=mapped, left=left)
    if why is not None:
        raise WithdrawBudget(why)


MAPPED = NodeEntry.kind == int(wire.Kind.INBOUND), ~NodeEntry.removed


def _left(tx: Transaction, node_id: UUID, removals: Sequence[wire.EntryKey]) -> int:
    """How many addresses that a gateway maps are in prefixes that go."""
    prefixes = [wire.unpack_prefix(key.key) for key in removals if key.kind is wire.Kind.PREFIX]
    return sum(
        _count(tx, node_id, *MAPPED, NodeEntry.key.between(one.network_address.packed, one.broadcast_address.packed))
        for one in prefixes
        if one.version == 4
    )


def _count(tx: Transaction, node_id: UUID, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(NodeEntry).where(NodeEntry.node_id == node_id, *conditions)
    return tx.session.scalars(query).one()


def expected_digest(node: Node) -> dict[str, str]:
    return wire.Digest({int(kind): int(total, 16) for kind, total in node.sums.items()}).hex()


def confirm(tx: Transaction, batch: Batch, realized: wire.Realized) -> set[UUID] | None:
    """Store what a node read back of a batch; return the owners for whom that changes something.

    None, and nothing is confirmed, when the node holds something else than it was sent: what it failed to hold it must
    name, and what it failed to remove it must not hide.
    """
    node = tx.session.scalars(
        select(Node)
        .where(Node.id == batch.node)
        .with_for_update(key_share=True, of=Node)
        .execution_options(populate_existing=True)
    ).one()
    failed = {
        wire.EntryKey(wire.Kind[failure.kind.upper()], bytes.fromhex(failure.key)): f"{failure.code}: {failure.message}"
        for failure in realized.failed
    }
    named = _rows(tx, batch.node, failed) if failed else []
    if realized.digest != _without(batch.digest, [row for row in named if not row.removed]):
        return None
    before = node.applied_generation
    node.applied_generation = max(before, min(realized.generation, node.generation))
    node.refusal = node.approved = None
    fresh = and_(NodeEntry.generation > before, NodeEntry.generation <= node.applied_generation)
    query = select(*_HELD).where(NodeEntry.node_id == batch.node, or_(fresh, NodeEntry.failure.is_not(None)))
    owners = set()
    for row in {*tx.session.execute(query), *named}:
        key = wire.EntryKey(wire.Kind(row.kind), row.key)
        failure = failed.get(key) if row.generation <= realized.generation else row.failure
        if row.generation > before or failure != row.failure:
            owners.add(row.owner)
        if failure != row.failure:
            _note_failure(tx, batch.node, key, failure)
    tx.session.flush()
    settled = NodeEntry.node_id == batch.node, NodeEntry.removed.is_(True), NodeEntry.failure.is_(None)
    gone = (*settled, NodeEntry.generation <= node.applied_generation)
    _record_withdrawal(tx, batch.node, gone)
    tx.session.execute(delete(NodeEntry).where(*gone))
    return owners


def _note_failure(tx: Transaction, node_id: UUID, of: wire.EntryKey, failure: str | None) -> None:
    row = NodeEntry.node_id == node_id, NodeEntry.kind == int(of.kind), NodeEntry.key == of.key
    tx.session.execute(
        update(NodeEntry).where(*row).values(failure=failure).execution_options(synchronize_session=False)
    )


def _record_withdrawal(tx: Transaction, node_id: UUID, gone: Sequence[ColumnElement[bool]]) -> None:
    """Remember for a while what is gone that nobody asked for."""
    of_prefixes = NodeEntry.kind == int(wire.Kind.PREFIX), NodeEntry.operation.is_(None)
    keys = tx.session.scalars(select(NodeEntry.key).where(*gone, *of_prefixes))
    left = _left(tx, node_id, [wire.EntryKey(wire.Kind.PREFIX, key) for key in keys])
    if left:
        outdated = delete(Withdrawal).where(Withdrawal.node_id == node_id, Withdrawal.at < now() - budgets.WINDOW)
        tx.session.execute(outdated)
        tx.session.add(Withdrawal(node_id=node_id, addresses=left))


def _without(digest: dict[str, str], rows: Sequence[Held]) -> dict[str, str]:
    """The digest of what is left when these rows are not held."""
    sums = wire.Digest({wire.Kind[name.upper()]: int(total, 16) for name, total in digest.items()})
    for row in rows:
        sums.remove(row.kind, row.key, row.value)
    return sums.hex()


def owners_waiting(tx: Transaction, node_id: UUID) -> set[UUID]:
    """The owners of what a node has not read back."""
    behind = select(NodeEntry.owner).join(Node).where(NodeEntry.node_id == node_id)
    late = or_(NodeEntry.generation > Node.applied_generation, NodeEntry.failure.is_not(None))
    return set(tx.session.scalars(behind.where(late).distinct()))


def refuse(tx: Transaction, node_id: UUID, refusal: str) -> set[UUID]:
    """The node's agent does not take what it is sent; return the owners who wait for it."""
    tx.session.execute(update(Node).where(Node.id == node_id).values(refusal=refusal, approved=None))
    return owners_waiting(tx, node_id)


def copy_mappings(tx: Transaction, source: UUID, to: Node) -> None:
    """Give a new gateway what another gateway of its zone maps, whoever owns it."""
    kinds = (int(wire.Kind.INBOUND), int(wire.Kind.OUTBOUND))
    sibling = tx.session.scalars(select(Node).where(Node.id == source).with_for_update(key_share=True, of=Node)).one()
    rows = select(
        literal(to.id),
        NodeEntry.kind,
        NodeEntry.key,
        NodeEntry.value,
        NodeEntry.owner,
        literal(to.generation),
        NodeEntry.removed,
    ).where(NodeEntry.node_id == source, ~NodeEntry.removed, NodeEntry.kind.in_(kinds))
    columns = ["node_id", "kind", "key", "value", "owner", "generation", "removed"]
    tx.session.execute(insert(NodeEntry).from_select(columns, rows))
    to.sums = {**to.sums, **{str(kind): sibling.sums[str(kind)] for kind in kinds if str(kind) in sibling.sums}}


Behind = list[tuple[Node, str | None]]
"""Nodes that have not read back what they must hold, each with a failure if its kernel refused."""


def pending(tx: Transaction, owners: Sequence[UUID]) -> dict[UUID, Behind]:
    """For each owner the nodes that have not read back what they must hold of it.

    What is held apart counts as withdrawn: a node that is fenced, and an address that is fenced from a node.
    """
    apart = exists().where(
        NodeEntry.removed,
        NodeEntry.kind == int(wire.Kind.ADDRESS),
        AddressFence.node_id == NodeEntry.node_id,
        AddressFence.key == NodeEntry.key,
        AddressFence.realized,
    )
    found: dict[UUID, Behind] = {owner: [] for owner in owners}
    query = (
        select(NodeEntry.owner, Node, func.coalesce(NodeEntry.failure, Node.refusal).label("failure"))
        .join(Node, NodeEntry.node_id == Node.id)
        .where(
            among(NodeEntry.owner, owners),
            Node.fenced_at.is_(None),
            ~apart,
            NodeEntry.kind != int(wire.Kind.HEALTH_CHECK),  # an address is there, checked or not
            or_(NodeEntry.generation > Node.applied_generation, NodeEntry.failure.is_not(None)),
        )
        .ext(distinct_on(NodeEntry.owner, Node.id))
        .order_by(NodeEntry.owner, Node.id, text("failure DESC NULLS LAST"))
    )
    for owner, node, failure in tx.session.execute(query):
        found[owner].append((node, failure))
    return found


def withdrawing(tx: Transaction, node_id: UUID, version: int) -> list[Prefix]:
    """The addresses of an IP version that leave a node, and that its kernel may still hold."""
    leaving = select(NodeEntry.key).where(NodeEntry.node_id == node_id, NodeEntry.kind == int(wire.Kind.ADDRESS))
    found = [wire.unpack_prefix(key) for key in tx.session.scalars(leaving.where(NodeEntry.removed))]
    return [prefix for prefix in found if prefix.version == version]


def checking(tx: Transaction) -> list[UUID]:
    """The nodes that run health checks."""
    query = select(NodeEntry.node_id).where(NodeEntry.kind == int(wire.Kind.HEALTH_CHECK), ~NodeEntry.removed)
    return list(tx.session.scalars(query.distinct()))


def failures(tx: Transaction, node_id: UUID) -> list[str]:
    query = select(NodeEntry).where(NodeEntry.node_id == node_id, NodeEntry.failure.is_not(None)).limit(100)
    return [f"{wire.Kind(row.kind).name.lower()} {row.failure}" for row in tx.session.scalars(query)]


def nodes_with_failures(tx: Transaction) -> set[UUID]:
    return set(tx.session.scalars(select(NodeEntry.node_id).where(NodeEntry.failure.is_not(None)).distinct()))
