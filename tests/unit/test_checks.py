"""When a health check finds a holder up, and when down."""

from __future__ import annotations

import pytest

from services.netagent.checks import Tally
from services.netagent.wire import Condition

DOWN, UP, UNKNOWN = Condition.DOWN, Condition.UP, Condition.UNKNOWN


def test_a_holder_is_down_after_so_many_unanswered_in_a_row_and_it_is_told_once() -> None:
    tally = Tally(threshold=3, hold_down_s=60, began=100.0)
    assert tally.condition is UNKNOWN
    assert tally.answered(101.0)
    assert not tally.answered(102.0)

    told = [tally.lost(102.0 + number) for number in range(1, 6)]

    assert told == [False, False, True, False, False]
    assert (tally.condition, tally.missed, tally.since) == (DOWN, 5, 105.0)


def test_an_answer_between_begins_the_count_anew() -> None:
    tally = Tally(threshold=3, hold_down_s=0, began=0.0)
    for lost in (True, True, False, True, True):
        assert (tally.lost(1.0) if lost else tally.answered(1.0)) is not lost
    assert (tally.condition, tally.missed) == (UP, 2)


def test_it_is_up_again_at_the_first_answer() -> None:
    tally = Tally(threshold=1, hold_down_s=0, began=0.0)
    assert tally.lost(1.0)
    assert tally.answered(2.0)
    assert (tally.condition, tally.missed, tally.since) == (UP, 0, 2.0)


@pytest.mark.parametrize(("at", "down"), [(109.9, False), (110.0, True)])
def test_who_never_answered_has_the_hold_down_to_start(at: float, down: bool) -> None:
    tally = Tally(threshold=2, hold_down_s=10, began=100.0)
    tally.lost(101.0)
    assert tally.lost(at) is down
    assert tally.condition is (DOWN if down else UNKNOWN)
