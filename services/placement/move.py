"""The steps of a change of Binding, and what each step asks of the nodes. Pure: facts in, a decision out.

A planned move of the same instance is make before break (ARCHITECTURE §5): the destination is programmed
silently and read back, the guest is switched, the destination is announced, and only when the fabric has converged is
the source withdrawn. A start is a move without a source, a stop one without a destination.

A disk goes to the object store only when its guest is gone, and comes back before there is one again (ADR 18). A cold
move is a stop that goes on with a start.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.netagent.wire import PortState


class Kind(enum.StrEnum):
    CREATE = "create"
    START = "start"
    LIVE = "live"
    COLD = "cold"
    RESTART = "restart"
    RETURN = "return"  # of a stop or a cold move that is not to be: to where it was
    EVACUATE = "evacuate"  # from a node that is fenced: it counts as withdrawn
    STOP = "stop"
    DELETE = "delete"


class Step(enum.StrEnum):
    """What has been asked of the nodes, or of the ledger; it is left when that is read back."""

    REGISTER = "register"  # the ledger knows the target and its addresses
    PREPARE = "prepare"  # destination programmed, silent; the source has a fallback to it
    SWITCH = "switch"  # the destination's leg carries the guest
    ANNOUNCE = "announce"  # the destination is announced with a higher sequence
    WITHDRAW = "withdraw"  # the source holds nothing of the port any more
    ARCHIVE = "archive"  # the disk's content lies in the object store
    DISCARD = "discard"  # the disk is gone from where it was
    RESTORE = "restore"  # the destination has the disk; with nothing archived, there is nothing to do
    FORGET = "forget"  # the ledger lets the target go
    ABANDON = "abandon"  # a creation that the ledger refused leaves nothing there; it ends no path
    DONE = "done"


PATHS: dict[Kind, tuple[Step, ...]] = {
    Kind.CREATE: (Step.REGISTER, Step.PREPARE, Step.ANNOUNCE, Step.DONE),
    Kind.START: (Step.RESTORE, Step.PREPARE, Step.ANNOUNCE, Step.DONE),
    Kind.LIVE: (Step.PREPARE, Step.SWITCH, Step.ANNOUNCE, Step.WITHDRAW, Step.DONE),
    Kind.COLD: (
        Step.WITHDRAW,
        Step.ARCHIVE,
        Step.DISCARD,
        Step.RESTORE,
        Step.PREPARE,
        Step.ANNOUNCE,
        Step.DONE,
    ),
    Kind.RESTART: (Step.WITHDRAW, Step.PREPARE, Step.ANNOUNCE, Step.DONE),
    Kind.RETURN: (Step.PREPARE, Step.ANNOUNCE, Step.DONE),
    Kind.EVACUATE: (Step.PREPARE, Step.ANNOUNCE, Step.DONE),
    Kind.STOP: (Step.WITHDRAW, Step.ARCHIVE, Step.DISCARD, Step.DONE),
    Kind.DELETE: (Step.WITHDRAW, Step.DISCARD, Step.FORGET, Step.DONE),
}
OF_LEDGER = frozenset({Step.REGISTER, Step.FORGET})
OF_DISK = frozenset({Step.ARCHIVE, Step.DISCARD, Step.RESTORE})
NOWHERE = OF_LEDGER | OF_DISK | {Step.ABANDON}
"""Steps at which no node holds anything of the port."""
AT_HOME = frozenset({Kind.RESTART, Kind.RETURN})
"""Kinds that end where they began, with what the port holds of its node."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A node that has not yet read back what the port asks of it."""

    node: str
    up: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to `step`."""

    step: Step


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and say for what."""

    code: str
    text: str
    unblock: str


DISK_ASKED = Wait("disk.asked", "the disk's node has not answered", "its agent answers")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a step is judged."""

    pending: tuple[Pending, ...] = ()
    ledger_done: bool = False  # REGISTER, FORGET: the ledger has answered; ABANDON ends with that, at no further step
    converged: bool = False  # ANNOUNCE: the edge's kernel sends every announced address to the destination
    silent: str | None = None  # what came instead of an answer to these two
    fenced: str | None = None  # the destination, if it is held apart: nobody waits for it, so nobody may go there
    disk: Wait | None = DISK_ASKED  # ARCHIVE, DISCARD, RESTORE: why that is not done; None: it is


def first_step(kind: Kind) -> Step:
    return PATHS[kind][0]


def progress(kind: Kind, step: Step) -> float:
    path = PATHS[kind]
    return path.index(step) / (len(path) - 1)


def next_step(kind: Kind, step: Step, facts: Facts) -> Advance | Wait:
    """Whether `step` is realised, and what follows it."""
    wait = facts.disk if step in OF_DISK else _waiting(step, facts)
    if wait is not None:
        return wait
    path = PATHS[kind]
    return Advance(path[path.index(step) + 1])


def undone(kind: Kind, step: Step) -> tuple[Kind, Step] | None:
    """What becomes of a change that is cancelled, or whose disk is refused; None: it is past its point of no return.

    A stop goes back to where it was as long as the disk is there. A start ends archived; once its guest may have run,
    as a stop does: nothing that it wrote is lost.
    """
    if kind in {Kind.STOP, Kind.COLD} and step in {Step.WITHDRAW, Step.ARCHIVE}:
        return Kind.RETURN, Step.PREPARE
    if kind in {Kind.START, Kind.COLD}:
        return {Step.RESTORE: (Kind.STOP, Step.DISCARD), Step.PREPARE: (Kind.STOP, Step.WITHDRAW)}.get(step)
    return None


def redirected(kind: Kind, step: Step) -> Step | None:
    """Where a change whose destination dies goes on, to another; None: it does not.

    It has no source by then that would have to be told. Once its guest may have run, it is prepared anew.
    """
    if kind not in {Kind.CREATE, Kind.START, Kind.COLD, Kind.EVACUATE} or step is Step.ABANDON:
        return None
    return Step.PREPARE if step is Step.ANNOUNCE else step


def _waiting(step: Step, facts: Facts) -> Wait | None:
    if step in OF_LEDGER or step is Step.ABANDON:
        if facts.ledger_done:
            return None
        return Wait("ledger.waits", facts.silent or "the ledger has not answered", "the ledger takes the request")
    if facts.fenced and step in {Step.PREPARE, Step.SWITCH}:
        return Wait("node.fenced", f"{facts.fenced} is fenced", f"{facts.fenced} is evacuated, or let in")
    if facts.pending:
        return unrealized(facts.pending)
    return _diverging(facts) if step is Step.ANNOUNCE and not facts.converged else None


def _diverging(facts: Facts) -> Wait:
    if facts.silent:
        return Wait("edge.unreachable", facts.silent, "the edge's agent answers again")
    text = "the edge does not yet send the addresses to the new hypervisor"
    return Wait("fabric.converging", text, "BGP converges")


BEING_CREATED = Wait("instance.creating", "the instance is being created", "its creation ends")
"""What addresses wait for meanwhile: what nobody runs yet is not attached yet."""


def unrealized(pending: tuple[Pending, ...]) -> Wait:
    """What is waited for while nodes have not read back what they must hold."""
    node = next((item for item in pending if item.failure), pending[0])
    if node.failure:
        return Wait("node.failed", f"{node.node}: {node.failure}", "its agent repairs the entry, or a person does")
    if not node.up:
        return Wait("node.unreachable", f"{node.node} does not answer", f"{node.node} answers again")
    return Wait("node.behind", f"{node.node} has not read it back yet", f"{node.node} confirms")


@dataclass(frozen=True, slots=True)
class Seat:
    """A hypervisor that holds entries of a port, and the part it plays."""

    node: UUID
    state: PortState
    announces: bool
    fallback: UUID | None = None  # the hypervisor that has the guest when our leg has no carrier


def announcer(where: Sequence[Seat]) -> UUID | None:
    """The hypervisor that the fabric shall prefer, and whose private address a public one maps to."""
    return next((seat.node for seat in reversed(where) if seat.announces), None)


@dataclass(frozen=True, slots=True)
class Passage:
    """A claim's kind, step and ends."""

    kind: Kind
    step: Step
    source: UUID | None
    destination: UUID | None


def rebinds_to(passage: Passage | None) -> UUID | None:
    """The node whose own addresses alone are left to a port that rebinds once this step is read back.

    Whatever else the port holds is freed when the move is done, so no node may hold it by then.
    """
    if passage is None:
        return None
    anew = passage.kind in {Kind.START, Kind.COLD, Kind.EVACUATE}
    return passage.destination if anew or (passage.kind is Kind.LIVE and passage.step is Step.WITHDRAW) else None


def seats(bound: UUID | None, passage: Passage | None) -> tuple[Seat, ...]:
    """Where a port's entries belong now: during a move the source first, then the destination."""
    if passage is None or passage.step is Step.DONE:
        return (Seat(bound, PortState.ACTIVE, announces=True),) if bound else ()
    source, destination, step = passage.source, passage.destination, passage.step
    if step in NOWHERE or (step is Step.WITHDRAW and passage.kind is not Kind.LIVE):
        return ()
    if passage.kind is Kind.LIVE and source and destination:
        if step is Step.WITHDRAW:
            return (Seat(destination, PortState.ACTIVE, announces=True),)
        return (
            Seat(source, PortState.LEAVING, announces=True, fallback=destination),
            Seat(
                destination,
                PortState.STANDBY if step is Step.PREPARE else PortState.ACTIVE,
                announces=step is Step.ANNOUNCE,
            ),
        )
    return (Seat(destination, PortState.ACTIVE, announces=step is Step.ANNOUNCE),) if destination else ()
