"""Crashes, refusals and races that once gave a wrong answer."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
from sqlalchemy import update

from dataplane.driver import DriverError
from dataplane.entries import Anchor, Entry
from services.netagent import wire as agent_wire
from services.netagent.admission import admit
from services.netagent.checkpoint import MemoryCheckpoint
from services.placement import bells, ledger as placement_ledger
from services.placement.budgets import WINDOW
from services.placement.model import Withdrawal
from tests.functional.controller import Agent, Controller, running
from tests.functional.ledger import Ledger, ok, problem


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def address_of(instance: Any) -> Any:
    return instance["port"]["addresses"][0]


def detach(cloud: Controller, instance: Any) -> Any:
    return ok(cloud.ledger.red.post(f"/flexible-ips/{address_of(instance)['flexible_ip']}:detach", {}))


def crash_after_checkpoint(agent: Agent, message: agent_wire.Delta | agent_wire.Snapshot) -> None:
    """The agent is killed when a message is on its disk and nothing of it in its kernel."""
    stored = agent.checkpoint.load()
    assert stored is not None
    agent.checkpoint.store(admit(agent.id, stored.position, stored.entries, message))
    agent.start()


def test_a_withdrawal_an_agent_died_over_is_not_realised_before_the_kernel_lost_it(
    cloud: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    agent = cloud.fleet[web["hypervisor"]]
    apply = agent.apply
    sent: list[agent_wire.Delta] = []

    def dies_once(message: agent_wire.Delta | agent_wire.Snapshot) -> agent_wire.Realized:
        if not sent and isinstance(message, agent_wire.Delta) and message.tombstones:
            sent.append(message)
            crash_after_checkpoint(agent, message)
        if isinstance(message, agent_wire.Snapshot):
            agent.cut = True  # the whole never reaches it
        return apply(message)

    monkeypatch.setattr(agent, "apply", dies_once)
    operation = detach(cloud, web)
    cloud.settle()
    assert sent
    prefix = address_of(web)["prefix"]
    assert prefix in agent.announces(), "nothing has removed it"
    assert cloud.ledger.red.operation(operation)["state"] != "succeeded"

    monkeypatch.undo()
    agent.cut = False
    cloud.sweep()
    assert prefix not in agent.announces()
    assert cloud.ledger.red.operation(operation)["state"] == "succeeded"


def test_a_removal_the_kernel_refuses_stays_unrealised_over_an_agents_restart(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    agent, prefix = cloud.fleet[web["hypervisor"]], address_of(web)["prefix"]

    def refuse(entry: Entry) -> None:
        if isinstance(entry, Anchor) and str(entry.prefix) == prefix:
            raise DriverError("anchor.refused", "no")

    agent.kernel.refuse = refuse
    operation = detach(cloud, web)
    cloud.settle()
    agent.start()
    cloud.reconciler.sync.whole(agent.id)
    cloud.settle()
    assert prefix in agent.announces()
    assert cloud.ledger.red.operation(operation)["state"] != "succeeded"

    agent.kernel.refuse = lambda _: None
    cloud.sweep()
    cloud.reconciler.sync.whole(agent.id)
    cloud.settle()
    assert cloud.ledger.red.operation(operation)["state"] == "succeeded"
    assert prefix not in agent.announces()


def test_a_gateway_that_joins_knows_every_mapping_before_it_announces(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    cloud.node("gateway-3", "gateway", 13)
    cloud.sweep()
    joined, old = cloud.fleet["gateway-3"], cloud.fleet["gateway-1"]
    assert joined.maps() == old.maps() != {}
    assert joined.announces() == old.announces()
    cloud.act(web, "move")
    assert joined.maps() == old.maps()


def test_the_last_prefix_of_a_zone_can_be_replaced(cloud: Controller) -> None:
    pool = next(p for p in cloud.ledger.operator.get("/pools")["items"] if p["family"] == "ipv4")
    ok(cloud.ledger.operator.delete(f"/pools/{pool['id']}/prefixes/{pool['prefixes'][0]['id']}"))
    ok(cloud.ledger.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": "198.18.32.0/24"}))
    cloud.sweep()
    assert list(cloud.fleet["gateway-1"].announces()) == ["198.18.32.0/24"]


# --- withdraw budgets ------------------------------------------------------------------------------------------------


def node_named(cloud: Controller, name: str) -> Any:
    return cloud.get("/nodes", name=name)["items"][0]


def test_more_than_a_node_may_lose_unasked_is_not_sent_and_named_by_who_waits(cloud: Controller) -> None:
    cloud.shrink_pool()
    gateway = node_named(cloud, "gateway-1")

    (refusal,) = gateway["failures"]
    assert refusal.startswith("placement.withdraw_budget: budget of a node: 8 of 9 entries"), refusal
    assert len(cloud.fleet["gateway-1"].announces()) == 9, "nothing was withdrawn"
    wanted = {"name": "web", "zone": "zone-a", "flavor": "small", "mode": "nat", "allocate": ["ipv4"]}
    operation = ok(cloud.post("/instances", wanted))
    cloud.settle()
    waits = cloud.operation(operation)["waiting_for"]
    assert waits["code"] == "node.failed"
    assert "placement.withdraw_budget" in waits["text"]


def test_an_operator_lets_go_what_a_budget_holds_back_by_its_digest(cloud: Controller) -> None:
    cloud.shrink_pool()
    for gateway in [node_named(cloud, name) for name in ("gateway-1", "gateway-2")]:
        digest = gateway["failures"][0].partition(f"approve {gateway['name']} ")[2].partition("`")[0]
        ok(cloud.post(f"/nodes/{gateway['id']}:approve", {"digest": digest}, who="operator"))
        cloud.settle()

        assert node_named(cloud, gateway["name"])["failures"] == []
        assert list(cloud.fleet[gateway["name"]].announces()) == ["198.18.16.0/24"]
    approvals = [one for one in cloud.get("/operations")["items"] if one["kind"] == "node.approve"]
    assert [one["state"] for one in approvals] == ["succeeded", "succeeded"]


def test_an_approval_is_of_what_was_seen_and_by_whom_it_concerns(cloud: Controller) -> None:
    cloud.shrink_pool()
    gateway = node_named(cloud, "gateway-1")
    before = cloud.contents()
    body = {"digest": "0123456789abcdef"}

    asked = cloud.post(f"/nodes/{gateway['id']}:approve", body, who="operator")
    assert problem(asked) == (409, "placement.node.withdrawal_changed")
    assert problem(cloud.post(f"/nodes/{gateway['id']}:approve", body)) == (403, "auth.role_missing")
    edge = cloud.fleet["edge"].id
    asked = cloud.post(f"/nodes/{edge}:approve", body, who="operator")
    assert problem(asked) == (409, "placement.node.withdrawal_changed"), "it is to lose nothing"
    assert cloud.contents() == before


def test_an_operator_lets_go_what_an_agent_holds_back_that_the_database_knows_nothing_of(cloud: Controller) -> None:
    """Its checkpoint is lost, and its kernel holds more than it is told."""
    cloud.instance("web", mode="routed", allocate=["ipv4"])
    gateway = cloud.fleet["gateway-1"]
    known = gateway.announces()
    for number in range(20):
        gateway.kernel.alter(Anchor(IPv4Network(f"198.18.{100 + number}.0/24"), 1))
    gateway.checkpoint = MemoryCheckpoint()
    gateway.start()
    cloud.reconciler.sync.whole(gateway.id)

    (refusal,) = node_named(cloud, "gateway-1")["failures"]
    assert refusal.startswith("agent.removal_budget: 20 of 21 entries"), refusal
    assert len(gateway.announces()) == 21
    digest = refusal.partition(f"`godwit node approve {gateway.id} ")[2].partition("`")[0]
    gateway.kernel.alter(Anchor(IPv4Network("198.18.200.0/24"), 1))  # another one, that nobody saw when they approved
    ok(cloud.post(f"/nodes/{gateway.id}:approve", {"digest": digest}, who="operator"))
    cloud.settle()
    (refusal,) = node_named(cloud, "gateway-1")["failures"]
    assert refusal.startswith("agent.removal_budget: 21 of 22 entries"), refusal
    assert problem(cloud.post(f"/nodes/{gateway.id}:approve", {"digest": digest}, who="operator")) == (
        409,
        "placement.node.withdrawal_changed",
    )

    digest = refusal.partition(f"`godwit node approve {gateway.id} ")[2].partition("`")[0]
    ok(cloud.post(f"/nodes/{gateway.id}:approve", {"digest": digest}, who="operator"))
    cloud.settle()
    assert node_named(cloud, "gateway-1")["failures"] == []
    assert gateway.announces() == known


def test_a_ledger_that_knows_no_pools_any_more_withdraws_no_zone(
    cloud: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty answer read as all of it: the outage of others. Few entries, and every address behind them."""
    for number in (1, 2):
        cloud.instance(f"web-{number}", mode="nat", allocate=["ipv4"])
    monkeypatch.setattr(cloud.reconciler._ipam, "pools", lambda _zone: iter(()))
    cloud.sweep()

    for name in ("gateway-1", "gateway-2"):
        (refusal,) = node_named(cloud, name)["failures"]
        assert "budget of a zone: 2 of 2 addresses would lose their announcer in a minute; 1 may" in refusal
        assert list(cloud.fleet[name].announces()) == ["198.18.16.0/24"]

    monkeypatch.undo()
    cloud.sweep()
    assert [node_named(cloud, name)["failures"] for name in ("gateway-1", "gateway-2")] == [[], []]


def test_what_goes_bit_by_bit_is_counted_over_a_minute(cloud: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that forgets one prefix after the other, each with one address that is mapped."""
    pool = next(p for p in cloud.ledger.operator.get("/pools")["items"] if p["family"] == "ipv4")
    for number in (32, 33, 34):
        ok(cloud.ledger.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": f"198.18.{number}.0/24"}))
    for number in (16, 32, 33, 34):
        fip = cloud.ledger.red.reserve(address=f"198.18.{number}.9")
        cloud.instance(f"web-{number}", mode="nat", addresses=[fip["id"]])
    read, forgotten = cloud.reconciler._ipam.pools, set[str]()

    def forgetful(zone: str) -> Iterator[Any]:
        for found in read(zone):
            kept = [one for one in found.prefixes if one.cidr not in forgotten]
            yield found.model_copy(update={"prefixes": kept, "revision": found.revision + len(forgotten)})

    monkeypatch.setattr(cloud.reconciler._ipam, "pools", forgetful)
    for number in (32, 33):
        forgotten.add(f"198.18.{number}.0/24")
        cloud.sweep()

    assert sorted(cloud.fleet["gateway-1"].announces()) == ["198.18.16.0/24", "198.18.33.0/24", "198.18.34.0/24"]
    (refusal,) = node_named(cloud, "gateway-1")["failures"]
    assert "2 of 4 addresses would lose their announcer in a minute" in refusal

    with cloud.database.transaction() as tx:
        tx.session.execute(update(Withdrawal).values(at=Withdrawal.at - WINDOW))
    cloud.sweep()
    assert sorted(cloud.fleet["gateway-1"].announces()) == ["198.18.16.0/24", "198.18.34.0/24"]


def test_what_an_operation_withdraws_trips_no_budget(cloud: Controller) -> None:
    made = [cloud.instance(f"web-{number}", mode="routed", allocate=["ipv4", "ipv6"]) for number in range(4)]
    for one in made:
        cloud.act(one, "stop")

    assert all(node["failures"] == [] for node in cloud.get("/nodes")["items"])
    assert all(not cloud.holders(address["prefix"]) for one in made for address in one["port"]["addresses"])


def test_while_an_instance_is_created_its_addresses_say_what_they_wait_for(cloud: Controller) -> None:
    fip = cloud.ledger.red.reserve()
    cloud.fleet["hypervisor-1"].cut = True
    wanted = {"name": "web", "zone": "zone-a", "flavor": "small", "addresses": [fip["id"]]}
    cloud.post("/instances", wanted)
    cloud.settle()
    (attach,) = [o for o in cloud.ledger.red.get("/operations")["items"] if o["kind"] == "flexible_ip.attach"]
    assert attach["state"] in {"succeeded", "waiting"}


def test_a_hypervisor_without_addresses_left_is_passed_over(cloud: Controller) -> None:
    for number in (1, 2, 3):
        node = next(n for n in cloud.get("/nodes")["items"] if n["name"] == f"hypervisor-{number}")
        body = {key: node[key] for key in ("name", "zone", "role", "agent_url", "endpoint", "legacy_prefix")}
        body["inventories"] = node["inventories"]
        body["private_prefix"] = f"10.{20 + number}.0.0/{30 if number == 1 else 24}"
        ok(cloud.request("operator", "PUT", f"/nodes/{node['id']}", json=body))
    cloud.settle()
    placed = [cloud.instance(f"web-{number}", mode="nat")["hypervisor"] for number in range(4)]
    assert placed.count("hypervisor-1") <= 1


def test_when_those_with_room_are_silent_the_answer_can_be_tried_again(cloud: Controller) -> None:
    for agent in cloud.fleet.agents.values():
        agent.cut = True
    cloud.hear()
    answer = cloud.post("/instances", {"name": "web", "zone": "zone-a", "flavor": "small"})
    assert problem(answer) == (503, "placement.hypervisors.silent")
    assert answer.json()["retryable"]


def test_a_creation_that_fails_leaves_nothing_behind(cloud: Controller) -> None:
    for _ in range(3):
        cloud.ledger.operator.put("/quotas/red/ipv6", {"limit": 0})
    wanted = {"name": "web", "zone": "zone-a", "flavor": "small", "allocate": ["ipv4", "ipv6"]}
    operation = ok(cloud.post("/instances", wanted))
    cloud.settle()
    failed = cloud.operation(operation)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "ipam.quota.exceeded")
    assert cloud.get("/instances", "red")["items"] == []
    states = {fip["state"] for fip in cloud.ledger.red.get("/flexible-ips")["items"]}
    assert states <= {"quarantined"}
    used = {node["used"]["VCPU"] for node in cloud.get("/nodes", role="hypervisor")["items"]}
    assert used == {0}
    ok(cloud.ledger.operator.put("/quotas/red/ipv6", {"limit": 5}))
    cloud.instance("web", allocate=["ipv4", "ipv6"])


def test_two_addresses_of_one_family_can_be_asked_for(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4", "ipv4"])
    assert len({address["prefix"] for address in web["port"]["addresses"]}) == 2


def test_a_prefix_that_guests_hold_addresses_of_stays_with_its_node(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat")
    node = next(n for n in cloud.get("/nodes")["items"] if n["name"] == web["hypervisor"])
    body = {key: node[key] for key in ("name", "zone", "role", "agent_url", "endpoint", "legacy_prefix")}
    answer = cloud.request("operator", "PUT", f"/nodes/{node['id']}", json=body | {"private_prefix": "10.99.0.0/24"})
    assert problem(answer) == (409, "placement.node.prefix_in_use")


def test_a_target_whose_instance_is_gone_is_taken_back(cloud: Controller) -> None:
    web = cloud.instance("web")
    ok(cloud.request("red", "DELETE", f"/instances/{web['id']}"))
    cloud.settle()
    body = {"project": "red", "zone": "zone-a", "name": "web"}
    ok(cloud.ledger.service.put(f"/targets/instance/{web['id']}", body))  # by a worker that had stalled
    fip = cloud.ledger.red.reserve()
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": web["id"]})
    cloud.settle()
    assert cloud.ledger.red.fip(fip["id"])["state"] == "reserved"


def test_an_older_reading_of_the_pools_changes_nothing(cloud: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    ipam = cloud.reconciler._ipam
    old = list(ipam.pools("zone-a"))
    pool = next(p for p in cloud.ledger.operator.get("/pools")["items"] if p["family"] == "ipv4")
    ok(cloud.ledger.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": "198.18.32.0/24"}))
    cloud.sweep()
    monkeypatch.setattr(ipam, "pools", lambda _zone: old)
    cloud.reconciler.pools()
    monkeypatch.undo()
    cloud.settle()
    assert "198.18.32.0/24" in cloud.fleet["gateway-1"].announces()


def test_a_sweep_rings_for_no_node_that_is_silent(cloud: Controller) -> None:
    agent = cloud.fleet["hypervisor-1"]
    agent.cut = True
    cloud.hear()
    cloud.node("hypervisor-4", "hypervisor", 24)  # a new peer for all
    cloud.lose_bells()
    cloud.reconciler.sweep()
    assert (bells.NODE, (str(agent.id),)) not in cloud.rung


def test_a_creation_refused_by_one_worker_is_not_taken_on_by_another(
    cloud: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers register at once; one is refused. Whatever the other was told, nothing of the creation stays."""
    cloud.ledger.operator.put("/quotas/red/ipv4", {"limit": 0})
    operation = ok(cloud.post("/instances", {"name": "web", "zone": "zone-a", "flavor": "small", "allocate": ["ipv4"]}))
    progress = cloud.reconciler.progress
    undo = placement_ledger.undo

    def undo_after_another_register(*arguments: Any) -> None:
        monkeypatch.setattr(placement_ledger, "undo", undo)
        cloud.ledger.operator.put("/quotas/red/ipv4", {"limit": 5})
        progress.take(operation["id"])  # the other worker, to whom nothing stands in the way any more
        undo(*arguments)

    monkeypatch.setattr(placement_ledger, "undo", undo_after_another_register)
    cloud.settle()
    failed = cloud.operation(operation)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "ipam.quota.exceeded")
    assert cloud.get("/instances", "red")["items"] == []
    assert all(agent.announces().keys() <= {"198.18.16.0/24"} | own(agent) for agent in cloud.fleet.agents.values())


def own(agent: Agent) -> set[str]:
    """What a hypervisor announces whatever runs on it."""
    return {prefix for prefix in agent.announces() if prefix.startswith("10.") or prefix.endswith("::/48")}


def test_an_address_that_came_and_went_before_its_instance_is_created_holds_nobody_up(cloud: Controller) -> None:
    """The creation waits until the address has left its own target, and that waits for nobody."""
    fip = cloud.ledger.red.reserve()
    wanted = {"name": "web", "zone": "zone-a", "flavor": "small", "addresses": [fip["id"]]}
    operation = ok(cloud.post("/instances", wanted))
    target = {"kind": "instance", "id": operation["resource"].rsplit("/", 1)[1]}
    body = {"project": "red", "zone": "zone-a", "name": "web"}
    ok(cloud.ledger.service.put(f"/targets/instance/{target['id']}", body))
    cloud.ledger.red.attach(fip, target)
    ok(cloud.ledger.red.post(f"/flexible-ips/{fip['id']}:detach", {}))
    cloud.settle()
    cloud.sweep()
    assert cloud.operation(operation)["state"] == "succeeded"
    assert cloud.ledger.red.fip(fip["id"])["state"] == "attached"


@pytest.mark.parametrize(("waiting", "rung"), [(0, True), (7, False)])
def test_a_sweep_rings_for_ports_only_when_none_of_their_wake_ups_waits(
    cloud: Controller, waiting: int, rung: bool
) -> None:
    web = cloud.instance("web", mode="routed")
    fip = cloud.ledger.red.reserve()
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": web["id"]})
    cloud.lose_bells()
    cloud.queued = waiting
    cloud.reconciler.sweep()
    assert (bells.ADDRESS_SET in {name for name, _ in cloud.rung}) is rung
