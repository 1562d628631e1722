"""A conversion that something is wrong with pauses by itself, and only a person resumes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Anchor
from services.placement.conversion.observer import WRONG_TENANT
from services.placement.conversion.steps import OVERDUE_S
from tests.functional.controller import Controller, Fleet, running
from tests.functional.ledger import Ledger, ok, problem
from tests.functional.test_placement_conversion import public
from tests.functional.test_zone_conversion import guests, modes, plan, say, settled


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


class Deaf(set[str]):
    """Addresses of guests that answer until a hypervisor announces them, and those that always do."""

    def __init__(self, fleet: Fleet, *addresses: str) -> None:
        super().__init__(addresses)
        self._fleet = fleet

    def __contains__(self, address: object) -> bool:
        announced = any(f"{address}/32" in agent.announces() for agent in self._fleet.agents.values())
        return super().__contains__(address) and not announced


def in_wave(planned: Any, number: int) -> list[Any]:
    return [port for port in planned["planned"] if port["wave"] == number]


def address_of(port: Any) -> str:
    prefixes: list[str] = [one["before"] for one in port["predicted"]["addresses"]]
    return next(prefix for prefix in prefixes if prefix.startswith("198.18.")).removesuffix("/32")


def codes(conversion: Any) -> list[str]:
    return [reason["code"] for reason in conversion["paused"]]


def until(cloud: Controller, holds: Callable[[], object]) -> None:
    """Run wake-ups one at a time until it holds."""
    for _ in range(200):
        if holds():
            return
        cloud.rung += cloud.ledger.rung()
        if not cloud.rung:
            cloud.reconciler.sweep()
        cloud.run(*cloud.rung.pop(0))
    raise AssertionError("it never comes to that")


def to_canary(cloud: Controller, planned: Any) -> None:
    """Start it, as far as the first port's turn."""
    ok(cloud.post(f"/conversions/{planned['id']}:start", {}, "operator"))
    until(cloud, lambda: cloud.get(f"/conversions/{planned['id']}")["ports"].get("converting"))


def test_two_failures_in_the_canary_pause_it_whatever_their_waves(cloud: Controller) -> None:
    guests(cloud, 5)
    planned = plan(cloud, canary=["2", "2"], waves=["100%"])
    (first, _), second = in_wave(planned, 1), in_wave(planned, 2)
    cloud.fleet.answering = Deaf(cloud.fleet, address_of(first), address_of(second[0]))
    paused = say(cloud, planned, "start")
    assert (paused["phase"], codes(paused)) == ("canary", ["conversion.failures"])
    assert paused["ports"] == {"failed": 2, "verified": 2, "waiting": 1}
    failed = cloud.get(f"/conversions/{planned['id']}/ports", state="failed")["items"]
    assert {port["name"] for port in failed} == {first["name"], second[0]["name"]}
    assert all(port["reasons"][0]["code"] == "conversion.verdict" for port in failed)
    assert all(port["reasons"][0]["remedy"] for port in failed)
    assert settled(cloud, planned) == paused, "nobody but a person takes it on"

    before = cloud.contents()
    assert problem(cloud.post(f"/conversions/{planned['id']}:resume")) == (403, "auth.role_missing")
    assert cloud.contents() == before

    cloud.fleet.answering = {address_of(first), address_of(second[0])}
    done = say(cloud, planned, "resume")
    assert (done["phase"], done["ports"]) == ("done", {"verified": 5}), "what failed has another turn in the tail"


def test_one_failure_in_a_wave_of_few_pauses_it(cloud: Controller) -> None:
    guests(cloud, 3)
    planned = plan(cloud, canary=["1"], waves=["1"])
    cloud.fleet.answering = Deaf(cloud.fleet, address_of(in_wave(planned, 2)[0]))
    paused = say(cloud, planned, "start")
    assert (paused["phase"], codes(paused)) == ("waves", ["conversion.failures"])
    assert sorted(modes(cloud).values()) == ["hostnat", "nat", "nat"], "rolled back; and the next wave not begun"


def test_more_failures_than_may_be_pause_it(cloud: Controller) -> None:
    guests(cloud, 2)
    planned = plan(cloud, canary=["2"], failure_budget=0)
    cloud.fleet.answering = Deaf(cloud.fleet, address_of(in_wave(planned, 1)[0]))
    paused = say(cloud, planned, "start")
    assert (paused["phase"], codes(paused)) == ("canary", ["conversion.budget"])
    assert sorted(modes(cloud).values()) == ["hostnat", "nat"]


def test_a_packet_at_a_wrong_guests_link_pauses_it(cloud: Controller) -> None:
    guests(cloud, 2)
    hypervisor = cloud.fleet["hypervisor-2"]
    hypervisor.seen.packets[WRONG_TENANT] = 3
    planned = plan(cloud)
    to_canary(cloud, planned)  # what was counted before is not its doing
    hypervisor.seen.packets[WRONG_TENANT] = 4
    paused = settled(cloud, planned)
    assert (paused["phase"], codes(paused)) == ("canary", ["conversion.wrong_tenant"])
    assert "hypervisor-2" in paused["paused"][0]["text"]
    assert sorted(modes(cloud).values()) == ["hostnat", "nat"]
    assert say(cloud, planned, "resume")["phase"] == "done"


def test_the_verdict_on_a_wave_rests_on_nothing_older_than_its_last_port(cloud: Controller) -> None:
    guests(cloud, 2)
    hypervisor = cloud.fleet["hypervisor-2"]
    hypervisor.seen.packets[WRONG_TENANT] = 3
    planned = plan(cloud)
    to_canary(cloud, planned)

    def verified() -> Any:
        cloud.now = 0.0  # so short is the wave that nothing is due to be asked for again
        return cloud.get(f"/conversions/{planned['id']}")["ports"].get("verified")

    until(cloud, verified)
    hypervisor.seen.packets[WRONG_TENANT] = 4
    cloud.settle()
    assert codes(cloud.get(f"/conversions/{planned['id']}")) == ["conversion.wrong_tenant"]
    assert sorted(modes(cloud).values()) == ["hostnat", "nat"], "the next wave is not begun"


def test_an_address_that_two_hypervisors_announce_pauses_it(cloud: Controller) -> None:
    (web, _) = guests(cloud, 2)
    planned = plan(cloud, canary=["100%"])
    host = cloud.fleet[web["hypervisor"]]
    other = next(cloud.fleet[name] for name in ("hypervisor-1", "hypervisor-2") if name != host.name)

    def echo(entry: Any) -> None:
        if isinstance(entry, Anchor):
            other.kernel.alter(entry)

    host.kernel.refuse = echo
    paused = say(cloud, planned, "start")
    assert codes(paused) == ["conversion.duplicate"]
    assert public(web) in paused["paused"][0]["text"]
    assert public(web) in cloud.fleet["gateway-1"].maps(), "it is not switched while the fabric is not sure"

    host.kernel.refuse = lambda _: None
    for key in [key for key, row in other.kernel.table(Anchor).items() if str(row.prefix) == f"{public(web)}/32"]:
        other.kernel.remove(Anchor, key)
    done = say(cloud, planned, "resume")
    assert (done["phase"], done["ports"]) == ("done", {"verified": 2})


def test_a_port_that_does_not_come_to_its_end_pauses_it_and_has_as_much_time_again(cloud: Controller) -> None:
    (web,) = guests(cloud, 1)
    host = cloud.fleet[web["hypervisor"]]

    def nothing_announced(entry: Any) -> None:
        if isinstance(entry, Anchor):
            raise DriverError("kernel.refused", "no more routes")

    host.kernel.refuse = nothing_announced
    stuck = say(cloud, plan(cloud), "start")
    assert (codes(stuck), stuck["ports"]) == ([], {"converting": 1})
    cloud.pass_time(OVERDUE_S + 1)
    paused = settled(cloud, stuck)
    assert (paused["phase"], codes(paused)) == ("canary", ["conversion.overdue"])
    assert codes(say(cloud, paused, "resume")) == [], "not at once again"


def test_a_silent_node_pauses_it(cloud: Controller) -> None:
    guests(cloud, 1)
    cloud.fleet["gateway-2"].cut = True
    paused = say(cloud, plan(cloud), "start")
    assert (paused["phase"], codes(paused)) == ("planned", ["conversion.stale"])
    assert "gateway-2" in paused["paused"][0]["text"]
    cloud.fleet["gateway-2"].cut = False
    assert say(cloud, paused, "resume")["phase"] == "done"
