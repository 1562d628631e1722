"""What many seeds did together: the totals, and which steps were taken of all there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from services.placement.conversion.phases import FORWARD, Phase
from services.placement.conversion.steps import CONVERT, REVERT, Stage
from services.placement.move import PATHS, Kind
from tests.simulation.controller import Edge
from tests.simulation.world import Outcome


def _waits(kind: str, code: str, *where: str) -> set[Edge]:
    return {(kind, one, f"conversion.{code}") for one in where}


_STAGES = [stage.name.lower() for stage in Stage]
_CONVERTING = [phase.value for phase in Phase if phase.converts]

MOVES: set[Edge] = {
    (kind, step, following)
    for kind, path in PATHS.items()
    if kind not in {Kind.EVACUATE, Kind.COLD, Kind.RETURN}  # nobody fences a node here, or moves a disk
    for step, following in pairwise(path)
}
PORTS: set[Edge] = {
    *((CONVERT, stage, following) for stage, following in pairwise(_STAGES)),
    *((REVERT, stage, following) for stage, following in pairwise(reversed(_STAGES))),
    (CONVERT, "nat", "blocked"),
    (CONVERT, "switched", "rolling_back"),
    (CONVERT, "switched", "done"),
    (REVERT, "nat", "done"),
    *_waits(CONVERT, "edge", "checked", "announced", "outbound", "switched"),
    *_waits(CONVERT, "hypervisor", "prepared", "announced", "outbound", "switched"),
    *_waits(CONVERT, "settling", "outbound"),
    *_waits(CONVERT, "verdict", "switched"),
    *_waits(REVERT, "gateways", "outbound"),
    *_waits(REVERT, "hypervisor", "outbound", "announced", "prepared", "checked"),
    *_waits(REVERT, "edge", "prepared"),
    *_waits(REVERT, "settling", "prepared"),
    *(("turn", stage, REVERT) for stage in _STAGES),
}
ZONES: set[Edge] = {
    *(("zone", phase.value, following.value) for phase, following in pairwise(FORWARD)),
    ("zone", "aborting", "aborted"),
    *(("abort", phase.value, "aborting") for phase in FORWARD[:-1]),
    *(("zone", phase, "wave ends") for phase in _CONVERTING),
    *_waits("zone", "wave", *_CONVERTING),
    *_waits("zone", "carry", "planned"),
    *_waits("zone", "nodes", "draining"),  # what nodes themselves hold changes in no other phase
    *_waits("zone", "tail", "tail"),
    *_waits("zone", "restarts", "tail"),
    *_waits("zone", "aborting", "aborting"),
    *(
        ("alarm", f"conversion.{code}", "paused")
        for code in ("failures", "fruitless", "overdue", "wrong_tenant", "duplicate", "stale", "budget")
    ),
}
EDGES: frozenset[Edge] = frozenset(MOVES | PORTS | ZONES)
"""Every step that can follow another, and what each can wait for, by kind. A further state machine adds its own."""


@dataclass
class Totals:
    """Sums over seeds."""

    seeds: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    edges: set[Edge] = field(default_factory=set)
    dispatched: int = 0
    checks: int = 0
    broken: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.requests += outcome.requests
        self.refused += sum(outcome.refused.values())
        self.faults += outcome.faults
        self.edges |= outcome.edges
        self.dispatched += outcome.dispatched
        self.checks += outcome.checks
        if outcome.broken:
            self.broken.append(outcome)

    @property
    def missing(self) -> frozenset[Edge]:
        return EDGES - self.edges

    def lines(self) -> Iterable[str]:
        yield (
            f"{self.seeds} seeds: {self.requests.total():,} requests accepted and {self.refused:,} refused, "
            f"{self.faults.total():,} faults, {self.dispatched:,} steps of the world, {self.checks:,} checks, "
            f"{len(self.edges & EDGES)} of {len(EDGES)} edges, {len(self.broken)} broken"
        )
        yield "requests: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.requests.items()))
        yield "faults: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.faults.items()))
        for kind, step, following in sorted(self.missing):
            yield f"never taken: {kind} {step} → {following}"
        for outcome in self.broken:
            yield f"seed {outcome.seed}: {outcome.broken}"
