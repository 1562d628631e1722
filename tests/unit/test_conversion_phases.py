"""The phases of a zone's conversion: waves, what pauses it, and what each phase waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.placement import modes
from services.placement.conversion import phases
from services.placement.conversion.phases import (
    FORWARD,
    Advance,
    EndWave,
    Phase,
    PortState,
    Wait,
    WaveFacts,
    ZoneFacts,
    alarms,
    next_phase,
    waves,
)

QUIET = ZoneFacts(nodes=5, failure_budget=10)


def wave(**counts: int) -> WaveFacts:
    return WaveFacts(3, {PortState(state): count for state, count in counts.items()})


@pytest.mark.parametrize(
    ("total", "sizes"),
    [
        (0, []),
        (1, [1]),
        (5, [1, 4]),
        (60, [1, 10, 1, 3, 6, 15, 15, 9]),
        (1000, [1, 10, 10, 50, 100, 250, 250, 250, 79]),
    ],
)
def test_waves_grow_and_cover_every_port_once(total: int, sizes: list[int]) -> None:
    planned = waves(range(total))
    assert [len(ports) for _, ports in planned] == sizes
    assert [port for _, ports in planned for port in ports] == list(range(total))
    assert [phase for phase, _ in planned[:3]] == [Phase.CANARY] * min(3, len(planned))


def test_a_plan_may_choose_its_own_waves() -> None:
    planned = waves(range(10), [], ["40%", "6"])
    assert [(phase, len(ports)) for phase, ports in planned] == [(Phase.WAVES, 4), (Phase.WAVES, 6)]


def test_a_zone_that_nothing_stands_against_walks_every_phase_once() -> None:
    phase, walked = Phase.PLANNED, [Phase.PLANNED]
    while not phase.over:
        decision = next_phase(phase, QUIET)
        assert isinstance(decision, Advance)
        phase = decision.phase
        walked.append(phase)
    assert walked == list(FORWARD)
    assert next_phase(Phase.ABORTING, QUIET) == Advance(Phase.ABORTED)


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.WAVES, Phase.TAIL])
@pytest.mark.parametrize("state", [PortState.WAITING, PortState.CONVERTING, PortState.NEEDS_OPERATOR])
def test_a_wave_ends_only_when_each_of_its_ports_is_at_its_end(phase: Phase, state: PortState) -> None:
    waits = next_phase(phase, replace(QUIET, wave=wave(verified=9, **{state: 1})))
    assert isinstance(waits, Wait)
    assert waits.code == "conversion.wave"
    assert next_phase(phase, replace(QUIET, wave=wave(verified=9, blocked=1))) == EndWave(3)


@pytest.mark.parametrize(
    ("phase", "facts", "code"),
    [
        (Phase.PLANNED, {"uncarried": 1}, "conversion.carry"),
        (Phase.DUAL, {"zone_pending": "edge"}, "conversion.nodes"),
        (Phase.NO_NEW_NAT, {"zone_pending": "edge"}, "conversion.nodes"),
        (Phase.TAIL, {"nat_ports": 1}, "conversion.tail"),
        (Phase.TAIL, {"mappings": 1}, "conversion.tail"),
        (Phase.TAIL, {"unadopted": 1}, "conversion.restarts"),
        (Phase.DRAINING, {"zone_pending": "gateway-1"}, "conversion.nodes"),
        (Phase.ABORTING, {"reverting": 1}, "conversion.aborting"),
    ],
)
def test_what_a_phase_waits_for(phase: Phase, facts: dict[str, object], code: str) -> None:
    waits = next_phase(phase, replace(QUIET, **facts))  # type: ignore[arg-type]
    assert isinstance(waits, Wait)
    assert waits.code == code


@pytest.mark.parametrize(
    ("phase", "facts", "code"),
    [
        (Phase.CANARY, {"wave": wave(verified=8, failed=2)}, "conversion.failures"),
        (Phase.CANARY, {"wave": wave(verified=9, rolling_back=1, failed=1)}, "conversion.failures"),
        (Phase.WAVES, {"wave": wave(verified=199, failed=1)}, None),
        (Phase.WAVES, {"wave": wave(verified=198, failed=1)}, "conversion.failures"),
        (Phase.TAIL, {"wave": WaveFacts(9, {PortState.CONVERTING: 2}, overdue=1)}, "conversion.failures"),
        (Phase.CANARY, {"wave": wave(verified=9, failed=1)}, None),
        (Phase.CANARY, {"wave": WaveFacts(2, {PortState.FAILED: 1}, failed_before=1)}, "conversion.failures"),
        (Phase.WAVES, {"wave": WaveFacts(4, {PortState.WAITING: 1}, failed_before=1)}, None),
        (Phase.WAVES, {"wrong_tenant": ["hypervisor-1"]}, "conversion.wrong_tenant"),
        (Phase.WAVES, {"duplicates": ["198.18.0.1/32"]}, "conversion.duplicate"),
        (Phase.WAVES, {"stale_nodes": ["edge"], "nodes": 99}, "conversion.stale"),
        (Phase.WAVES, {"stale_nodes": ["hypervisor-9"], "nodes": 100}, None),
        (Phase.WAVES, {"failures": 10, "failure_budget": 10}, None),
        (Phase.WAVES, {"failures": 11, "failure_budget": 10}, "conversion.budget"),
        (Phase.CANARY, {"wave": wave(blocked=1)}, "conversion.fruitless"),
        (Phase.CANARY, {"wave": wave(failed=1)}, "conversion.fruitless"),
        (Phase.CANARY, {"wave": wave(blocked=1, verified=1)}, None),
        (Phase.CANARY, {"wave": wave(blocked=1, gone=1)}, None),
        (Phase.TAIL, {"wave": wave(blocked=1)}, None),
        (Phase.CANARY, {"wave": WaveFacts(1, {PortState.CONVERTING: 1}, overdue=1)}, "conversion.overdue"),
        (Phase.CANARY, {"wave": WaveFacts(1, {PortState.CONVERTING: 2}, overdue=1)}, None),
        (Phase.WAVES, {}, None),
    ],
)
def test_what_pauses_a_conversion_by_itself(phase: Phase, facts: dict[str, object], code: str | None) -> None:
    found = alarms(phase, replace(QUIET, **facts))  # type: ignore[arg-type]
    assert [reason.code for reason in found] == ([code] if code else [])


@pytest.mark.parametrize(
    ("mode", "busy", "room", "state"),
    [
        (modes.NAT, False, True, PortState.CONVERTING),
        (modes.NAT, False, False, PortState.WAITING),
        (modes.NAT, True, True, PortState.WAITING),
        (None, False, False, PortState.GONE),
        (modes.HOSTNAT, True, False, PortState.VERIFIED),
        (modes.ROUTED, False, True, PortState.ADOPTED),
        (modes.ISOLATED, False, True, PortState.ADOPTED),
    ],
)
def test_a_port_gets_its_turn_unless_it_was_faster(mode: str | None, busy: bool, room: bool, state: PortState) -> None:
    assert phases.turn(mode, busy=busy, room=room) is state


def test_what_was_counted_before_it_was_first_read_is_not_ours() -> None:
    assert phases.misdelivered({"hypervisor-1": 3}, {}) == ({"hypervisor-1": 3}, [])
    known = {"hypervisor-1": 3}
    assert phases.misdelivered({"hypervisor-1": 4, "hypervisor-2": 9}, known) == (
        {"hypervisor-1": 3, "hypervisor-2": 9},
        ["hypervisor-1"],
    )


@pytest.mark.parametrize(
    ("phase", "routed", "stack"),
    [
        (Phase.DUAL, 0, "dual"),
        (Phase.CANARY, 0, None),
        (Phase.DRAINING, 0, "routed"),
        (Phase.ABORTING, 0, "nat"),
        (Phase.ABORTED, 1, "dual"),
    ],
)
def test_an_abort_gives_the_stack_back_unless_a_guest_has_its_address_itself(
    phase: Phase, routed: int, stack: str | None
) -> None:
    assert phases.stack_at(phase, "nat", routed) == stack


def test_rate_and_end_come_from_what_was_done() -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    per_s = phases.rate(30, began, began + timedelta(seconds=10))
    assert per_s == 3
    left = {PortState.VERIFIED: 30, PortState.WAITING: 20, PortState.CONVERTING: 10}
    assert phases.estimated_end(left, per_s, began) == began + timedelta(seconds=10)
    assert phases.rate(1, began, began) is None
    assert phases.estimated_end(left, None, began) is None
