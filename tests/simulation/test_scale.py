"""The bench's simulation of a zone, small: `make bench-convert` plays it with 100,000 ports."""

from __future__ import annotations

from random import Random

import pytest

from bench import convert, simulated
from services.placement.conversion import steps
from services.placement.conversion.steps import Path, Stage


def test_a_zone_is_converted_through_every_pause_and_every_way_back_leaves_it_as_it_was() -> None:
    figures = convert.simulate(2000, hypervisors=40)
    assert figures["rollbacks_sim"].value >= 220
    assert figures["rollback_differences_sim"].value == 0
    assert figures["pauses_sim"].n == len(simulated.ALARMS)


def test_it_sees_packets_lost_when_the_gateways_are_switched_off_first(monkeypatch: pytest.MonkeyPatch) -> None:
    right = steps.path

    def reversed_path(stage: Stage) -> Path:
        path = right(stage)
        return Path(stage < Stage.OUTBOUND, path.inbound, path.announced, stage >= Stage.SWITCHED)

    monkeypatch.setattr(steps, "path", reversed_path)
    with pytest.raises(simulated.Lost):
        simulated.convert(simulated.zone(50, 5, Random(1)))
