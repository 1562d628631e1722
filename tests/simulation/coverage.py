"""What many seeds did together: the totals, and which steps were taken of all there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from services.placement.move import PATHS
from tests.simulation.controller import Edge
from tests.simulation.world import Outcome

EDGES: frozenset[Edge] = frozenset(
    (kind, step, following) for kind, path in PATHS.items() for step, following in pairwise(path)
)
"""Every step that can follow another, by kind. A further state machine adds its own."""


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
