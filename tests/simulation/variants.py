"""Decisions with a bug in them, each of a kind that was met in the field: the simulation must find every one."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.netagent import admission, wire
from services.netagent.admission import Change, Held, Position
from services.placement import move
from services.placement.conversion import steps
from services.placement.conversion.steps import Path, Stage
from services.placement.fleet import steps as fleet
from services.placement.fleet.steps import Work
from services.placement.move import Advance, Facts, Kind, Step, Wait
from tests.simulation.decisions import Decisions


def _admit_any_generation(
    node: UUID, position: Position | None, held: Held, message: wire.Snapshot | wire.Delta
) -> Change:
    """The generation check left out: what comes last is what counts."""
    if isinstance(message, wire.Delta) and position is not None:
        position = Position(message.epoch, message.base)
    return admission.admit(node, position if isinstance(message, wire.Delta) else None, held, message)


def _admit_any_removal(
    node: UUID, position: Position | None, held: Held, message: wire.Snapshot | wire.Delta
) -> Change:
    """An empty snapshot prunes: everything counts as asked for."""
    if isinstance(message, wire.Snapshot):
        asked = [wire.Tombstone(key, node) for key in held]
        message = replace(message, tombstones=asked)
    return admission.admit(node, position, held, message)


def _next_step_without_read_back(kind: Kind, step: Step, facts: Facts) -> Advance | Wait:
    """A step is left as soon as it was asked for."""
    return move.next_step(kind, step, replace(facts, pending=()))


ANNOUNCED_BEFORE_ACKNOWLEDGED = Decisions(is_realized=lambda _: True)
"""The ledger gives an address to its next target before the nodes of the old one have acknowledged the withdrawal."""

GENERATION_UNCHECKED = Decisions(admit=_admit_any_generation)
PRUNED_ON_EMPTY = Decisions(admit=_admit_any_removal)
NOT_READ_BACK = Decisions(next_step=_next_step_without_read_back)
ANSWERS_TRUSTED = Decisions(trusts=lambda *_: True)
"""An answer counts although the node holds something else than it was sent."""


def _path_reversed(stage: Stage) -> Path:
    """The gateways' mapping goes off a stage before the hypervisor rewrites what leaves."""
    path = steps.path(stage)
    return replace(path, mapping=stage < Stage.OUTBOUND, outbound=stage >= Stage.SWITCHED)


def _convert_unsettled(kind: str, stage: Stage, facts: steps.Facts) -> steps.Decision:
    """No time for what is on its way by the gateways."""
    return steps.next_step(kind, stage, replace(facts, settled_s=steps.SETTLE_S))


def _fence_unread(work: Work, facts: fleet.Facts) -> fleet.Decision:
    """A node counts as fenced as soon as the edges were told."""
    return fleet.next_step(work, replace(facts, edges_pending=None))


def _let_in_unread(work: Work, facts: fleet.Facts) -> fleet.Decision:
    """A node is let in before it has withdrawn what is no longer its."""
    return fleet.next_step(work, replace(facts, node_pending=None))


FENCE_NOT_READ_BACK = Decisions(node_step=_fence_unread)
LET_IN_AT_ONCE = Decisions(node_step=_let_in_unread)
GATEWAYS_OFF_FIRST = Decisions(path=_path_reversed)
UNSETTLED = Decisions(convert=_convert_unsettled)

VARIANTS = {
    "announced before the withdrawal is acknowledged": ANNOUNCED_BEFORE_ACKNOWLEDGED,
    "a generation check left out": GENERATION_UNCHECKED,
    "a prune on an empty snapshot": PRUNED_ON_EMPTY,
    "a step left before it is read back": NOT_READ_BACK,
    "an answer of another content counts": ANSWERS_TRUSTED,
    "gateways off before outbound on": GATEWAYS_OFF_FIRST,
    "a switch that does not settle": UNSETTLED,
    "a fence that no edge has read back": FENCE_NOT_READ_BACK,
    "let in before it has withdrawn": LET_IN_AT_ONCE,
}
