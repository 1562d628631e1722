"""A zone leaves the central NAT by waves, with a way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.placement.conversion.phases import FORWARD
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok
from tests.functional.test_placement_conversion import kernels


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def plan(cloud: Controller, **body: Any) -> Any:
    return ok(cloud.post("/conversions", {"zone": "zone-a", **body}, "operator"))


def say(cloud: Controller, conversion: Any, word: str, body: Any = None) -> Any:
    """Tell a conversion something, and run it as far as it goes."""
    ok(cloud.post(f"/conversions/{conversion['id']}:{word}", body, "operator"))
    return settled(cloud, conversion)


def settled(cloud: Controller, conversion: Any) -> Any:
    """Sweep until that changes nothing any more; the conversion."""
    shown = None
    for _ in range(20):
        cloud.sweep()
        before, shown = shown, cloud.get(f"/conversions/{conversion['id']}")
        if before is not None and before | {"estimated_end": None} == shown | {"estimated_end": None}:
            return shown
    raise AssertionError(f"it never settles: {shown}")


def guests(cloud: Controller, count: int) -> list[Any]:
    return [cloud.instance(f"guest-{number}", mode="nat", allocate=["ipv4"]) for number in range(count)]


def modes(cloud: Controller) -> dict[str, str]:
    return {item["name"]: item["port"]["mode"] for item in cloud.get("/instances")["items"]}


def test_a_zone_is_converted_wave_by_wave_to_the_end(cloud: Controller) -> None:
    ours = guests(cloud, 5)
    addresses = {item["id"]: {address["prefix"] for address in item["port"]["addresses"]} for item in ours}
    planned = plan(cloud, restarts_guests=True, soak_s=0)
    assert [sum(wave["ports"].values()) for wave in planned["waves"]] == [1, 4]
    assert planned["addresses_changed"] == 0
    assert len(planned["planned"]) == 5

    done = say(cloud, planned, "start")
    assert (done["phase"], done["paused"]) == ("done", []), done
    assert done["ports"] == {"adopted": 5}
    assert [step["name"] for step in cloud.get(f"/operations/{done['operation']}")["steps"]] == list(FORWARD)
    assert set(modes(cloud).values()) == {"routed"}
    assert cloud.get("/zones/zone-a")["stack"] == "routed"
    for gateway in ("gateway-1", "gateway-2"):
        assert cloud.fleet[gateway].maps() == {}
        assert cloud.fleet[gateway].announces() == {}
    for item in ours:
        kept = {address["prefix"] for address in cloud.show(item)["port"]["addresses"]}
        assert kept == {prefix for prefix in addresses[item["id"]] if not prefix.startswith("10.")}

    sealed = say(cloud, done, "seal")
    assert sealed["ports"] == {"sealed": 5}


def test_an_abort_half_way_leaves_everything_as_it_was(cloud: Controller) -> None:
    guests(cloud, 5)
    cloud.sweep()
    planned = plan(cloud, through="canary")
    before = kernels(cloud)
    half = say(cloud, planned, "start")
    assert (half["phase"], half["paused"][0]["code"]) == ("canary", "conversion.through")
    assert sorted(modes(cloud).values()) == ["hostnat"] * 5
    aborted = say(cloud, half, "abort")
    assert aborted["phase"] == "aborted"
    assert set(modes(cloud).values()) == {"nat"}
    assert kernels(cloud) == before
