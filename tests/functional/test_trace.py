"""Traces of addresses: what kernels lost or got is named, what explains itself is told so, what is well is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import Any
from uuid import UUID

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Anchor, Blackhole, Entry, Forward, GuardAddress, GuardPort, HostNat, Inbound, Leg
from services.netagent import wire as agent_wire
from tests.functional.controller import Agent, Controller, running
from tests.functional.ledger import Ledger, ok, problem


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def addresses_of(instance: Any) -> list[str]:
    return [one["prefix"].removesuffix("/32") for one in instance["port"]["addresses"]]


def public_of(instance: Any) -> str:
    return next(one["prefix"] for one in instance["port"]["addresses"] if one["flexible_ip"]).removesuffix("/32")  # type: ignore[no-any-return]


def trace(cloud: Controller, address: str) -> Any:
    return cloud.get("/trace", address=address)


def codes(found: Any) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


def host_of(cloud: Controller, instance: Any) -> Agent:
    return cloud.fleet[instance["hypervisor"]]


def link_of(agent: Agent) -> str:
    """The only guest's."""
    (leg,) = agent.kernel.table(Leg).values()
    return leg.link


# --- what is well ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nat", "routed", "isolated"])
def test_of_an_address_that_is_well_nothing_is_found(cloud: Controller, mode: str) -> None:
    wanted = {"nat": ["ipv4"], "routed": ["ipv4", "ipv6"], "isolated": []}[mode]
    web = cloud.instance("web", mode=mode, allocate=wanted)

    for address in addresses_of(web):
        found = trace(cloud, address)
        assert (found["findings"], found["verdict"]) == ([], "as_asked"), found
        assert found["inbound"]["arrives"] is found["outbound"]["arrives"] is True
        assert found["inbound"]["places"][-1] == "web"
        assert all(step["agrees"] is not False for step in found["steps"])
    reached = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")
    assert {one["address"] for one in reached["addresses"]} == set(addresses_of(web))
    assert all(one["inbound"] and one["outbound"] and not one["findings"] for one in reached["addresses"])


def test_a_host_within_an_ipv6_prefix_is_traced_as_the_prefix(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv6"])
    host = cloud.ledger.red.fip(web["port"]["addresses"][0]["flexible_ip"])["interface_id"]

    assert trace(cloud, host)["address"] == public_of(web)


@pytest.fixture
def between(cloud: Controller, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[Any]]:
    """Has every address of an instance traced whenever a node has taken what it was sent; what was found."""
    apply = Agent.apply

    def watch(instance: Any) -> list[Any]:
        found: list[Any] = []

        def traced(agent: Agent, message: agent_wire.Snapshot | agent_wire.Delta) -> agent_wire.Realized:
            realized = apply(agent, message)
            found.extend(trace(cloud, address) for address in addresses_of(cloud.show(instance)))
            return realized

        monkeypatch.setattr(Agent, "apply", traced)
        return found

    return watch


@pytest.mark.parametrize(("mode", "families"), [("nat", ["ipv4"]), ("routed", ["ipv4", "ipv6"])])
def test_at_no_step_of_a_move_is_anything_called_drift(
    cloud: Controller, between: Callable[[Any], list[Any]], mode: str, families: list[str]
) -> None:
    web = cloud.instance("web", mode=mode, allocate=families)
    found = between(web)

    assert cloud.act(web, "move")["state"] == "succeeded"

    assert {one["verdict"] for one in found} == {"changing"}, found
    steps = {f["text"].partition(" at ")[2] for one in found for f in one["findings"] if f["code"] == "port.claimed"}
    assert {step.partition(";")[0] for step in steps} == {"prepare", "switch", "announce", "withdraw"}


@pytest.mark.parametrize("mode", ["nat", "routed"])
def test_while_it_stops_and_starts_nothing_is_called_drift(
    cloud: Controller, between: Callable[[Any], list[Any]], mode: str
) -> None:
    web = cloud.instance("web", mode=mode, allocate=["ipv4"])
    found = between(web)

    for verb in ("restart", "stop", "start"):
        assert cloud.act(web, verb)["state"] == "succeeded"

    assert found
    assert {finding["nature"] for one in found for finding in one["findings"]} == {"state"}, found


def test_at_no_step_of_a_conversion_is_anything_called_drift(
    cloud: Controller, between: Callable[[Any], list[Any]]
) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    answering(cloud, web)
    found = between(web)

    for verb in ("convert", "revert"):
        assert cloud.act(web, verb)["state"] == "succeeded"

    assert {one["verdict"] for one in found} == {"changing"}, found
    assert {code for one in found for code in codes(one)} == {"port.claimed", "agent.behind"}


def answering(cloud: Controller, instance: Any) -> None:
    cloud.fleet.answering |= {one["host"].partition("/")[0] for one in instance["port"]["addresses"]}


def test_of_a_converted_address_that_moved_nothing_is_found(cloud: Controller) -> None:
    web = hostnat(cloud)
    cloud.act(web, "move")

    for address in addresses_of(cloud.show(web)):
        assert (codes(trace(cloud, address)), trace(cloud, address)["verdict"]) == ([], "as_asked")


def hostnat(cloud: Controller) -> Any:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    answering(cloud, web)
    assert cloud.act(web, "convert")["state"] == "succeeded"
    return cloud.show(web)


# --- drift -----------------------------------------------------------------------------------------------------------


def lose_route(cloud: Controller, web: Any) -> None:
    host_of(cloud, web).kernel.remove(Forward, ip_network(public_of(web)))


def lose_announcement(cloud: Controller, web: Any) -> None:
    kernel = host_of(cloud, web).kernel
    (anchor,) = [row for row in kernel.table(Anchor).values() if row.prefix == ip_network(public_of(web))]
    kernel.remove(Anchor, anchor.key)


def mislead_route(cloud: Controller, web: Any) -> None:
    agent = host_of(cloud, web)
    agent.kernel.alter(Forward(ip_network(public_of(web)), link_of(agent), "06:00:00:00:00:99"))


def change_sequence(cloud: Controller, web: Any) -> None:
    lose_announcement(cloud, web)
    host_of(cloud, web).kernel.alter(Anchor(ip_network(public_of(web)), 77))


def second_sequence(cloud: Controller, web: Any) -> None:
    host_of(cloud, web).kernel.alter(Anchor(ip_network(public_of(web)), 77))


def close_guard(cloud: Controller, web: Any) -> None:
    agent = host_of(cloud, web)
    agent.kernel.remove(GuardPort, link_of(agent))


def close_guard_to_it(cloud: Controller, web: Any) -> None:
    agent = host_of(cloud, web)
    agent.kernel.remove(GuardAddress, (link_of(agent), ip_network(public_of(web))))


def take_link_down(cloud: Controller, web: Any) -> None:
    """As the guest's end of it goes down: it hears no leg any more."""
    agent = host_of(cloud, web)
    (leg,) = agent.kernel.table(Leg).values()
    cloud.fleet.world.hears[leg.guest] = None


def remove_link(cloud: Controller, web: Any) -> None:
    agent = host_of(cloud, web)
    agent.kernel.remove(Leg, link_of(agent))


def announce_elsewhere(cloud: Controller, web: Any) -> None:
    """With the same sequence: the edge shares it among both."""
    prefix = ip_network(public_of(web))
    (sequence,) = [row.sequence for row in host_of(cloud, web).kernel.table(Anchor).values() if row.prefix == prefix]
    other_host(cloud, web).kernel.alter(Anchor(prefix, sequence))


def steal(cloud: Controller, web: Any) -> None:
    """With a higher one: the edge sends it there alone."""
    other_host(cloud, web).kernel.alter(Anchor(ip_network(public_of(web)), 99))


def other_host(cloud: Controller, web: Any) -> Agent:
    return next(a for a in cloud.fleet.agents.values() if a.role == "hypervisor" and a.name != web["hypervisor"])


def unconfigure_guest(cloud: Controller, web: Any) -> None:  # noqa: ARG001  the only guest
    for held in cloud.fleet.world.addresses.values():
        held.clear()


def discard_at_edge(cloud: Controller, web: Any) -> None:
    cloud.fleet["edge"].kernel.alter(Blackhole(ip_network(public_of(web))))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("seed", "code"),
    [
        (lose_route, "route.missing"),
        (mislead_route, "route.missing"),
        (lose_announcement, "route.missing"),
        (change_sequence, "sequence.wrong"),
        (second_sequence, "sequence.wrong"),
        (close_guard, "guard.closed"),
        (close_guard_to_it, "guard.closed"),
        (take_link_down, "link.down"),
        (remove_link, "link.down"),
        (announce_elsewhere, "announcer.second"),
        (steal, "announcer.second"),
        (unconfigure_guest, "guest.unconfigured"),
        (discard_at_edge, "edge.apart"),
    ],
)
def test_a_drift_is_named_alone_and_is_gone_when_it_is_mended(
    cloud: Controller, seed: Callable[[Controller, Any], None], code: str, family: str
) -> None:
    web = cloud.instance("web", mode="routed", allocate=[family])
    seed(cloud, web)

    found = trace(cloud, public_of(web))
    assert codes(found) == [code], found
    (finding,) = found["findings"]
    assert (finding["nature"], found["verdict"]) == ("drift", "differs")
    assert finding["remedy"]
    assert found["inbound"]["arrives"] is (code == "sequence.wrong")
    (reached,) = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")["addresses"]
    assert (reached["inbound"], reached["findings"]) == (found["inbound"]["arrives"], found["findings"])

    for agent in cloud.fleet.agents.values():
        agent.executor.repair()
    assert codes(trace(cloud, public_of(web))) == []


def lead_elsewhere(cloud: Controller, web: Any) -> None:
    cloud.fleet["gateway-2"].kernel.alter(Inbound(IPv4Address(public_of(web)), IPv4Address("10.99.0.9")))


def lose_mapping(cloud: Controller, web: Any) -> None:
    cloud.fleet["gateway-2"].kernel.remove(Inbound, IPv4Address(public_of(web)))


@pytest.mark.parametrize("seed", [lead_elsewhere, lose_mapping])
def test_a_stale_mapping_of_a_gateway_is_named(cloud: Controller, seed: Callable[[Controller, Any], None]) -> None:
    web = cloud.instance("web", mode="nat", allocate=["ipv4"])
    seed(cloud, web)

    found = trace(cloud, public_of(web))

    assert codes(found) == ["nat.stale"]
    assert found["findings"][0]["place"] == "gateway-2"


def test_a_mapping_that_is_left_over_is_named(cloud: Controller) -> None:
    """Whoever the address is given to, packets for it would go to whom it leads."""
    fip = cloud.ledger.red.reserve()
    lead_elsewhere(cloud, {"port": {"addresses": [{"prefix": f"{fip['address']}/32", "flexible_ip": fip["id"]}]}})

    assert codes(trace(cloud, fip["address"])) == ["nat.stale", "address.reserved"]


def test_a_stale_rewrite_of_a_converted_port_is_named(cloud: Controller) -> None:
    web = hostnat(cloud)
    agent = host_of(cloud, web)
    agent.kernel.remove(HostNat, link_of(agent))

    assert codes(trace(cloud, public_of(web))) == ["nat.stale"]


def test_a_reserved_address_that_somebody_announces_is_named(cloud: Controller) -> None:
    fip = cloud.ledger.red.reserve()
    cloud.fleet["hypervisor-3"].kernel.alter(Anchor(ip_network(fip["address"]), 1))

    found = trace(cloud, fip["address"])

    assert codes(found) == ["announcer.second", "address.reserved"]
    assert "hypervisor-3" in found["findings"][0]["text"]


def test_two_drifts_are_both_named(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    lose_route(cloud, web)
    second_sequence(cloud, web)

    assert sorted(codes(trace(cloud, public_of(web)))) == ["route.missing", "sequence.wrong"]


def test_another_addresss_drift_is_none_of_this_one(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4", "ipv6"])
    four, six = addresses_of(web)
    lose_route(cloud, web)

    assert codes(trace(cloud, four)) == ["route.missing"]
    assert codes(trace(cloud, six)) == []
    reached = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")["addresses"]
    assert {one["address"]: (one["inbound"], codes(one)) for one in reached} == {
        four: (False, ["route.missing"]),
        six: (True, []),
    }


def test_an_address_that_is_not_there_yet_is_not_reached(cloud: Controller) -> None:
    """Its node answers, and has not been told."""
    web = cloud.instance("web", mode="routed", allocate=["ipv6"])
    fip = cloud.ledger.red.reserve()
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": web["id"]})
    cloud.reconciler.sets.fetch("instance", UUID(web["id"]))

    reached = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")["addresses"]

    by_address = {one["address"]: one for one in reached}
    assert sorted(codes(by_address[fip["address"]])) == ["address.changing", "agent.behind"]
    assert by_address[fip["address"]]["verdict"] == "changing"
    assert (by_address[fip["address"]]["inbound"], by_address[fip["address"]]["outbound"]) == (False, False)
    assert by_address[public_of(web)]["inbound"] is True


# --- states ----------------------------------------------------------------------------------------------------------


def test_a_reserved_and_a_released_address_are_told_so(cloud: Controller) -> None:
    pool = cloud.ledger.pool("resting", "198.18.77.0/24", zone=cloud.zone, quarantine_seconds=600)
    cloud.sweep()
    fip = cloud.ledger.red.reserve(pool=pool["name"])
    assert codes(trace(cloud, fip["address"])) == ["address.reserved"]

    ok(cloud.ledger.red.delete(f"/flexible-ips/{fip['id']}"))
    found = trace(cloud, fip["address"])
    assert (codes(found), found["verdict"]) == (["address.quarantined"], "not_served")

    assert codes(trace(cloud, "198.18.77.200")) == ["address.free"]


@pytest.mark.parametrize("mode", ["nat", "routed"])
def test_the_address_of_an_archived_instance_is_told_so(cloud: Controller, mode: str) -> None:
    web = cloud.instance("web", mode=mode, allocate=["ipv4"])
    cloud.act(web, "stop", who="red")

    found = trace(cloud, public_of(web))

    assert (codes(found), found["verdict"]) == (["address.archived"], "not_served")
    (reached,) = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")["addresses"]
    assert reached["inbound"] is False


def test_a_node_that_is_behind_is_told_and_what_it_withholds_is_no_drift(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    host_of(cloud, web).cut = True
    fip = cloud.ledger.red.reserve()
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": web["id"]})
    cloud.settle()

    found = trace(cloud, fip["address"])

    assert sorted(codes(found)) == ["address.changing", "agent.behind", "agent.silent"]
    assert found["verdict"] == "unknown"


def test_a_frozen_address_is_told_so(cloud: Controller) -> None:
    one, two = (cloud.instance(f"web-{number}") for number in (1, 2))
    red = cloud.ledger.red
    fip = red.reserve(kind="failover")
    listed = [{"target": {"kind": "instance", "id": i["id"]}, "priority": p} for i, p in ((one, 200), (two, 100))]
    ok(red.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed}))
    ok(red.put(f"/flexible-ips/{fip['id']}/health-check", {"protocol": "icmp", "hold_down_s": 0}))
    red.attach(fip, {"kind": "instance", "id": one["id"]})
    cloud.settle()
    for number in range(5):
        source, to = (one, two) if number % 2 == 0 else (two, one)
        body = {"from": {"kind": "instance", "id": source["id"]}, "to": {"kind": "instance", "id": to["id"]}}
        ok(cloud.ledger.service.post(f"/flexible-ips/{fip['id']}:failover", {**body, "cause": "health"}))
        cloud.settle()

    found = trace(cloud, fip["address"])

    assert codes(found) == ["address.frozen"]
    assert found["verdict"] == "as_asked", "it is reached all the same"


def test_a_fenced_node_is_told_so_and_its_silence_is_not(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    agent = host_of(cloud, web)
    agent.cut = True
    evidence = {"evidence": {"kind": "operator", "ref": "pulled the plug"}}
    ok(cloud.post(f"/nodes/{agent.id}:fence", evidence, who="operator"))
    cloud.settle()

    found = trace(cloud, public_of(web))

    assert (codes(found), found["verdict"]) == (["node.fenced"], "not_served")
    (reached,) = cloud.get(f"/ports/{web['port']['id']}/reachability", who="red")["addresses"]
    assert "pulled the plug" not in str(reached), "the evidence is the operators'"


def test_an_address_that_is_fenced_from_a_node_is_told_so(cloud: Controller) -> None:
    one, two = (cloud.instance(f"web-{number}") for number in (1, 2))
    red = cloud.ledger.red
    fip = red.reserve()
    red.attach(fip, {"kind": "instance", "id": one["id"]})
    cloud.settle()
    host_of(cloud, one).cut = True
    cloud.hear()
    ends = {"from": {"kind": "instance", "id": one["id"]}, "to": {"kind": "instance", "id": two["id"]}}
    ok(red.post(f"/flexible-ips/{fip['id']}:move", ends))
    cloud.settle()
    cloud.sweep()

    found = trace(cloud, fip["address"])

    assert "address.fenced" in codes(found)
    assert found["verdict"] == "as_asked", found["findings"]
    assert found["inbound"]["places"][-2:] == [two["hypervisor"], "web-2"]


# --- who does not answer ---------------------------------------------------------------------------------------------


def test_what_others_say_counts_while_an_agent_is_silent(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    host_of(cloud, web).cut = True

    found = trace(cloud, public_of(web))
    assert (codes(found), found["verdict"]) == (["agent.silent"], "unknown")
    assert found["inbound"]["arrives"] is None
    assert [step["seen"] for step in found["steps"] if step["part"] == "edge_route"] == [web["hypervisor"]]

    steal(cloud, web)
    assert codes(trace(cloud, public_of(web))) == ["announcer.second", "agent.silent"]


def test_a_gateway_that_has_no_part_in_an_address_may_be_silent(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    cloud.fleet["gateway-1"].cut = True

    assert trace(cloud, public_of(web))["verdict"] == "as_asked"


def test_without_the_edge_it_is_not_known_where_packets_go(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    cloud.fleet["edge"].cut = True

    found = trace(cloud, public_of(web))

    assert (codes(found), found["inbound"]["arrives"]) == (["agent.silent"], None)


def test_what_a_kernel_refuses_is_told(cloud: Controller) -> None:
    web = cloud.instance("web", mode="routed", allocate=["ipv4"])
    fip = cloud.ledger.red.reserve()

    def refuse(row: Entry) -> None:
        if isinstance(row, Anchor) and str(row.prefix) == f"{fip['address']}/32":
            raise DriverError("route.foreign", "another owner has it")

    host_of(cloud, web).kernel.refuse = refuse
    cloud.ledger.red.attach(fip, {"kind": "instance", "id": web["id"]})
    cloud.settle()

    found = trace(cloud, fip["address"])

    assert codes(found) == ["route.missing", "address.changing", "agent.failing"]
    assert "another owner has it" in found["findings"][2]["text"]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("203.0.113.9", 404, "placement.address.unknown"),
        ("2001:db8:ffff::1", 404, "placement.address.unknown"),
        ("web", 422, "placement.address.malformed"),
        ("198.18.16.0/24", 422, "placement.address.malformed"),
        ("198.18.16.7/33", 422, "placement.address.malformed"),
        ("fe80::1%eth0", 422, "placement.address.malformed"),
        ("", 422, "request.parameter"),
    ],
)
def test_what_is_no_address_of_ours_is_refused(cloud: Controller, address: str, status: int, code: str) -> None:
    assert problem(cloud.request("operator", "GET", "/trace", params={"address": address})) == (status, code)


def test_a_trace_needs_an_address_and_the_role(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    assert problem(cloud.request("operator", "GET", "/trace")) == (422, "request.invalid")
    asked = cloud.request("red", "GET", "/trace", params={"address": public_of(web)})
    assert problem(asked) == (403, "auth.role_missing")


def test_reachability_is_its_owners_and_the_operators_alone(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    path = f"/ports/{web['port']['id']}/reachability"

    assert cloud.request("red", "GET", path).is_success
    assert cloud.request("operator", "GET", path).is_success
    assert problem(cloud.request("blue", "GET", path)) == (404, "placement.port.unknown")
    nothing = "/ports/0192f0c1-7c1e-7c52-9d3a-0f5e0c3b7a11/reachability"
    assert problem(cloud.request("red", "GET", nothing)) == (404, "placement.port.unknown")


def test_a_private_address_of_two_zones_needs_the_zone(cloud: Controller) -> None:
    ok(cloud.request("operator", "PUT", "/zones/zone-b", json={"region": "region-1", "stack": "dual"}))
    cloud.node("z2-hypervisor-1", "hypervisor", 21, zone="zone-b")
    cloud.sweep()

    asked = {"address": "10.21.0.9"}
    assert problem(cloud.request("operator", "GET", "/trace", params=asked)) == (409, "placement.address.ambiguous")
    assert codes(cloud.get("/trace", **asked, zone="zone-a")) == ["address.free"]
