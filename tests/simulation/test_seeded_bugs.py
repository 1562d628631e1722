"""A simulation that finds nothing proves nothing: each of these bugs must be found within the seeds of a test run."""

from __future__ import annotations

import pytest

from tests.simulation.decisions import Decisions
from tests.simulation.variants import VARIANTS
from tests.simulation.world import Size, run

SEEDS = 40
SIZE = Size(faults=40)
RULES = {
    "announced before the withdrawal is acknowledged": {"two targets", "two preferred", "wrong tenant"},
    "a generation check left out": {"two targets", "two holders", "sequence", "wrong tenant", "withdrawn unasked"},
    "a prune on an empty snapshot": {"withdrawn unasked", "black hole"},
    "a step left before it is read back": {"black hole", "wrong tenant", "two holders"},
    "an answer of another content counts": {"two targets", "wrong tenant", "two holders", "sequence"},
    "gateways off before outbound on": {"packets lost"},
    "a switch that does not settle": {"packets lost"},
    "a fence that no edge has read back": {"two targets", "two holders", "two preferred", "wrong tenant"},
    "let in before it has withdrawn": {"two targets", "two holders", "two preferred", "wrong tenant"},
}


@pytest.mark.parametrize(("bug", "decisions"), VARIANTS.items())
def test_a_seeded_bug_is_found(bug: str, decisions: Decisions) -> None:
    for seed in range(SEEDS):
        outcome = run(seed, decisions, SIZE)
        if outcome.rule in RULES[bug]:
            assert run(seed, None, SIZE).broken is None  # it is the bug's doing
            return
    pytest.fail(f"{SEEDS} seeds don't show {bug}")
