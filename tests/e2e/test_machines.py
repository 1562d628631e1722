"""Machines that fall silent, die and come back: what is said of them, and what their addresses do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from godwit_client.placement.models import Instance, Mode, Node

from cloud.failures import figures
from cloud.failures.operator import OnCall
from cloud.operations import Network
from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts
from cloud.tour.watch import probing
from tests.e2e.conftest import answers, eventually

HOST = "hypervisor-1"
EDGE_KEEPS_S = 30.0  # routes of who fell silent, in case it is only a routing daemon that restarts


@pytest.fixture
def on_call(customer: Customer) -> OnCall:
    return OnCall(customer)


@pytest.fixture
def guests(site: LocalSite, customer: Customer, project: str) -> Iterator[list[Instance]]:
    """A routed one with both families, and one behind the NAT, on one host; which is sound again afterwards."""
    routed = [customer.reserve(pool) for pool in ("public", "public-v6")]
    yield [
        customer.create(f"{project}-routed", Mode.ROUTED, routed, HOST),
        customer.create(f"{project}-nat", Mode.NAT, [customer.reserve("public")], HOST),
    ]
    site.power(HOST, on=True)
    on_call = OnCall(customer)
    if on_call.node(HOST).fence:
        customer.done(on_call.unfence(HOST))
    eventually(lambda: is_well(on_call.node(HOST)), f"{HOST} is well again")


def is_well(node: Node) -> bool:
    return (node.condition.value, node.fabric.value if node.fabric else "up", node.fenced) == ("up", "up", False)


def public(guests: Sequence[Instance]) -> list[str]:
    return [host for guest in guests for version in (4, 6) for host in hosts(guest, version)]


def all_answer(site: LocalSite, guests: Sequence[Instance]) -> bool:
    return all(answers(site, host) for host in public(guests))


def lost(logs: Path, name: str) -> int:
    seen = figures.loss(logs, name)
    assert seen.sent > 100
    return seen.lost


@pytest.mark.parametrize(
    ("networks", "condition", "fabric", "works"),
    [
        (["management"], "unreachable", "up", True),
        (["fabric"], "up", "unreachable", False),
        (["fabric", "management"], "unreachable", "unreachable", False),
    ],
)
def test_a_cut_is_told_and_moves_nothing(
    site: LocalSite,
    customer: Customer,
    on_call: OnCall,
    guests: list[Instance],
    networks: list[Network],
    condition: str,
    fabric: str,
    works: bool,
) -> None:
    eventually(lambda: all_answer(site, guests), "all addresses answer")
    site.cut(HOST, networks)
    try:

        def told() -> bool:
            node = on_call.node(HOST)
            return (node.condition.value, node.fabric.value if node.fabric else None) == (condition, fabric)

        eventually(told, f"{HOST} is told to be {condition}, and {fabric} in the fabric", EDGE_KEEPS_S + 30)
        assert all_answer(site, guests) is works
        assert {customer.instance(guest.id).hypervisor for guest in guests} == {HOST}
    finally:
        site.heal(HOST, networks)
    eventually(lambda: all_answer(site, guests), "all addresses answer where they were")
    assert {customer.instance(guest.id).hypervisor for guest in guests} == {HOST}


@pytest.mark.parametrize("returns", ["before", "during", "after"])
def test_a_dead_host_that_returns_takes_nothing_back(
    site: LocalSite, customer: Customer, on_call: OnCall, guests: list[Instance], logs: Path, returns: str
) -> None:
    site.power(HOST, on=False)
    customer.done(on_call.fence(HOST, "switched off by its supervisor"))
    if returns == "before":
        site.power(HOST, on=True)
    evacuation = on_call.evacuate(HOST)
    if returns == "during":
        site.power(HOST, on=True)
    customer.done(evacuation)
    eventually(lambda: all_answer(site, guests), "all addresses answer elsewhere")
    assert HOST not in {customer.instance(guest.id).hypervisor for guest in guests}

    with probing(site, logs, "returned", public(guests), sample_legs=False) as watch:
        if returns == "after":
            site.power(HOST, on=True)
        customer.done(on_call.unfence(HOST))
        watch.let_run(1.0)
    assert lost(logs, "returned") == 0
    eventually(lambda: is_well(on_call.node(HOST)), f"{HOST} is well")


def test_a_host_that_returns_cut_off_from_management_stays_fenced(
    site: LocalSite, customer: Customer, on_call: OnCall, guests: list[Instance], logs: Path
) -> None:
    site.power(HOST, on=False)
    customer.done(on_call.fence(HOST, "switched off by its supervisor"))
    customer.done(on_call.evacuate(HOST))
    eventually(lambda: all_answer(site, guests), "all addresses answer elsewhere")

    with probing(site, logs, "returned", public(guests), sample_legs=False) as watch:
        site.power(HOST, on=True)
        site.cut(HOST, ["management"])
        site.wait_running(site.agent(HOST))
        unfence = on_call.unfence(HOST)
        eventually(lambda: on_call.waits_for(unfence) == "node.withdrawal", "its withdrawal is waited for")
        watch.let_run(2.0)
        assert on_call.node(HOST).fenced
        site.heal(HOST, ["management"])
        customer.done(unfence)
        watch.let_run(1.0)
    assert lost(logs, "returned") == 0
