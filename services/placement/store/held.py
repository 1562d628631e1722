"""What a node says it holds, taken over into rows: of one that is new, or of whom a restored database knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from uuid import UUID

from sqlalchemy import select, tuple_

from common.db import Transaction
from services.netagent import wire
from services.placement.model import Node, NodeEntry, Prefix
from services.placement.store.nodes import up

CHUNK = 1000  # keys in one statement


@dataclass(frozen=True, slots=True)
class Found:
    """What a node holds that the database does not have there: nowhere at all, or on another node."""

    unknown: list[wire.Entry] = field(default_factory=list)
    elsewhere: list[wire.Entry] = field(default_factory=list)


def stranger(tx: Transaction, node_id: UUID) -> str | None:
    """Where the agent of a node is to be asked of which nothing is known; None: it is known, or does not answer."""
    node = tx.session.get(Node, node_id)
    return node.agent_url if node is not None and node.applied_generation == 0 and up(node) else None


def announced(held: wire.Snapshot) -> dict[Prefix, int]:
    """The sequences that a node announces addresses with."""
    found: dict[Prefix, int] = {}
    for entry in held.entries:
        if isinstance(entry, wire.Address) and entry.sequence:
            found[entry.prefix] = entry.sequence
        elif isinstance(entry, wire.HostNat) and entry.sequence:
            found[IPv4Network(entry.public)] = entry.sequence
    return found


def take_over(tx: Transaction, held: wire.Snapshot) -> Found:
    """Let the node's rows start from what it holds: what differs is still to be told, what is too much to be removed.

    What the database has on another node goes from here by that port's wish. What it does not have at all, nobody asked
    to remove: that is budgeted, as all such removals are.
    """
    node = tx.session.scalars(
        select(Node)
        .where(Node.id == held.node)
        .with_for_update(key_share=True, of=Node)
        .execution_options(populate_existing=True)
    ).one()
    if node.applied_generation != 0 or not held.entries:
        return Found()
    node.generation += 1
    node.applied_generation = node.generation - 1
    theirs = {wire.EntryKey.of(entry): entry for entry in held.entries}
    ours = set()
    for row in tx.session.scalars(select(NodeEntry).where(NodeEntry.node_id == node.id)):
        key = wire.EntryKey(wire.Kind(row.kind), row.key)
        ours.add(key)
        if row.removed and key not in theirs:
            tx.session.delete(row)
        elif row.removed or key not in theirs or theirs[key].value() != row.value:
            row.generation = node.generation
    spare = [key for key in theirs if key not in ours]
    owners = _elsewhere(tx, node.id, spare)
    tx.session.add_all(
        NodeEntry(
            node_id=node.id,
            kind=int(key.kind),
            key=key.key,
            value=theirs[key].value(),
            owner=owners.get(key, node.id),
            generation=node.generation,
            removed=True,
            operation=owners.get(key),
        )
        for key in spare
    )
    tx.session.flush()
    return Found([theirs[key] for key in spare if key not in owners], [theirs[key] for key in spare if key in owners])


def _elsewhere(tx: Transaction, node_id: UUID, keys: Sequence[wire.EntryKey]) -> dict[wire.EntryKey, UUID]:
    """Those that other nodes are to hold, with who is there."""
    found: dict[wire.EntryKey, UUID] = {}
    for start in range(0, len(keys), CHUNK):
        named = [(int(key.kind), key.key) for key in keys[start : start + CHUNK]]
        query = select(NodeEntry.kind, NodeEntry.key, NodeEntry.owner).where(
            NodeEntry.node_id != node_id, ~NodeEntry.removed, tuple_(NodeEntry.kind, NodeEntry.key).in_(named)
        )
        found |= {wire.EntryKey(wire.Kind(kind), key): owner for kind, key, owner in tx.session.execute(query)}
    return found
