"""The production rules a simulation runs on, each replaceable: what a test seeds a bug into.

New pure steps get a field here, a task in a worker's file, and a map of their edges in `coverage`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.netagent import admission
from services.netagent.admission import Change, Held, Position
from services.netagent.wire import Delta, Digest, EntryKey, Kind as EntryKind, Realized, Snapshot
from services.placement import move, snapshot
from services.placement.conversion import phases, steps
from services.placement.conversion.phases import Phase, ZoneFacts
from services.placement.conversion.steps import Path, Reason, Stage
from services.placement.fleet import steps as fleet
from services.placement.fleet.steps import Work
from services.placement.move import Advance, Facts, Kind, Passage, Pending, Seat, Step, Wait
from services.placement.snapshot import Entries, PortFacts
from tests.simulation.rows import Trusts

Admit = Callable[[UUID, Position | None, Held, Snapshot | Delta], Change]


def is_realized(behind: Sequence[Pending]) -> bool:
    """Whether the ledger may be told that a port's addresses are realised: as `AddressSets.report` decides."""
    return not behind


def trusts(sent: dict[str, str], missing: list[tuple[EntryKey, bytes]], realized: Realized) -> bool:
    """Whether an answer counts: the node holds what it was sent but for what it names, and nothing else of ours.

    As `services.placement.store.entries.confirm` decides.
    """
    digest = Digest({EntryKind[name.upper()]: int(total, 16) for name, total in sent.items()})
    for key, value in missing:
        digest.remove(key.kind, key.key, value)
    return realized.digest == digest.hex()


@dataclass(frozen=True)
class Decisions:
    """What decides; as in production unless a test says otherwise."""

    next_step: Callable[[Kind, Step, Facts], Advance | Wait] = move.next_step
    seats: Callable[[UUID | None, Passage | None], tuple[Seat, ...]] = move.seats
    node_step: Callable[[Work, fleet.Facts], fleet.Decision] = fleet.next_step
    convert: Callable[[str, Stage, steps.Facts], steps.Decision] = steps.next_step
    path: Callable[[Stage], Path] = steps.path
    next_phase: Callable[[Phase, ZoneFacts], phases.Advance | phases.EndWave | phases.Wait] = phases.next_phase
    alarms: Callable[[Phase, ZoneFacts], list[Reason]] = phases.alarms
    port_entries: Callable[[PortFacts], Entries] = snapshot.port_entries
    admit: Admit = admission.admit
    is_realized: Callable[[Sequence[Pending]], bool] = is_realized
    trusts: Trusts = trusts
