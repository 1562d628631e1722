"""The scheduler spreads by what stays free, and takes nobody who is full, excluded, unfit or away."""

from __future__ import annotations

from uuid import UUID, uuid4

from services.placement.scheduler import Host, Supply, candidates

SMALL = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 0}


def host(name: str, used: int = 0, total: int = 8, *, schedulable: bool = True, traits: tuple[str, ...] = ()) -> Host:
    return Host(
        uuid4(),
        name,
        True,
        schedulable,
        frozenset(traits),
        {
            "VCPU": Supply(total, 0, 1, 4, 1, 1.0, used),
            "MEMORY_MB": Supply(total * 1024, 0, 1, 2**31, 1, 1.0, used * 512),
        },
    )


def names(hosts: list[Host]) -> list[str]:
    return [item.name for item in hosts]


def test_the_emptiest_comes_first_and_equals_by_name() -> None:
    fleet = [host("c", 4), host("b", 1), host("a", 1)]
    assert names(candidates(fleet, SMALL)) == ["a", "b", "c"]


def test_a_full_host_is_no_candidate() -> None:
    assert names(candidates([host("full", 8), host("free")], SMALL)) == ["free"]
    assert candidates([host("full", 8)], SMALL) == []


def test_a_host_that_is_disabled_excluded_or_lacks_a_trait_is_no_candidate() -> None:
    away, here, able = host("away", schedulable=False), host("here"), host("able", traits=("HW_NIC_FAST",))
    assert names(candidates([away, here, able], SMALL, exclude=frozenset({here.id}))) == ["able"]
    assert names(candidates([away, here, able], SMALL, required=frozenset({"HW_NIC_FAST"}))) == ["able"]


def test_a_class_the_host_does_not_supply_is_refused_and_a_zero_amount_is_not_asked_for() -> None:
    assert candidates([host("a")], {"VCPU": 1, "PCI_DEVICE": 1}) == []
    assert names(candidates([host("a")], {"VCPU": 1, "PCI_DEVICE": 0})) == ["a"]


def test_units_steps_reserve_and_ratio_bind() -> None:
    supply = Supply(total=10, reserved=2, min_unit=2, max_unit=6, step_size=2, allocation_ratio=1.5, used=8)
    assert supply.capacity == 12
    assert supply.holds(4)
    assert not supply.holds(1), "below min_unit"
    assert not supply.holds(3), "not a step"
    assert not supply.holds(6), "no room"
    assert not Supply(100, 0, 1, 6, 1, 1.0, 0).holds(7), "above max_unit"


def test_the_scarcest_class_decides() -> None:
    cpu_bound = Host(UUID(int=1), "cpu-bound", True, True, frozenset(), {"VCPU": Supply(4, 0, 1, 4, 1, 1.0, 3)})
    balanced = Host(UUID(int=2), "balanced", True, True, frozenset(), {"VCPU": Supply(4, 0, 1, 4, 1, 1.0, 2)})
    assert names(candidates([cpu_bound, balanced], {"VCPU": 1})) == ["balanced", "cpu-bound"]
