"""What a cloud remembers of its size: zones and stack, also where it was made before there were any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloud import operations, state
from cloud.plan import Plan, Stack
from common.errors import Conflict, Invalid


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / state.FILE
    monkeypatch.setattr(state, "_file", lambda _paths: path)
    return path


def asked(zones: int | None = None, hypervisors: operations.Count | None = None, stack: Stack | None = None) -> Plan:
    return operations._state("one", zones, hypervisors, None, stack).plan


def test_zones_and_stack_are_remembered() -> None:
    made = state.create(Plan("one", 3, 2, ((1, 1),)), Stack.NAT)
    state.save(made)
    assert state.load("one") == made
    assert [zone.hypervisor_count for zone in state.load("one").plan.zones] == [3, 1]


def test_a_cloud_of_one_zone_is_remembered_as_before_there_were_more(file: Path) -> None:
    state.save(state.create(Plan("one")))
    known = json.loads(file.read_text())
    assert sorted(known) == ["broker_password", "database_passwords", "gateways", "hypervisors", "name", "ports"]
    assert state.load("one").stack is Stack.DUAL


def test_one_number_is_for_every_zone_and_several_are_one_for_each() -> None:
    assert [zone.hypervisor_count for zone in asked(2, [3, 1]).zones] == [3, 1]
    assert [zone.gateway_count for zone in asked(2, [3, 1]).zones] == [2, 2]
    with pytest.raises(Conflict, match="has 2 zones"):
        asked(2, 3)
    assert asked() == asked(2) == asked(hypervisors=[3, 1]) == asked(stack=Stack.DUAL)


@pytest.mark.parametrize("change", [{"zones": 1}, {"zones": 3}, {"hypervisors": 2}, {"stack": Stack.NAT}])
def test_another_size_or_stack_is_refused_once_it_exists(change: dict[str, int]) -> None:
    before = asked(2)
    with pytest.raises(Conflict, match="first run: godwit cloud down one"):
        asked(**change)  # type: ignore[arg-type]
    assert asked() == before


@pytest.mark.parametrize(("zones", "hypervisors"), [(0, None), (9, None), (None, [1, 2]), (2, [1, 2, 3]), (2, [1, 0])])
def test_an_impossible_size_makes_nothing(zones: int | None, hypervisors: list[int] | None, file: Path) -> None:
    with pytest.raises(Invalid):
        asked(zones, hypervisors)
    assert not file.exists()
