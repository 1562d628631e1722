"""What follows in the work on a node. Pure: facts in, a decision out."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.placement.move import Kind, Passage, Step, redirected


class Work(enum.StrEnum):
    """Kinds of work on a node, one at a time."""

    FENCE = "fence"
    UNFENCE = "unfence"
    EVACUATE = "evacuate"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when the work is judged."""

    edges_pending: str | None = None  # why an edge does not yet do what it was told of the node; None: all do
    node_pending: str | None = None  # UNFENCE: why the node does not hold what it should
    fence_lifted: bool = False  # UNFENCE: the edges have been told to let it in
    left: int = 0  # instances that are, or are about to be, on it
    moving: int = 0  # those of them on their way elsewhere
    concurrency: int = 1  # DRAIN: moves at a time
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class LetIn:
    """UNFENCE: tell the edges to let the node in."""


@dataclass(frozen=True, slots=True)
class Move:
    """Begin to move so many of its instances elsewhere."""

    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and say for what."""

    code: str
    text: str
    unblock: str


Decision = Done | LetIn | Move | Wait


def next_step(work: Work, facts: Facts) -> Decision:
    """What follows now."""
    match work:
        case Work.FENCE:
            return _edges(facts) or Done()
        case Work.UNFENCE:
            return _let_in(facts)
        case Work.EVACUATE | Work.DRAIN:
            return _empty(work, facts)


def _edges(facts: Facts) -> Wait | None:
    if facts.edges_pending:
        return Wait("node.edges", facts.edges_pending, "the edges read back what they were told")
    return None


def _let_in(facts: Facts) -> Decision:
    """What a node announced before, it must have withdrawn before anybody hears it again."""
    if facts.fence_lifted:
        return _edges(facts) or Done()
    if facts.node_pending:
        return Wait("node.withdrawal", facts.node_pending, "its agent answers, and reads back what it should hold")
    return LetIn()


def _empty(work: Work, facts: Facts) -> Decision:
    if not facts.left:
        return Done()
    waiting = facts.left - facts.moving
    room = facts.left if work is Work.EVACUATE else facts.concurrency - facts.moving
    if facts.paused:
        return Wait("node.paused", f"{facts.left} instances are left", "a person resumes it")
    if waiting > 0 and room > 0:
        return Move(min(waiting, room))
    return Wait("node.moves", f"{facts.moving} instances are on their way", "their moves end")


def must_leave(node: UUID, bound: UUID | None, passage: Passage | None) -> bool:
    """Whether a port is still to be moved away from `node`, which is dead. A conversion has no passage.

    What is deleted need not: its withdrawal counts as read back. Nor need a guest that was seen to have arrived
    elsewhere: its move goes on.
    """
    if passage is None:
        return bound == node
    if passage.kind is Kind.DELETE or passage.step is Step.ABANDON:
        return False
    arrived = passage.kind is Kind.LIVE and passage.step in {Step.ANNOUNCE, Step.WITHDRAW}
    leaving = bound == node and passage.kind is not Kind.EVACUATE and not arrived
    return leaving or passage.destination == node


def goes_elsewhere(node: UUID, bound: UUID | None, passage: Passage | None) -> bool:
    """Whether a change of a port that must leave needs but another destination."""
    return passage is not None and bound != node and redirected(passage.kind, passage.step) is not None


def stays(passage: Passage | None) -> bool:
    """Whether an instance whose destination died goes on at its source, which still holds everything of it."""
    return passage is not None and passage.kind is Kind.LIVE and passage.step is not Step.WITHDRAW


def homeless(names: Sequence[str]) -> Wait:
    """What is waited for when these instances find no room."""
    text = f"{len(names)} instances find no room on another hypervisor: {', '.join(names[:10])}"
    return Wait("node.no_room", text, "capacity is added, or instances are deleted")


def estimated_end(total: int, left: int, started: datetime, at: datetime) -> datetime | None:
    """When a node will be empty, if it goes on as it went."""
    done, took = total - left, (at - started).total_seconds()
    return at + timedelta(seconds=took / done * left) if done > 0 and left else None
