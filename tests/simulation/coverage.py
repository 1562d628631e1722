"""What many seeds did together: the totals, and which steps were taken of all there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from services.placement.conversion.phases import FORWARD, Phase
from services.placement.conversion.steps import CONVERT, REVERT, Stage
from services.placement.move import OF_DISK, PATHS, Kind, Step, redirected, undone
from tests.simulation.controller import Edge
from tests.simulation.world import Outcome


def _waits(kind: str, code: str, *where: str) -> set[Edge]:
    return {(kind, one, f"conversion.{code}") for one in where}


_STAGES = [stage.name.lower() for stage in Stage]
_CONVERTING = [phase.value for phase in Phase if phase.converts]

_UNREAD = ("node.behind", "node.failed", "node.unreachable")

MOVES: set[Edge] = {
    *((kind, step, following) for kind, path in PATHS.items() for step, following in pairwise(path)),
    *(("move", step, "ledger.waits") for step in (Step.REGISTER, Step.FORGET, Step.ABANDON)),
    *(("move", step, code) for step in (Step.PREPARE, Step.SWITCH, Step.ANNOUNCE, Step.WITHDRAW) for code in _UNREAD),
    *(("move", step, "node.fenced") for step in (Step.PREPARE, Step.SWITCH, Step.ARCHIVE)),
    *(("move", step, "node.unreachable") for step in OF_DISK),
    *(("move", Step.ANNOUNCE, code) for code in ("edge.unreachable", "fabric.converging")),
    *(("cancel", kind, step) for kind, path in PATHS.items() for step in path if undone(kind, step)),
    ("cancel", Kind.LIVE, Step.PREPARE),
}
NODES: set[Edge] = {
    *(("node.fence", "working", reached) for reached in ("node.edges", "done")),
    *(("node.unfence", "working", reached) for reached in ("node.withdrawal", "let in", "node.edges", "done")),
    *(("node.evacuate", "working", reached) for reached in ("move", "node.moves", "node.no_room", "done")),
    *(("node.drain", "working", reached) for reached in ("move", "node.moves", "node.no_room", "node.paused", "done")),
    *(("node.drain", "working", f"{ended} meanwhile") for ended in ("cancelled", "undrained", "fenced")),
    *(("redirect", kind, "elsewhere") for kind, path in PATHS.items() if redirected(kind, path[0])),
    *(
        ("preempt", kind, Kind.EVACUATE)
        for kind in (Kind.LIVE, Kind.RESTART, Kind.STOP, Kind.COLD, Kind.RETURN, CONVERT, REVERT)
    ),
}
ADDRESSES: set[Edge] = {
    ("address", "leaving", "fenced"),
    ("address", "fenced", "counts as withdrawn"),
    ("address", "fenced", "lifted"),
    ("address", "down", "failed over"),
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
    ("cancel", CONVERT, REVERT),
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
EDGES: frozenset[Edge] = frozenset(MOVES | NODES | ADDRESSES | PORTS | ZONES)
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

    def join(self, other: Totals) -> Totals:
        """Those of other seeds too."""
        self.seeds += other.seeds
        self.requests += other.requests
        self.refused += other.refused
        self.faults += other.faults
        self.edges |= other.edges
        self.dispatched += other.dispatched
        self.checks += other.checks
        self.broken += other.broken
        return self

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
