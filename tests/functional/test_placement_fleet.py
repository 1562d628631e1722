"""Nodes that fail or are emptied: fenced with evidence, evacuated, let in again, drained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Entry, Fence, Forward, Leg
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok, problem

EVIDENCE = {"evidence": {"kind": "power_off", "ref": "power controller: off"}}


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def node(cloud: Controller, name: str) -> Any:
    return next(item for item in cloud.get("/nodes")["items"] if item["name"] == name)


def do(cloud: Controller, name: str, verb: str, body: Any = None) -> Any:
    """Ask for work on a node and run it as far as it goes; the Operation."""
    operation = ok(cloud.post(f"/nodes/{node(cloud, name)['id']}:{verb}", body, "operator"))
    cloud.settle()
    return cloud.operation(operation) if verb != "undrain" else operation


def refused(cloud: Controller, name: str, verb: str, body: Any = None, who: str = "operator") -> tuple[int, str]:
    before = cloud.contents()
    answer = problem(cloud.post(f"/nodes/{node(cloud, name)['id']}:{verb}", body, who))
    assert cloud.contents() == before
    return answer


def instances_on(cloud: Controller, name: str) -> set[str]:
    return {item["name"] for item in cloud.get("/instances")["items"] if item["hypervisor"] == name}


def addresses(cloud: Controller) -> dict[str, set[str]]:
    """Those of each instance that are its owner's."""
    return {
        item["name"]: {address["prefix"] for address in item["port"]["addresses"] if address["flexible_ip"]}
        for item in cloud.get("/instances")["items"]
    }


def crowd(cloud: Controller, on: str) -> None:
    """Two routed guests and two NAT ones on a hypervisor."""
    for number in range(2):
        for mode in ("routed", "nat"):
            cloud.instance(f"{mode}-{number}", who="operator", mode=mode, allocate=["ipv4"], hypervisor=on)


def kill(cloud: Controller, name: str) -> None:
    cloud.fleet[name].cut = True
    cloud.hear()


def test_a_fence_counts_once_the_edge_has_read_it_back(cloud: Controller) -> None:
    kill(cloud, "hypervisor-1")
    cloud.fleet["edge"].cut = True
    asked = do(cloud, "hypervisor-1", "fence", EVIDENCE)
    assert asked["state"] == "waiting"
    assert asked["waiting_for"]["code"] == "node.edges"
    assert not node(cloud, "hypervisor-1")["fenced"]
    assert refused(cloud, "hypervisor-1", "evacuate") == (409, "placement.node.not_fenced")

    cloud.fleet["edge"].cut = False
    cloud.sweep()
    assert cloud.operation(asked)["state"] == "succeeded"
    seen = node(cloud, "hypervisor-1")
    assert seen["fenced"]
    assert (seen["fence"]["kind"], seen["fence"]["by"]) == ("power_off", "olga")
    assert [str(row.neighbour) for row in cloud.fleet["edge"].kernel.table(Fence).values()] == [seen["endpoint"]]


def test_an_evacuation_starts_everything_elsewhere_with_every_address(cloud: Controller) -> None:
    crowd(cloud, "hypervisor-1")
    before = addresses(cloud)
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    done = do(cloud, "hypervisor-1", "evacuate")
    assert done["state"] == "succeeded", done
    assert (done["result"]["instances"], done["result"]["left"]) == (4, 0)
    assert instances_on(cloud, "hypervisor-1") == set()
    assert addresses(cloud) == before
    for name, prefixes in before.items():
        announced = {prefix: set(cloud.holders(prefix)) - {"hypervisor-1"} for prefix in prefixes}
        if name.startswith("routed"):
            assert all(len(by) == 1 for by in announced.values()), "the newest holder announces it"
    inbound = cloud.fleet["gateway-1"].maps()
    assert len(inbound) == 2
    assert not any(private.startswith("10.21.") for private in inbound.values())


def test_a_host_that_comes_back_withdraws_before_anybody_hears_it(cloud: Controller) -> None:
    crowd(cloud, "hypervisor-1")
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    do(cloud, "hypervisor-1", "evacuate")
    waits = do(cloud, "hypervisor-1", "unfence")
    assert (waits["state"], waits["waiting_for"]["code"]) == ("waiting", "node.withdrawal")
    assert cloud.fleet["edge"].kernel.table(Fence)

    cloud.fleet["hypervisor-1"].cut = False
    cloud.sweep()
    cloud.sweep()
    assert cloud.operation(waits)["state"] == "succeeded"
    assert not cloud.fleet["edge"].kernel.table(Fence)
    assert not any(prefix.endswith("/32") for prefix in cloud.fleet["hypervisor-1"].announces())
    seen = node(cloud, "hypervisor-1")
    assert (seen["fenced"], seen["fence"]) == (False, None)


def test_what_finds_no_room_waits_and_says_so(cloud: Controller) -> None:
    crowd(cloud, "hypervisor-1")
    for name in ("hypervisor-2", "hypervisor-3"):
        body = {"admin_state": "disabled"}
        ok(cloud.request("operator", "PATCH", f"/nodes/{node(cloud, name)['id']}", json=body))
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    waits = do(cloud, "hypervisor-1", "evacuate")
    assert (waits["state"], waits["waiting_for"]["code"]) == ("waiting", "node.no_room")
    body = {"admin_state": "enabled"}
    ok(cloud.request("operator", "PATCH", f"/nodes/{node(cloud, 'hypervisor-2')['id']}", json=body))
    cloud.sweep()
    assert cloud.operation(waits)["state"] == "succeeded"
    assert len(instances_on(cloud, "hypervisor-2")) == 4


def test_an_evacuation_preempts_the_move_that_was_under_way(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", allocate=["ipv4"], hypervisor="hypervisor-1")
    cloud.fleet["hypervisor-3"].cut = True
    operation = ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-3"}, "operator"))
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    cloud.fleet["hypervisor-3"].cut = False
    assert do(cloud, "hypervisor-1", "evacuate")["state"] == "succeeded"
    shown = cloud.show(web)
    assert shown["state"] == "running"
    assert shown["hypervisor"] in {"hypervisor-2", "hypervisor-3"}
    preempted = cloud.operation(operation)
    assert (preempted["state"], preempted["error"]["code"]) == ("failed", "placement.operation.preempted")


def test_nobody_goes_to_a_host_that_is_fenced_and_an_instance_on_its_way_stays_where_it_is(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", allocate=["ipv4"], hypervisor="hypervisor-1")
    operation = ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-3"}, "operator"))
    kill(cloud, "hypervisor-3")
    do(cloud, "hypervisor-3", "fence", EVIDENCE)
    assert cloud.operation(operation)["waiting_for"]["code"] == "node.fenced"
    assert do(cloud, "hypervisor-3", "evacuate")["state"] == "succeeded"
    shown = cloud.show(web)
    assert (shown["state"], shown["hypervisor"]) == ("running", "hypervisor-1")
    assert cloud.operation(operation)["error"]["code"] == "placement.operation.preempted"
    (prefix,) = addresses(cloud)["web"]
    assert cloud.holders(prefix) == {"hypervisor-1": 1}


def test_an_instance_whose_host_dies_while_it_is_made_is_made_elsewhere(cloud: Controller) -> None:
    body = {"name": "web", "zone": "zone-a", "flavor": "small", "allocate": ["ipv4"], "hypervisor": "hypervisor-1"}
    operation = ok(cloud.post("/instances", body, "operator"))
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    assert do(cloud, "hypervisor-1", "evacuate")["state"] == "succeeded"
    assert cloud.operation(operation)["state"] == "succeeded"
    assert instances_on(cloud, "hypervisor-1") == set()
    assert len(addresses(cloud)["web"]) == 1


def test_a_node_that_is_let_in_is_waited_for_again(cloud: Controller) -> None:
    """It may be heard as soon as the edge is told, though nobody knows yet that the edge did it."""
    web = cloud.instance("web")
    assert web["hypervisor"] == "hypervisor-1"
    attached = cloud.ledger.red.reserve()
    cloud.ledger.red.attach(attached, {"kind": "instance", "id": web["id"]})
    cloud.settle()
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    cloud.fleet["edge"].cut = True
    waits = do(cloud, "hypervisor-1", "unfence")
    assert waits["waiting_for"]["code"] == "node.edges"
    kill(cloud, "hypervisor-1")
    fip = cloud.ledger.red.fip(attached["id"])
    ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:detach", {}))
    cloud.settle()
    assert cloud.ledger.red.fip(fip["id"])["state"] == "detaching"


def test_an_address_of_a_node_is_not_given_again_while_its_kernel_may_hold_it(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", mode="nat", hypervisor="hypervisor-1")
    cloud.fleet["hypervisor-1"].cut = True
    operation = ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-2"}, "operator"))
    cloud.settle()
    held = {str(row.prefix) for row in cloud.fleet["hypervisor-2"].kernel.table(Forward).values()}
    assert held
    ok(cloud.post(f"/operations/{operation['id']}:cancel", None, "operator"))
    body = {"name": "other", "zone": "zone-a", "flavor": "small", "mode": "nat", "hypervisor": "hypervisor-2"}
    made = ok(cloud.post("/instances", body, "operator"))
    other = cloud.get(made["resource"].removeprefix("/placement/v1"))
    assert held.isdisjoint(address["prefix"] for address in other["port"]["addresses"])


def test_what_a_preempted_move_gives_up_is_given_to_nobody_while_a_kernel_may_hold_it(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", mode="nat", hypervisor="hypervisor-1")
    cloud.fleet["hypervisor-1"].cut = True
    ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-2"}, "operator"))
    cloud.settle()
    kernel = cloud.fleet["hypervisor-2"].kernel
    forwarded = {str(row.prefix) for row in kernel.table(Forward).values()}
    its_own = {prefix for prefix in forwarded if prefix.startswith(("10.22.", "2001:db8:22:"))}
    assert its_own

    def refuse(entry: Entry) -> None:
        if isinstance(entry, Leg):
            raise DriverError("leg.refused", "the kernel refuses")

    kernel.refuse = refuse  # the move comes to no end by itself
    kill(cloud, "hypervisor-1")
    kill(cloud, "hypervisor-3")  # there is room on its destination alone
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    do(cloud, "hypervisor-1", "evacuate")
    shown = cloud.show(web)
    assert shown["state"] == "moving"
    assert its_own.isdisjoint({address["prefix"] for address in shown["port"]["addresses"]})


def test_a_dead_gateway_that_is_fenced_holds_up_nothing(cloud: Controller) -> None:
    kill(cloud, "gateway-2")
    operation = ok(cloud.post("/instances", {"name": "a", "zone": "zone-a", "flavor": "small", "mode": "nat"}))
    fip = ok(cloud.ledger.red.post("/flexible-ips", {"zone": "zone-a", "family": "ipv4"}))
    cloud.settle()
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": operation["resource"].rsplit("/", 1)[1]})
    cloud.settle()
    assert cloud.ledger.red.fip(fip["id"])["state"] == "attaching"
    do(cloud, "gateway-2", "fence", EVIDENCE)
    assert cloud.ledger.red.fip(fip["id"])["state"] == "attached"


def test_a_drain_moves_everything_and_ends_drained(cloud: Controller) -> None:
    crowd(cloud, "hypervisor-1")
    before = addresses(cloud)
    done = do(cloud, "hypervisor-1", "drain", {"concurrency": 1})
    assert done["state"] == "succeeded", done
    assert node(cloud, "hypervisor-1")["admin_state"] == "drained"
    assert instances_on(cloud, "hypervisor-1") == set()
    assert addresses(cloud) == before
    do(cloud, "hypervisor-1", "undrain")
    assert node(cloud, "hypervisor-1")["admin_state"] == "enabled"


def test_a_drain_is_paused_resumed_and_cancelled(cloud: Controller) -> None:
    crowd(cloud, "hypervisor-1")
    hypervisor = node(cloud, "hypervisor-1")
    operation = ok(cloud.post(f"/nodes/{hypervisor['id']}:drain", {"concurrency": 1}, "operator"))
    ok(cloud.post(f"/operations/{operation['id']}:pause", None, "operator"))
    cloud.settle()
    assert cloud.operation(operation)["waiting_for"]["code"] == "node.paused"
    assert len(instances_on(cloud, "hypervisor-1")) == 4
    ok(cloud.post(f"/operations/{operation['id']}:cancel", None, "operator"))
    assert cloud.operation(operation)["state"] == "cancelled"
    assert node(cloud, "hypervisor-1")["admin_state"] == "enabled"
    again = ok(cloud.post(f"/nodes/{hypervisor['id']}:drain", None, "operator"))
    ok(cloud.post(f"/operations/{again['id']}:pause", None, "operator"))
    ok(cloud.post(f"/operations/{again['id']}:resume", None, "operator"))
    cloud.settle()
    assert cloud.operation(again)["state"] == "succeeded"


def test_a_move_is_cancelled_before_the_switch(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", allocate=["ipv4"], hypervisor="hypervisor-1")
    operation = ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-2"}, "operator"))
    ok(cloud.post(f"/operations/{operation['id']}:cancel", None, "operator"))
    cloud.settle()
    shown = cloud.show(web)
    assert (shown["state"], shown["hypervisor"]) == ("running", "hypervisor-1")
    assert cloud.operation(operation)["state"] == "cancelled"
    assert node(cloud, "hypervisor-2")["used"]["VCPU"] == 0
    again = cloud.post(f"/operations/{operation['id']}:cancel", None, "operator")
    assert problem(again) == (409, "placement.operation.fixed")


def test_a_move_that_is_cancelled_leaves_the_address_that_once_went_along(cloud: Controller) -> None:
    web = cloud.instance("web", who="operator", mode="nat", hypervisor="hypervisor-1")
    cloud.act(web, "convert")
    cloud.act(web, "move", {"to": "hypervisor-2"})
    cloud.act(web, "revert")
    before = cloud.show(web)["port"]["addresses"]
    operation = ok(cloud.post(f"/instances/{web['id']}:move", {"to": "hypervisor-1"}, "operator"))
    assert len(cloud.show(web)["port"]["addresses"]) > len(before)
    ok(cloud.post(f"/operations/{operation['id']}:cancel", None, "operator"))
    cloud.settle()
    assert cloud.show(web)["port"]["addresses"] == before


def test_a_conversion_that_is_cancelled_walks_back(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    operation = ok(cloud.post(f"/instances/{web['id']}:convert"))
    ok(cloud.post(f"/operations/{operation['id']}:cancel"))
    cloud.settle()
    assert cloud.operation(operation)["state"] == "cancelled"
    assert (cloud.show(web)["state"], cloud.show(web)["port"]["mode"]) == ("running", "nat")


def test_what_cannot_be_done_to_a_node_is_refused_and_changes_nothing(cloud: Controller) -> None:
    assert refused(cloud, "hypervisor-1", "evacuate") == (409, "placement.node.not_fenced")
    assert refused(cloud, "hypervisor-1", "unfence") == (409, "placement.node.not_fenced")
    assert refused(cloud, "hypervisor-1", "fence", {}) == (422, "request.invalid")
    assert refused(cloud, "hypervisor-1", "fence", {"evidence": {"kind": "silence", "ref": "x"}}) == (
        422,
        "request.invalid",
    )
    assert refused(cloud, "hypervisor-1", "fence", EVIDENCE, "red") == (403, "auth.role_missing")
    assert refused(cloud, "edge", "fence", EVIDENCE) == (409, "placement.node.edge")
    assert refused(cloud, "gateway-1", "drain") == (409, "placement.node.not_hypervisor")
    crowd(cloud, "hypervisor-1")
    for name in ("hypervisor-2", "hypervisor-3"):
        body = {"admin_state": "disabled"}
        ok(cloud.request("operator", "PATCH", f"/nodes/{node(cloud, name)['id']}", json=body))
    assert refused(cloud, "hypervisor-1", "drain") == (409, "placement.node.no_room")
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    assert refused(cloud, "hypervisor-1", "fence", EVIDENCE) == (409, "placement.node.fenced")
    assert refused(cloud, "hypervisor-1", "drain") == (409, "placement.node.fenced")
    assert refused(cloud, "hypervisor-1", "undrain") == (409, "placement.node.fenced")
