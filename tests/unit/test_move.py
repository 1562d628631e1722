"""The steps of a move: make before break, one preferred announcer, and a reason for every wait."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.netagent.wire import PortState
from services.placement.move import (
    OF_DISK,
    PATHS,
    Advance,
    Facts,
    Kind,
    Passage,
    Pending,
    Step,
    Wait,
    first_step,
    next_step,
    progress,
    redirected,
    seats,
    undone,
)

SOURCE, DESTINATION = UUID(int=1), UUID(int=2)
READY = Facts(ledger_done=True, converged=True, disk=None)


def at(kind: Kind, step: Step) -> Passage:
    source = SOURCE if kind in {Kind.LIVE, Kind.STOP, Kind.DELETE} else None
    return Passage(kind, step, source, None if kind in {Kind.STOP, Kind.DELETE} else DESTINATION)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_walks_its_whole_path_when_all_is_read_back(kind: Kind) -> None:
    step, walked = first_step(kind), [first_step(kind)]
    while step is not Step.DONE:
        decision = next_step(kind, step, READY)
        assert isinstance(decision, Advance)
        step = decision.step
        walked.append(step)
    assert tuple(walked) == PATHS[kind]
    shares = [progress(kind, item) for item in walked]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind, path in PATHS.items() for step in path[:-1]])
def test_no_step_is_left_before_what_it_asked_for_is_read_back(kind: Kind, step: Step) -> None:
    decision = next_step(kind, step, Facts(pending=(Pending("hypervisor-2", up=True),)))
    assert isinstance(decision, Wait)


def test_the_source_is_withdrawn_only_when_the_fabric_has_converged() -> None:
    decision = next_step(Kind.LIVE, Step.ANNOUNCE, Facts(converged=False))
    assert isinstance(decision, Wait)
    assert decision.code == "fabric.converging"
    assert next_step(Kind.LIVE, Step.ANNOUNCE, Facts(converged=True)) == Advance(Step.WITHDRAW)


@pytest.mark.parametrize(
    ("pending", "code"),
    [
        (Pending("hypervisor-2", up=True), "node.behind"),
        (Pending("hypervisor-2", up=False), "node.unreachable"),
        (Pending("hypervisor-2", up=True, failure="route.refused: no such device"), "node.failed"),
    ],
)
def test_a_wait_names_the_node_and_what_would_end_it(pending: Pending, code: str) -> None:
    decision = next_step(Kind.LIVE, Step.PREPARE, Facts(pending=(pending,)))
    assert isinstance(decision, Wait)
    assert (decision.code, "hypervisor-2" in decision.text) == (code, True)
    assert decision.unblock


@pytest.mark.parametrize("step", PATHS[Kind.LIVE])
def test_during_a_live_move_one_leg_is_active_and_the_last_announcer_is_where_the_guest_is(step: Step) -> None:
    bound = SOURCE if step is not Step.DONE else DESTINATION
    where = seats(bound, at(Kind.LIVE, step))
    assert sum(seat.state is PortState.ACTIVE for seat in where) <= 1
    announcer = [seat.node for seat in where if seat.announces][-1]
    assert announcer == (SOURCE if step in {Step.PREPARE, Step.SWITCH} else DESTINATION)


def test_the_source_lets_its_leg_go_before_the_destination_takes_it_and_keeps_a_way_to_the_guest() -> None:
    source, destination = seats(SOURCE, at(Kind.LIVE, Step.PREPARE))
    assert (source.state, source.fallback) == (PortState.LEAVING, DESTINATION)
    assert (destination.state, destination.announces) == (PortState.STANDBY, False)


def test_a_starting_instance_is_silent_until_it_is_read_back() -> None:
    (seat,) = seats(None, at(Kind.START, Step.PREPARE))
    assert (seat.state, seat.announces) == (PortState.ACTIVE, False)
    (seat,) = seats(None, at(Kind.START, Step.ANNOUNCE))
    assert seat.announces


def test_a_disk_has_no_guest_while_it_is_on_its_way() -> None:
    for kind, path in PATHS.items():
        for step in path:
            if step in OF_DISK:
                assert seats(SOURCE, Passage(kind, step, SOURCE, DESTINATION)) == ()


def test_a_disk_is_archived_before_it_is_discarded_and_restored_before_a_guest_is_there() -> None:
    for kind in (Kind.STOP, Kind.COLD):
        assert PATHS[kind][:3] == (Step.WITHDRAW, Step.ARCHIVE, Step.DISCARD)
    for kind in (Kind.START, Kind.COLD):
        path = PATHS[kind]
        assert path.index(Step.RESTORE) + 1 == path.index(Step.PREPARE)


@pytest.mark.parametrize("step", sorted(OF_DISK))
def test_a_disk_that_is_on_its_way_is_waited_for_with_its_own_reason(step: Step) -> None:
    kind = next(kind for kind, path in PATHS.items() if step in path)
    busy = Wait("agent.disk.busy", "hypervisor-1 is at it", "the transfer ends")
    assert next_step(kind, step, Facts(disk=busy)) == busy
    assert next_step(kind, step, READY) == Advance(PATHS[kind][PATHS[kind].index(step) + 1])


BACK = [
    *((kind, step, Kind.RETURN) for kind in (Kind.STOP, Kind.COLD) for step in (Step.WITHDRAW, Step.ARCHIVE)),
    *((kind, step, Kind.STOP) for kind in (Kind.START, Kind.COLD) for step in (Step.RESTORE, Step.PREPARE)),
]


@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind, path in PATHS.items() for step in path])
def test_a_change_goes_back_to_where_its_disk_is_or_not_at_all(kind: Kind, step: Step) -> None:
    becomes = {(kind, step): into for kind, step, into in BACK}.get((kind, step))
    into = undone(kind, step)
    assert (into and into[0]) == becomes
    if into is not None:
        assert into[1] in PATHS[into[0]]
        assert (
            Step.ARCHIVE not in _left(*into) or step is Step.PREPARE
        )  # a disk that no guest has used is not packed anew


def _left(kind: Kind, step: Step) -> tuple[Step, ...]:
    return PATHS[kind][PATHS[kind].index(step) :]


def test_what_is_sent_to_another_destination_is_prepared_there() -> None:
    for kind, path in PATHS.items():
        for step in path[:-1]:
            again = redirected(kind, step)
            if again is not None:
                assert Step.PREPARE in _left(kind, again)
                assert path.index(again) <= path.index(step)
            else:
                assert kind not in {Kind.CREATE, Kind.START, Kind.COLD, Kind.EVACUATE}


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.DELETE])
def test_a_stopping_instance_has_no_seat(kind: Kind) -> None:
    assert seats(SOURCE, at(kind, Step.WITHDRAW)) == ()
    assert seats(None, None) == ()


@pytest.mark.parametrize("step", [Step.PREPARE, Step.SWITCH])
def test_nobody_goes_where_nobody_waits_for(step: Step) -> None:
    decision = next_step(Kind.LIVE, step, Facts(fenced="hypervisor-2"))
    assert isinstance(decision, Wait)
    assert decision.code == "node.fenced"


def test_a_creation_that_is_abandoned_waits_for_the_ledger() -> None:
    assert isinstance(next_step(Kind.CREATE, Step.ABANDON, Facts(silent="no answer")), Wait)
