"""Failover by health: edges check who holds an address, and what they find down goes to another candidate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from dataplane.entries import Blackhole, Check
from services.placement import bells
from services.placement.failover import choose
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok

CHECK = {"protocol": "icmp", "interval_ms": 100, "threshold": 3, "hold_down_s": 0}


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def target(instance: Any) -> dict[str, str]:
    return {"kind": "instance", "id": instance["id"]}


def guarded(cloud: Controller, *instances: Any, family: str = "ipv4", **check: Any) -> Any:
    """A failover address of red's on the first of its candidates, checked."""
    red = cloud.ledger.red
    fip = red.reserve(family=family, kind="failover")
    listed = [{"target": target(one), "priority": 200 - number} for number, one in enumerate(instances)]
    ok(red.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed}))
    ok(red.put(f"/flexible-ips/{fip['id']}/health-check", {**CHECK, **check}))
    red.attach(fip, target(instances[0]))
    cloud.settle()
    return fip


def instances_of(cloud: Controller) -> list[Any]:
    """Three of red's, each on a hypervisor of its own."""
    made = [cloud.instance(f"web-{number}") for number in (1, 2, 3)]
    for number, one in enumerate(made, 1):
        if one["hypervisor"] != f"hypervisor-{number}":
            cloud.act(one, "move", {"to": f"hypervisor-{number}"})
    return [cloud.show(one) for one in made]


def checks(cloud: Controller) -> list[Check]:
    return list(cloud.fleet["edge"].kernel.table(Check).values())


def edge_speaks(cloud: Controller) -> None:
    """The edge's long poll tells that a check found something new."""
    cloud.run(bells.FAILOVER, (str(cloud.fleet["edge"].id),))
    cloud.settle()


def holder(cloud: Controller, fip: Any) -> Any:
    shown = cloud.ledger.red.fip(fip["id"])
    assert shown["state"] == "attached", shown
    return shown["attachment"]["target"]["id"]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_an_edge_finds_down_goes_to_the_next_candidate_and_is_checked_there(
    cloud: Controller, family: str
) -> None:
    one, two, _ = instances = instances_of(cloud)
    fip = guarded(cloud, *instances, family=family)
    host = fip["interface_id"] or fip["address"]
    (check,) = checks(cloud)
    assert (str(check.address), check.interval_ms, check.threshold) == (host, 100, 3)
    edge_speaks(cloud)
    assert holder(cloud, fip) == one["id"], "it is up"

    cloud.fleet.down.add(host)
    edge_speaks(cloud)

    assert holder(cloud, fip) == two["id"]
    prefix = fip["address"] if family == "ipv6" else f"{fip['address']}/32"
    assert cloud.holders(prefix) == {two["hypervisor"]: 2}
    (moved,) = checks(cloud)
    assert moved == Check(check.address, moved.holder, check.protocol, 0, 100, 3, 0)
    assert moved.holder != check.holder, "the next holder's check begins anew"


def test_a_lost_wake_up_is_made_up_for_by_the_sweep(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two)
    cloud.fleet.down.add(fip["address"])

    cloud.reconciler.failovers.take(cloud.fleet["edge"].id)
    cloud.fleet.down.clear()
    cloud.sweep()

    assert holder(cloud, fip) == two["id"]


def test_only_a_candidate_that_runs_gets_it(cloud: Controller) -> None:
    one, two, three = instances_of(cloud)
    fip = guarded(cloud, one, two, three)
    cloud.fleet["hypervisor-2"].cut = True
    cloud.hear()
    cloud.fleet.down.add(fip["address"])

    edge_speaks(cloud)
    cloud.fleet.down.clear()

    assert holder(cloud, fip) == three["id"]


def test_without_another_that_runs_it_stays(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two)
    cloud.act(two, "stop")
    cloud.fleet.down.add(fip["address"])

    edge_speaks(cloud)

    assert holder(cloud, fip) == one["id"]


def test_what_the_ledger_refuses_is_asked_again_and_harms_nothing(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two, hold_down_s=3600)
    cloud.fleet.down.add(fip["address"])
    edge_speaks(cloud)
    assert holder(cloud, fip) == two["id"]

    edge_speaks(cloud)

    assert holder(cloud, fip) == two["id"], "held down"


def test_a_check_ends_with_its_spec_and_with_its_instance(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip, other = guarded(cloud, one, two), guarded(cloud, two)
    assert len(checks(cloud)) == 2

    ok(cloud.ledger.red.delete(f"/flexible-ips/{fip['id']}/health-check"))
    cloud.settle()
    assert [str(check.address) for check in checks(cloud)] == [other["address"]]

    ok(cloud.request("red", "DELETE", f"/instances/{two['id']}"))
    cloud.settle()
    assert checks(cloud) == []


def test_an_edge_that_is_silent_holds_up_no_address(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    cloud.fleet["edge"].cut = True

    fip = guarded(cloud, one, two)

    assert holder(cloud, fip) == one["id"]


# --- a holder's host that is dead, or cut off ------------------------------------------------------------------------


def apart(cloud: Controller) -> set[tuple[str, str]]:
    """What the edge holds apart: prefix, and the end of a node's link."""
    return {(str(row.prefix), str(row.neighbour)) for row in cloud.fleet["edge"].kernel.table(Blackhole).values()}


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_an_address_is_fenced_from_a_host_that_does_not_withdraw_it(
    cloud: Controller, family: str, heard: bool
) -> None:
    """Whether it is known to be silent by then or not; and let in again when it has withdrawn it."""
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two, family=family)
    prefix = fip["address"] if family == "ipv6" else f"{fip['address']}/32"
    dead = cloud.fleet["hypervisor-1"]
    if not heard:
        dead.cut = True
        cloud.hear()
    dead.cut = True
    cloud.fleet.down.add(fip["interface_id"] or fip["address"])

    cloud.run(bells.FAILOVER, (str(cloud.fleet["edge"].id),))
    assert apart(cloud) == {(prefix, "172.31.21.2")}
    cloud.settle()
    cloud.fleet.down.clear()

    assert holder(cloud, fip) == two["id"]
    assert cloud.holders(prefix) == {"hypervisor-1": 1, "hypervisor-2": 2}, "the old one does not know"
    cloud.sweep()
    assert apart(cloud) == {(prefix, "172.31.21.2")}

    dead.cut = False
    cloud.sweep()
    cloud.sweep()
    assert cloud.holders(prefix) == {"hypervisor-2": 2}
    assert apart(cloud) == set()


def test_a_person_s_move_off_a_silent_host_gets_there_too(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two)
    cloud.fleet["hypervisor-1"].cut = True
    cloud.hear()
    moving = ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:move", {"from": target(one), "to": target(two)}))
    cloud.settle()
    assert cloud.ledger.red.operation(moving)["waiting_for"]["code"] == "node.unreachable"

    cloud.sweep()

    assert cloud.ledger.red.operation(moving)["state"] == "succeeded"
    assert holder(cloud, fip) == two["id"]


def test_an_edge_that_is_silent_too_keeps_the_address_where_it_may_be(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two)
    for name in ("hypervisor-1", "edge"):
        cloud.fleet[name].cut = True
    cloud.hear()
    ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:failover", {}))

    cloud.sweep()

    assert cloud.ledger.red.fip(fip["id"])["state"] == "moving"
    assert cloud.holders(f"{fip['address']}/32") == {"hypervisor-1": 1}
    cloud.fleet["edge"].cut = False
    cloud.sweep()
    cloud.sweep()
    assert holder(cloud, fip) == two["id"]


def test_an_instance_that_moves_is_not_freed_by_fencing_its_addresses(cloud: Controller) -> None:
    """Its guest may still be there."""
    one, two, _ = instances_of(cloud)
    guarded(cloud, one, two)
    cloud.fleet["hypervisor-1"].cut = True
    cloud.hear()
    ok(cloud.post(f"/instances/{one['id']}:stop", who="operator"))

    cloud.sweep()

    assert apart(cloud) == set()


def test_who_gets_the_address_back_is_no_longer_fenced_from_it(cloud: Controller) -> None:
    one, two, _ = instances_of(cloud)
    fip = guarded(cloud, one, two)
    old = cloud.fleet["hypervisor-1"]
    old.cut = True
    cloud.fleet.down.add(fip["address"])
    edge_speaks(cloud)
    cloud.fleet.down.clear()
    assert holder(cloud, fip) == two["id"]
    old.cut = False
    cloud.hear()
    cloud.reconciler.sync.node(old.id)

    ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:failover", {"to": target(one)}))
    cloud.settle()

    assert holder(cloud, fip) == one["id"]
    assert apart(cloud) == set()


def test_an_address_that_another_guest_of_the_silent_host_gets_stays_fenced_until_the_host_knows(
    cloud: Controller,
) -> None:
    one, two, _ = instances_of(cloud)
    cloud.act(two, "move", {"to": "hypervisor-1"})
    fip = guarded(cloud, one, two)
    silent = cloud.fleet["hypervisor-1"]
    silent.cut = True
    cloud.hear()
    ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:failover", {}))
    cloud.sweep()
    cloud.sweep()
    assert cloud.ledger.red.fip(fip["id"])["attachment"]["target"] == target(two)
    assert apart(cloud) == {(f"{fip['address']}/32", "172.31.21.2")}, "its kernel still takes it to the first"

    silent.cut = False
    cloud.sweep()
    assert holder(cloud, fip) == two["id"]
    assert apart(cloud) == set()


def test_the_best_that_runs_is_chosen() -> None:
    one, two, three = [("instance", UUID(int=number)) for number in range(3)]
    assert choose([one, two, three], one, {one, two, three}) == two
    assert choose([one, two, three], two, {two, three}) == three
    assert choose([one, two], one, {one}) is None
