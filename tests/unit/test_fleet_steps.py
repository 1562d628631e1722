"""Which instances leave a node that is dead, and where their changes go on."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.placement.fleet.steps import goes_elsewhere, must_leave, stays
from services.placement.move import PATHS, Kind, Passage, Step

DEAD, OTHER = UUID(int=1), UUID(int=2)


def test_what_goes_anyway_need_not_leave_and_what_stops_must() -> None:
    assert not must_leave(DEAD, DEAD, Passage(Kind.DELETE, Step.WITHDRAW, DEAD, None))
    assert must_leave(DEAD, DEAD, Passage(Kind.STOP, Step.ARCHIVE, DEAD, None)), "its disk is there"
    assert not must_leave(DEAD, None, Passage(Kind.STOP, Step.DISCARD, DEAD, None))


@pytest.mark.parametrize("step", PATHS[Kind.LIVE][:-1])
def test_a_guest_that_was_seen_to_arrive_elsewhere_goes_on_there(step: Step) -> None:
    arrived = step in {Step.ANNOUNCE, Step.WITHDRAW}
    assert must_leave(DEAD, DEAD, Passage(Kind.LIVE, step, DEAD, OTHER)) is not arrived


@pytest.mark.parametrize("step", PATHS[Kind.LIVE][:-1])
def test_who_was_on_the_way_there_goes_on_where_it_still_has_everything(step: Step) -> None:
    passage = Passage(Kind.LIVE, step, OTHER, DEAD)
    assert must_leave(DEAD, OTHER, passage)
    assert stays(passage) is (step is not Step.WITHDRAW)


def test_an_evacuation_leaves_once_and_again_when_its_destination_dies_too() -> None:
    assert not must_leave(DEAD, DEAD, Passage(Kind.EVACUATE, Step.PREPARE, DEAD, OTHER))
    assert must_leave(OTHER, DEAD, Passage(Kind.EVACUATE, Step.PREPARE, DEAD, OTHER))


def test_a_creation_that_is_abandoned_stays_abandoned() -> None:
    assert not must_leave(DEAD, None, Passage(Kind.CREATE, Step.ABANDON, None, DEAD))


def test_what_is_settled_or_converted_leaves() -> None:
    assert must_leave(DEAD, DEAD, None)
    assert not must_leave(DEAD, OTHER, None)


@pytest.mark.parametrize("step", PATHS[Kind.CREATE][:-1])
def test_a_creation_needs_but_another_destination(step: Step) -> None:
    assert goes_elsewhere(DEAD, None, Passage(Kind.CREATE, step, None, DEAD))
    assert not goes_elsewhere(DEAD, DEAD, Passage(Kind.COLD, step, DEAD, OTHER))
    assert not goes_elsewhere(DEAD, DEAD, None)
