"""A port leaves the central NAT and comes back, its guest undisturbed, its addresses kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dataplane.entries import HostNat
from services.placement.conversion.steps import SETTLE_S, Stage
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok, problem

STAGES = [stage.name.lower() for stage in Stage]


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def run(cloud: Controller, instance: Any, verb: str) -> Any:
    """Ask for a conversion and run it to its end; time passes where nothing else is missing."""
    return cloud.act(instance, verb, who="red")


def public(instance: Any) -> str:
    prefix: str = instance["port"]["addresses"][0]["prefix"]
    return prefix.removesuffix("/32")


def rewrites(cloud: Controller) -> dict[str, tuple[str, str, bool]]:
    """By hypervisor: public address, private one, and whether it rewrites outbound too."""
    return {
        agent.name: (str(row.public), str(row.private), row.outbound)
        for agent in cloud.fleet.agents.values()
        for row in agent.kernel.table(HostNat).values()
    }


def kernels(cloud: Controller) -> dict[str, Any]:
    """Everything every kernel holds, but for sequences: what must be the same after there and back."""
    return {
        agent.name: {kind.__name__: sorted(map(str, rows.values())) for kind, rows in agent.kernel.rows.items() if rows}
        for agent in cloud.fleet.agents.values()
    }


def test_there_and_back_again_leaves_everything_as_it_was(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    public = web["port"]["addresses"][0]
    private = next(a["host"].split("/")[0] for a in web["port"]["addresses"] if a["prefix"].startswith("10."))
    address = public["host"].split("/")[0]
    before = kernels(cloud)

    done = run(cloud, web, "convert")
    assert done["state"] == "succeeded", done
    assert [step["name"] for step in done["steps"]] == [*STAGES, "verified", "done"]
    assert cloud.show(web)["port"]["mode"] == "hostnat"
    assert rewrites(cloud) == {web["hypervisor"]: (address, private, True)}
    assert cloud.holders(public["prefix"]) == {web["hypervisor"]: 1}
    assert cloud.fleet["gateway-1"].maps() == cloud.fleet["gateway-2"].maps() == {}

    back = run(cloud, web, "revert")
    assert back["state"] == "succeeded", back
    assert cloud.show(web)["port"]["mode"] == "nat"
    assert kernels(cloud) == before


def test_a_converted_instance_moves_with_all_its_addresses(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    run(cloud, web, "convert")
    before = {address["prefix"] for address in web["port"]["addresses"]}
    cloud.act(web, "move", {"to": "hypervisor-3"})
    moved = cloud.show(web)
    assert moved["hypervisor"] == "hypervisor-3"
    assert {address["prefix"] for address in moved["port"]["addresses"]} == before
    assert all(cloud.holders(prefix) == {"hypervisor-3": cloud.holders(prefix)["hypervisor-3"]} for prefix in before)

    assert run(cloud, web, "revert")["state"] == "succeeded"
    assert cloud.show(web)["hypervisor"] == "hypervisor-3"
    assert {address["prefix"] for address in cloud.show(web)["port"]["addresses"]} == before
    private = next(address for address in before if address.startswith("10."))
    assert cloud.fleet["gateway-1"].maps()[public(web)] == private.removesuffix("/32")


def test_a_converted_instance_is_deleted_with_all_that_it_held(cloud: Controller) -> None:
    before = kernels(cloud)
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    run(cloud, web, "convert")
    operation = ok(cloud.request("red", "DELETE", f"/instances/{web['id']}"))
    cloud.settle()
    assert cloud.operation(operation)["state"] == "succeeded"
    assert kernels(cloud) == before
    assert cloud.contents()["node_address"] == []


def test_an_archived_instance_is_converted_and_not_started(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    cloud.act(web, "stop", who="red")
    assert run(cloud, web, "convert")["state"] == "succeeded"
    shown = cloud.show(web)
    assert (shown["state"], shown["port"]["mode"]) == ("archived", "hostnat")
    assert cloud.act(web, "start", who="red")["state"] == "succeeded"
    started = cloud.show(web)
    assert started["port"]["mode"] == "routed", "its guest takes the address itself at its next start"
    assert rewrites(cloud) == {}
    assert cloud.holders(f"{public(web)}/32") == {started["hypervisor"]: 1}


def test_a_restart_makes_a_converted_guest_take_its_address_where_it_is(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    assert cloud.act(web, "restart", who="red")["state"] == "succeeded"
    assert cloud.show(web)["port"]["mode"] == "nat", "one that is not converted stays as it is"
    run(cloud, web, "convert")
    assert cloud.act(web, "restart", who="red")["state"] == "succeeded"
    started = cloud.show(web)
    assert (started["port"]["mode"], started["hypervisor"]) == ("routed", web["hypervisor"])
    cloud.ledger.red.attach(cloud.ledger.red.reserve(), {"kind": "instance", "id": web["id"]})
    cloud.settle()
    assert len(cloud.show(web)["port"]["addresses"]) == 2, "the ledger knows that it takes more addresses now"


def test_outbound_and_mapping_wait_for_an_edge_that_does_not_answer(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    cloud.fleet["edge"].cut = True
    operation = cloud.act(web, "convert", who="red")
    cloud.sweep()
    assert cloud.operation(operation)["state"] != "succeeded"
    assert cloud.fleet["gateway-1"].maps() != {}
    assert not any(outbound for _, _, outbound in rewrites(cloud).values())


def test_an_address_that_comes_while_a_port_settles_keeps_its_mapping_for_that_long_too(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat")
    mapped: list[int] = []

    def sleep(seconds: float) -> None:
        mapped.append(len(cloud.fleet["gateway-1"].maps()))
        if len(mapped) == 1:
            raise KeyboardInterrupt  # the worker dies, with nothing missing but time
        cloud.pass_time(seconds)

    cloud.reconciler = cloud.another(sleep=sleep)
    operation = ok(cloud.post(f"/instances/{web['id']}:convert"))
    with pytest.raises(KeyboardInterrupt):
        cloud.settle()
    cloud.pass_time(SETTLE_S)
    cloud.ledger.red.attach(cloud.ledger.red.reserve(), {"kind": "instance", "id": web["id"]})
    cloud.settle()
    assert cloud.operation(operation)["state"] == "succeeded"
    assert mapped == [0, 1]
    assert cloud.fleet["gateway-1"].maps() == {}


def test_a_port_in_a_move_is_not_switched_and_one_that_is_switched_does_not_move(cloud: Controller) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    ok(cloud.post(f"/instances/{web['id']}:convert"))
    refused = cloud.post(f"/instances/{web['id']}:move", {}, "operator")
    assert problem(refused) == (409, "placement.instance.busy")
    assert "instance" in refused.json()["detail"] or refused.json()["retryable"]


@pytest.mark.parametrize(
    ("mode", "addresses", "verb", "code"),
    [
        ("routed", ["ipv4"], "convert", "placement.conversion.mode"),
        ("nat", ["ipv4"], "revert", "placement.conversion.mode"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_changes(
    cloud: Controller, mode: str, addresses: list[str], verb: str, code: str
) -> None:
    web = cloud.instance("web", mode=mode, allocate=addresses)
    before = cloud.contents()
    assert problem(cloud.post(f"/instances/{web['id']}:{verb}")) == (409, code)
    assert cloud.contents() == before


def test_mode_hostnat_cannot_be_asked_for(cloud: Controller) -> None:
    body = {"name": "web", "zone": "zone-a", "flavor": "small", "mode": "hostnat"}
    assert problem(cloud.post("/instances", body)) == (422, "placement.instance.mode")
