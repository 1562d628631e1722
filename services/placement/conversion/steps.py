"""The steps of one port's conversion, there and back. Pure: facts in, a decision out.

Both paths of an address are live at once while it is switched: first the new way in, then the new way out, and only
then is the old one taken away (make before break). The way back walks the same stages down. Stages are ordered: each
holds all that the one before it holds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Stage(enum.IntEnum):
    """How much of the new path a port has. The names are those of the port state machine of a conversion."""

    NAT = 0  # the central gateways rewrite, both ways
    CHECKED = 1  # nothing stands against it, and it is known what answers
    PREPARED = 2  # its hypervisor can rewrite inbound packets; nothing sends them there yet
    ANNOUNCED = 3  # the public address is announced from its hypervisor
    OUTBOUND = 4  # its hypervisor rewrites outbound packets too; the gateways' mapping is still there
    SWITCHED = 5  # the gateways' mapping is off: mode `hostnat`


@dataclass(frozen=True, slots=True)
class Path:
    """What of a port's address is programmed where."""

    mapping: bool  # at the gateways
    inbound: bool  # rewrite at the hypervisor
    announced: bool  # by the hypervisor
    outbound: bool  # rewrite at the hypervisor


def path(stage: Stage) -> Path:
    """What `stage` asks of the nodes. A port in mode `nat` is at NAT, one in mode `hostnat` at SWITCHED."""
    return Path(
        mapping=stage < Stage.SWITCHED,
        inbound=stage >= Stage.PREPARED,
        announced=stage >= Stage.ANNOUNCED,
        outbound=stage >= Stage.OUTBOUND,
    )


def share(kind: str, stage: Stage) -> float:
    """How much of its way a claim of `kind` has gone at `stage`."""
    gone = stage / Stage.SWITCHED
    return gone if kind == CONVERT else 1 - gone


CONVERT, REVERT = "convert", "revert"
CONVERSIONS = frozenset({CONVERT, REVERT})
"""Kinds of the claim a conversion holds on a port while it is between two modes."""

SETTLE_S = 1.0  # longer than the worst transit to a gateway: both paths are live, so waiting costs nothing
VERIFY_S = 10.0  # what does not answer by then is rolled back
OVERDUE_S = 120.0  # at one stage: missing or timed out is a failure


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not done, and what mends it."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a stage is judged."""

    blockers: tuple[Reason, ...] = ()  # NAT: what stands against it; an unknown is one
    hypervisor_pending: str | None = None  # why its hypervisor does not yet hold what the stage asks; None: it does
    gateways_pending: str | None = None  # the same of every gateway that announces
    edge_sends_here: bool = False  # the edge's kernel sends every address of the port to its hypervisor
    edge_unknown: str | None = None  # what came instead of the edge's answer
    settled_s: float = 0.0  # since all of the above were first seen to hold at this stage
    at_stage_s: float = 0.0
    silent: tuple[str, ...] = ()  # SWITCHED: what answered before and does not now


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to `stage`."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and say for what. `settling`: nothing is missing but time. `soon`: look again within a second."""

    code: str
    text: str
    settling: bool = False
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Not now: nothing has been changed."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RollBack:
    """Turn round where it is, and walk back."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Done:
    """The end of this direction is reached."""


Decision = Advance | Wait | Blocked | RollBack | Done


def asks_edge(kind: str, stage: Stage) -> bool:
    """Whether this stage waits for what the edge's kernel does."""
    there = {Stage.ANNOUNCED, Stage.OUTBOUND, Stage.SWITCHED}
    return stage in there if kind == CONVERT else stage is Stage.PREPARED


def tries_guest(kind: str, stage: Stage) -> bool:
    """Whether the guest is tried at this stage: before its path changes, and after."""
    return (kind, stage) in {(CONVERT, Stage.CHECKED), (CONVERT, Stage.SWITCHED)}


def next_step(kind: str, stage: Stage, facts: Facts) -> Decision:
    """What follows `stage` for a claim of `kind`, CONVERT or REVERT."""
    return forward(stage, facts) if kind == CONVERT else backward(stage, facts)


def forward(stage: Stage, facts: Facts) -> Decision:
    """What follows `stage` on the way to `hostnat`. A dead gateway holds up nothing: its mapping is hygiene."""
    if stage is Stage.NAT and facts.blockers:
        return Blocked(facts.blockers)
    wait = _waiting(stage, facts)
    if wait is not None:
        return wait
    return _verdict(facts) if stage is Stage.SWITCHED else Advance(Stage(stage + 1))


def _waiting(stage: Stage, facts: Facts) -> Wait | None:
    if facts.hypervisor_pending:
        return Wait("conversion.hypervisor", facts.hypervisor_pending)
    if facts.edge_unknown and stage is not Stage.PREPARED:  # nor are blockers known, nor who answers
        return Wait("conversion.edge", facts.edge_unknown)
    if stage in {Stage.ANNOUNCED, Stage.OUTBOUND} and not facts.edge_sends_here:  # it may have got another address
        return Wait("conversion.edge", "the edge does not yet send the address to its hypervisor")
    if stage is Stage.OUTBOUND and facts.settled_s < SETTLE_S:
        return Wait("conversion.settling", "packets on their way still need the gateways' mapping", True, True)
    return None


def _verdict(facts: Facts) -> Decision:
    """Positive only if what answered before answers now; for a silent guest the edge's route decides."""
    if facts.edge_sends_here and not facts.silent:
        return Done()
    wrong = f"no answer by {', '.join(facts.silent)}" if facts.silent else "the edge sends the address elsewhere"
    if facts.at_stage_s < VERIFY_S:
        return Wait("conversion.verdict", wrong, soon=True)
    return RollBack(Reason("conversion.verdict", wrong, "look at the guest and its hypervisor, then convert it again"))


def backward(stage: Stage, facts: Facts) -> Decision:
    """What follows `stage` on the way back. The gateways' mapping is on, read back, before anything else is undone."""
    if stage is Stage.SWITCHED:
        return Advance(Stage.OUTBOUND)
    if stage is Stage.OUTBOUND and facts.gateways_pending:
        return Wait("conversion.gateways", facts.gateways_pending)
    if facts.hypervisor_pending:
        return Wait("conversion.hypervisor", facts.hypervisor_pending)
    if stage is Stage.PREPARED:
        if facts.edge_unknown or facts.edge_sends_here:
            return Wait("conversion.edge", facts.edge_unknown or "the edge still sends the address to its hypervisor")
        if facts.settled_s < SETTLE_S:
            return Wait("conversion.settling", "packets on their way still need the rewrite", True, True)
    return Done() if stage is Stage.NAT else Advance(Stage(stage - 1))


def failed(before: Mapping[str, bool], now: Mapping[str, bool]) -> tuple[str, ...]:
    """Of the ways a guest was tried, those that answered before and do not now."""
    return tuple(sorted(way for way, answered in before.items() if answered and not now.get(way, False)))
