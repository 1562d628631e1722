"""Which snapshots and deltas a node takes. Pure: what is held and what came, to the change it means or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.netagent import wire
from services.netagent.errors import BaseMismatch, MalformedMessage, RemovalBudget, StaleGeneration, WrongNode

Held = Mapping[wire.EntryKey, wire.Entry | None]
"""What a node has; None: it is known by its rows alone, and as nothing that a message could equal."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a node has been told. Compared by epoch first: a restored database starts a new one."""

    epoch: int
    generation: int


@dataclass(frozen=True, slots=True)
class Change:
    """What an admitted message changes. `complete`: what it does not name is not ours to hold."""

    position: Position
    puts: dict[wire.EntryKey, wire.Entry] = field(default_factory=dict)
    removals: list[wire.EntryKey] = field(default_factory=list)
    complete: bool = False


def admit(node: UUID, position: Position | None, held: Held, message: wire.Snapshot | wire.Delta) -> Change:
    """The change that `message` means to a node that is at `position` and holds `held`.

    A repeated message is admitted again and changes nothing. A snapshot that differs at the same generation is taken:
    it is how a node that went astray is put right. Raises WrongNode, StaleGeneration, BaseMismatch,
    RemovalBudget, MalformedMessage.
    """
    if message.node != node:
        raise WrongNode(f"the message is for node {message.node}, this is {node}")
    if isinstance(message, wire.Snapshot):
        return _snapshot(position, held, message)
    return _delta(position, held, message)


def _snapshot(position: Position | None, held: Held, snapshot: wire.Snapshot) -> Change:
    ahead = Position(snapshot.epoch, snapshot.generation)
    if position is not None and ahead < position:
        raise StaleGeneration(f"the snapshot is at {_at(ahead)}, this node at {_at(position)}")
    wanted = {wire.EntryKey.of(entry): entry for entry in snapshot.entries}
    if len(wanted) != len(snapshot.entries):
        raise MalformedMessage("the snapshot names an entry twice")
    puts = {key: entry for key, entry in wanted.items() if held.get(key) != entry}
    removals = [key for key in held if key not in wanted]
    _check_budget(held, puts, removals, snapshot)
    return Change(ahead, puts, removals, complete=True)


def _delta(position: Position | None, held: Held, delta: wire.Delta) -> Change:
    ahead = Position(delta.epoch, delta.generation)
    if position is None:
        raise BaseMismatch("this node holds nothing yet; send the whole")
    if delta.epoch < position.epoch:
        raise StaleGeneration(f"the delta is at {_at(ahead)}, this node at {_at(position)}")
    if delta.epoch > position.epoch or delta.base > position.generation:
        base = Position(delta.epoch, delta.base)
        raise BaseMismatch(f"the delta applies from {_at(base)}, this node is at {_at(position)}")
    wanted = {wire.EntryKey.of(entry): entry for entry in delta.puts}
    gone = {tombstone.entry for tombstone in delta.tombstones}
    if len(wanted) != len(delta.puts) or gone & wanted.keys():
        raise MalformedMessage("the delta names an entry twice")
    puts = {key: entry for key, entry in wanted.items() if held.get(key) != entry}
    removals = [key for key in gone if key in held]
    if ahead < position:
        raise StaleGeneration(f"the delta leads to {_at(ahead)}, this node is at {_at(position)}")
    if ahead == position and (puts or removals):
        raise BaseMismatch(f"this node holds something else at {_at(position)}; send the whole")
    _check_budget(held, puts, removals, delta)
    return Change(ahead, puts, removals)


def _check_budget(held: Held, puts: Held, removals: list[wire.EntryKey], message: wire.Snapshot | wire.Delta) -> None:
    """Removals that somebody asked for don't count."""
    asked = {tombstone.entry for tombstone in message.tombstones if tombstone.asked_by is not None}
    unasked = [key for key in removals if key not in asked]
    refusal = wire.over_budget(len(held), len(unasked), alone=not puts)
    if refusal is None:
        return
    if not isinstance(message, wire.Snapshot) or message.approved != wire.removals_digest(unasked):
        raise RemovalBudget(f"{refusal}; {wire.way_out(str(message.node), unasked)}")


def _at(position: Position) -> str:
    return f"epoch {position.epoch} generation {position.generation}"
