"""A zone leaves the central NAT by waves, with a way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.netagent.wire import ReversePath
from services.placement import bells
from services.placement.conversion.phases import FORWARD
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok, problem
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


def names_in(planned: Any, wave: int) -> list[str]:
    return [port["name"] for port in planned["planned"] if port["wave"] == wave]


def prefixes(instance: Any, version: int) -> list[str]:
    return [one["prefix"] for one in instance["port"]["addresses"] if (":" in one["prefix"]) == (version == 6)]


def private(instance: Any) -> str:
    return next(prefix for prefix in prefixes(instance, 4) if prefix.startswith("10."))


def test_what_blocks_is_named_with_its_remedy_and_tried_again_in_the_tail(cloud: Controller) -> None:
    guests(cloud, 2)
    cloud.fleet["edge"].seen.reverse_path["uplink"] = ReversePath.STRICT
    planned = plan(cloud, canary=["100%"])
    blocks = [
        one["reason"]["code"] for port in planned["planned"] for one in port["findings"] if one["effect"] == "blocks"
    ]
    assert blocks == ["precheck.reverse_path"] * 2
    paused = say(cloud, planned, "start")
    assert (paused["phase"], [one["code"] for one in paused["paused"]]) == ("canary", ["conversion.fruitless"])
    stuck = say(cloud, paused, "resume")
    assert (stuck["phase"], stuck["ports"]) == ("tail", {"blocked": 2})
    operation = cloud.get(f"/operations/{stuck['operation']}")
    assert operation["waiting_for"]["code"] == "conversion.tail"
    for port in cloud.get(f"/conversions/{planned['id']}/ports")["items"]:
        assert port["reasons"][0]["code"] == "precheck.reverse_path"
        assert "rp_filter" in port["reasons"][0]["remedy"]
    assert set(modes(cloud).values()) == {"nat"}

    cloud.fleet["edge"].seen.reverse_path["uplink"] = ReversePath.LOOSE
    done = say(cloud, planned, "resume")
    assert (done["phase"], done["ports"]) == ("done", {"verified": 2})


def test_a_port_that_is_moving_waits_its_turn_and_says_for_what(cloud: Controller) -> None:
    ours = {item["name"]: item for item in guests(cloud, 2)}
    planned = plan(cloud, canary=["1"], waves=["1"], through="canary")
    say(cloud, planned, "start")
    (name,) = names_in(planned, 2)
    operation = ok(cloud.post(f"/instances/{ours[name]['id']}:move", {}, "operator"))
    cloud.lose_bells()
    ok(cloud.post(f"/conversions/{planned['id']}:resume", {}, "operator"))
    cloud.run(bells.CONVERSION, (planned["id"],))
    (waiting,) = cloud.get(f"/conversions/{planned['id']}/ports", wave=2)["items"]
    assert waiting["state"] == "waiting"
    (reason,) = waiting["reasons"]
    assert reason["code"] == "conversion.busy"
    assert operation["id"] in reason["text"]

    done = settled(cloud, planned)
    assert cloud.operation(operation)["state"] == "succeeded"
    assert (done["phase"], done["ports"]) == ("done", {"verified": 2})
    assert cloud.show(ours[name])["hypervisor"] != ours[name]["hypervisor"]


def test_a_carried_prefix_stays_on_a_move_that_changes_the_private_address(cloud: Controller) -> None:
    (web,) = guests(cloud, 1)
    say(cloud, plan(cloud, through="planned"), "start")
    carried = cloud.show(web)
    assert prefixes(carried, 6) == prefixes(web, 6)
    assert [one["flexible_ip"] for one in carried["port"]["addresses"] if one["prefix"] in prefixes(web, 6)] != [None]
    assert cloud.act(web, "move")["state"] == "succeeded"
    moved = cloud.show(web)
    assert moved["port"]["mode"] == "nat"
    assert prefixes(moved, 6) == prefixes(web, 6)
    assert list(cloud.holders(prefixes(web, 6)[0])) == [moved["hypervisor"]]
    assert private(moved) != private(web)


def test_one_without_a_public_ipv4_keeps_its_private_one_unless_its_owner_gives_it_up(cloud: Controller) -> None:
    keeps, gives = (cloud.instance(name, mode="nat") for name in ("keeps", "gives"))
    planned = plan(cloud, through="dual", restarts_guests=True)
    warned = [one["reason"]["code"] for port in planned["planned"] for one in port["findings"]]
    assert warned.count("precheck.no_ipv4") == 2
    say(cloud, planned, "start")
    assert cloud.act(gives, "convert", {"gives_up_ipv4": True}, who="red")["state"] == "succeeded"
    done = say(cloud, planned, "resume")
    assert (done["phase"], done["ports"]) == ("done", {"adopted": 1, "verified": 1})
    assert modes(cloud) == {"keeps": "hostnat", "gives": "routed"}
    assert cloud.act(keeps, "restart", who="red")["state"] == "succeeded"
    assert modes(cloud)["keeps"] == "hostnat"
    told = cloud.act(keeps, "convert", {"gives_up_ipv4": True}, who="red")
    assert told["result"]["predicted"]["mode_after_restart"] == "routed"
    assert private(keeps) in prefixes(cloud.show(keeps), 4)
    assert prefixes(cloud.show(gives), 4) == []
    assert prefixes(cloud.show(gives), 6) == prefixes(gives, 6)
    assert cloud.act(keeps, "restart", who="red")["state"] == "succeeded"
    assert modes(cloud)["keeps"] == "routed"


def test_an_archived_instance_is_converted_and_not_started(cloud: Controller) -> None:
    web, _ = guests(cloud, 2)
    cloud.act(web, "stop", who="red")
    done = say(cloud, plan(cloud, restarts_guests=True), "start")
    assert (done["phase"], done["ports"]) == ("done", {"adopted": 1, "verified": 1})
    shown = cloud.show(web)
    assert (shown["state"], shown["port"]["mode"]) == ("archived", "hostnat")


def test_what_its_owner_converted_counts_and_what_was_made_meanwhile_is_in_the_tail(cloud: Controller) -> None:
    ours = {item["name"]: item for item in guests(cloud, 2)}
    planned = plan(cloud, canary=["1"], waves=["1"], through="canary")
    say(cloud, planned, "start")
    (name,) = names_in(planned, 2)
    assert cloud.act(ours[name], "convert", who="red")["state"] == "succeeded"
    late = cloud.instance("late", mode="nat", allocate=["ipv4"])
    done = say(cloud, planned, "resume")
    assert (done["phase"], done["ports"], done["attempts"]) == ("done", {"verified": 3}, 2)
    assert [(wave["phase"], wave["ports"]) for wave in done["waves"]] == [
        ("canary", {"verified": 1}),
        ("waves", {"verified": 1}),
        ("tail", {"verified": 1}),
    ]
    assert cloud.show(late)["port"]["mode"] == "hostnat"


def test_nobody_makes_a_nat_port_once_the_tail_is_near(cloud: Controller) -> None:
    guests(cloud, 1)
    planned = plan(cloud, through="no_new_nat")
    say(cloud, planned, "start")
    before = cloud.contents()
    body = {"name": "late", "zone": "zone-a", "flavor": "small", "mode": "nat"}
    assert problem(cloud.post("/instances", body)) == (422, "placement.instance.mode")
    assert cloud.contents() == before
    say(cloud, planned, "abort")
    assert cloud.instance("late", mode="nat")["port"]["mode"] == "nat", "an abort opens it again"


def test_an_abort_from_any_phase_leaves_everything_as_it_was(cloud: Controller) -> None:
    guests(cloud, 2)
    cloud.sweep()
    before = kernels(cloud)
    for phase in FORWARD[:-1]:
        reached = say(cloud, plan(cloud, through=phase), "start")
        assert (reached["phase"], reached["paused"][0]["code"]) == (phase, "conversion.through")
        aborted = say(cloud, reached, "abort")
        assert (phase, aborted["phase"]) == (phase, "aborted")
        assert (phase, set(modes(cloud).values())) == (phase, {"nat"})
        assert kernels(cloud) == before, phase


def test_the_tail_ends_when_the_guests_have_restarted(cloud: Controller) -> None:
    guests(cloud, 5)
    half = say(cloud, plan(cloud, restarts_guests=True, through="no_new_nat"), "start")
    cloud.lose_bells()
    ok(cloud.post(f"/conversions/{half['id']}:resume", {}, "operator"))
    for _ in range(2):
        cloud.run(bells.CONVERSION, (half["id"],))
    restarting = cloud.get(f"/conversions/{half['id']}")
    assert (restarting["phase"], restarting["ports"]) == ("tail", {"converting": 5})

    done = settled(cloud, half)
    assert (done["phase"], done["ports"]) == ("done", {"adopted": 5})


def test_a_prefix_that_the_ledger_has_taken_is_given_to_nobody_else_when_its_guest_goes(cloud: Controller) -> None:
    (first,) = guests(cloud, 1)
    planned = plan(cloud, through="planned")
    ok(cloud.post(f"/conversions/{planned['id']}:start", None, "operator"))
    cloud.rung.clear()
    cloud.run(bells.CONVERSION, (planned["id"],))  # the ledger has it; nobody tells the port
    cloud.lose_bells()
    ok(cloud.request("red", "DELETE", f"/instances/{first['id']}"))
    cloud.settle()
    second = cloud.instance("second", mode="nat", hypervisor=first["hypervisor"], who="operator")
    assert legacy(second).isdisjoint(legacy(first))


def legacy(instance: Any) -> set[str]:
    return {address["prefix"] for address in instance["port"]["addresses"] if ":" in address["prefix"]}
