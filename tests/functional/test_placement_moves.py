"""Instances start, stop and move, on both stacks, and their addresses come along."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Entry, Forward, Leg, LegState
from services.netagent.checkpoint import MemoryCheckpoint
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def legs(cloud: Controller, *, state: LegState = LegState.ACTIVE) -> list[str]:
    """The hypervisors with a leg in `state`, of the only guest."""
    return [
        agent.name
        for agent in cloud.fleet.agents.values()
        for leg in agent.kernel.table(Leg).values()
        if leg.state is state
    ]


def test_a_routed_instance_answers_on_its_addresses_and_they_follow_it(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4", "ipv6"])
    prefixes = [address["prefix"] for address in web["port"]["addresses"]]
    assert len(prefixes) == 2
    for prefix in prefixes:
        assert cloud.holders(prefix) == {web["hypervisor"]: 1}
    states = {fip["state"] for fip in cloud.ledger.red.get("/flexible-ips")["items"]}
    assert states == {"attached"}

    assert cloud.act(web, "move", {"to": "hypervisor-3"})["state"] == "succeeded"

    for prefix in prefixes:
        assert cloud.holders(prefix) == {"hypervisor-3": 2}
    assert legs(cloud) == ["hypervisor-3"]
    assert cloud.show(web)["hypervisor"] == "hypervisor-3"


def test_a_nat_instance_gets_a_new_private_address_and_keeps_its_public_one(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    public = web["port"]["addresses"][0]["host"].split("/")[0]
    before = cloud.fleet["gateway-1"].maps()[public]

    cloud.act(web, "move")

    after = cloud.fleet["gateway-1"].maps()
    assert after == cloud.fleet["gateway-2"].maps() == {public: after[public]}
    assert after[public] != before
    bound = [a["prefix"] for a in cloud.show(web)["port"]["addresses"] if a["flexible_ip"] is None]
    assert f"{after[public]}/32" in bound
    assert f"{before}/32" not in bound


def test_a_stopped_instance_frees_its_compute_and_keeps_its_addresses(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    prefix, first = web["port"]["addresses"][0]["prefix"], web["hypervisor"]

    assert cloud.act(web, "stop", who="red")["state"] == "succeeded"

    assert cloud.show(web)["state"] == "archived"
    assert cloud.holders(prefix) == {}
    assert legs(cloud) == []
    used = {node["name"]: node["used"]["VCPU"] for node in cloud.get("/nodes", role="hypervisor")["items"]}
    assert set(used.values()) == {0}
    (fip,) = cloud.ledger.red.get("/flexible-ips")["items"]
    assert fip["state"] == "attached"

    other = next(name for name in ("hypervisor-1", "hypervisor-2") if name != first)
    assert cloud.act(web, "start", {"hypervisor": other})["state"] == "succeeded"
    assert cloud.holders(prefix) == {other: 2}


def test_an_instance_that_starts_where_it_was_is_announced_again(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    prefix, first = web["port"]["addresses"][0]["prefix"], web["hypervisor"]
    cloud.act(web, "stop")
    assert cloud.act(web, "start", {"hypervisor": first})["state"] == "succeeded"
    assert cloud.holders(prefix) == {first: 1}


def test_the_last_instance_of_a_node_can_be_deleted_and_its_addresses_stay_reserved(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    operation = cloud.request("red", "DELETE", f"/instances/{web['id']}").json()
    cloud.settle()
    assert cloud.operation(operation)["state"] == "succeeded"
    assert cloud.request("red", "GET", f"/instances/{web['id']}").status_code == 404
    assert legs(cloud) == []
    (fip,) = cloud.ledger.red.get("/flexible-ips")["items"]
    assert fip["state"] == "reserved"


def test_an_address_moves_between_instances_old_holder_first(cloud: Controller) -> None:
    one = cloud.instance("one", allocate=["ipv4"])
    two = cloud.instance("two")
    (address,) = one["port"]["addresses"]
    fleet_of_two = cloud.fleet[cloud.show(two)["hypervisor"]]
    fleet_of_one = cloud.fleet[one["hypervisor"]]
    fleet_of_one.cut = True  # the old holder does not answer: nobody else may announce
    move = {
        "from": {"kind": "instance", "id": one["id"]},
        "to": {"kind": "instance", "id": two["id"]},
    }
    operation = cloud.ledger.red.post(f"/flexible-ips/{address['flexible_ip']}:move", move).json()
    cloud.settle()
    waiting = cloud.ledger.red.operation(operation)
    assert (waiting["state"], waiting["waiting_for"]["code"]) == ("waiting", "node.unreachable")
    assert address["prefix"] not in fleet_of_two.announces()

    fleet_of_one.cut = False
    cloud.sweep()

    assert cloud.ledger.red.operation(operation)["state"] == "succeeded"
    assert cloud.holders(address["prefix"]) == {cloud.show(two)["hypervisor"]: 2}


def test_lost_wake_ups_are_found_by_the_sweep(cloud: Controller) -> None:
    wanted = {"name": "web", "zone": "zone-a", "flavor": "small", "allocate": ["ipv4"]}
    operation = cloud.post("/instances", wanted).json()
    cloud.lose_bells()
    for _ in range(3):  # each sweep is followed by wake-ups of its own
        cloud.sweep()
    assert cloud.operation(operation)["state"] == "succeeded"
    (fip,) = cloud.ledger.red.get("/flexible-ips")["items"]
    assert fip["state"] == "attached"


def test_an_agent_that_lost_its_memory_is_told_everything(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    agent = cloud.fleet[web["hypervisor"]]
    before = agent.executor.realized()
    agent.checkpoint = MemoryCheckpoint()  # the disk is gone
    agent.start()
    assert agent.executor.realized().digest == {}
    cloud.reconciler.sync.whole(agent.id)
    assert agent.executor.realized() == before
    assert web["port"]["addresses"][0]["prefix"] in agent.announces()


def test_a_row_the_kernel_refuses_holds_up_its_own_port_and_no_other(cloud: Controller) -> None:
    agent = cloud.fleet["hypervisor-1"]

    def refuse(entry: Entry) -> None:
        if isinstance(entry, Forward) and str(entry.prefix) == "198.18.16.0/32":
            raise DriverError("route.refused", "no")

    agent.kernel.refuse = refuse
    wanted = {"name": "bad", "zone": "zone-a", "flavor": "small", "allocate": ["ipv4"], "hypervisor": "hypervisor-1"}
    bad = cloud.post("/instances", wanted, "operator").json()
    cloud.settle()
    assert cloud.operation(bad)["waiting_for"]["code"] == "node.failed"
    wanted["name"] = "good"
    good = cloud.post("/instances", wanted, "operator").json()
    cloud.settle()
    assert cloud.operation(good)["state"] == "succeeded"

    agent.kernel.refuse = lambda _: None
    agent.executor.repair()
    cloud.reconciler.sync.whole(agent.id)
    cloud.settle()
    assert cloud.operation(bad)["state"] == "succeeded"


def test_an_address_that_moves_between_instances_tells_how_long_nobody_had_it(cloud: Controller) -> None:
    web, other = cloud.instance("web", allocate=["ipv4"]), cloud.instance("other")
    refs = [{"kind": "instance", "id": instance["id"]} for instance in (web, other)]
    (fip,) = cloud.ledger.red.get("/flexible-ips")["items"]

    moving = ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:move", {"from": refs[0], "to": refs[1]}))
    cloud.settle()

    moved = cloud.ledger.red.operation(moving)
    assert moved["state"] == "succeeded"
    assert cloud.holders(f"{fip['address']}/32") == {other["hypervisor"]: 2}
    assert moved["result"]["control_gap_ms"] > 0
