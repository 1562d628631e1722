"""Processes are killed, the broker forgets, the kernel is altered: intent survives, and no untouched address loses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from godwit_client import is_final, read_operation
from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance, Mode
from redis import Redis

from cloud import measure, operations, processes, rawlog, state
from cloud.conversion import sabotage
from cloud.plan import Plan
from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts, link_name
from cloud.tour.watch import legs, probing
from tests.e2e.conftest import answers, eventually

ROUNDS = 3
IN_FLIGHT = 60
NODES = [node.name for node in Plan("any").nodes]
PROCESSES = [
    processes.DATABASE,
    processes.BROKER,
    processes.GUEST_HELPER,
    "ipam",
    "placement",
    "placement-poller",
    "worker",
    "beat",
    *(LocalSite.routing_daemon(node) for node in NODES),
    *(LocalSite.agent(node) for node in NODES),
]


@dataclass
class Village:
    """Two instances that nobody touches, one on each stack; one that moves, and an address that comes and goes."""

    site: LocalSite
    customer: Customer
    untouched: list[str]
    resident: Instance
    host: Instance
    mover: Instance
    floating: FlexibleIP

    def work(self) -> list[str]:
        """Start two operations: the mover moves, the floating address comes or goes. Their ids."""
        attached = self.customer.address(self.floating.id).attachment
        change = self.customer.detach(self.floating) if attached else self.customer.attach(self.floating, self.host)
        return [self.customer.move(self.mover).id, change.id]

    def settled(self, started: list[str]) -> None:
        """Wait for what was started, and see that the network does what the APIs say."""
        for operation_id in started:
            self.customer.done(read_operation(self.customer.api, operation_id))
        self.mover = self.customer.instance(self.mover.id)
        assert legs(self.site, link_name(self.mover)) == [self.mover.hypervisor]
        for address in hosts(self.mover, 4):
            eventually(lambda address=address: answers(self.site, address), f"the mover answers at {address}")  # type: ignore[misc]
        attached = self.customer.address(self.floating.id).state.value == "attached"
        eventually(
            lambda: answers(self.site, self.floating.address) == attached,
            f"{self.floating.address} {'answers' if attached else 'is silent'}",
        )


@pytest.fixture(scope="module")
def village(site: LocalSite) -> Iterator[Village]:
    project = f"v{uuid4().hex[:8]}"
    customer = Customer.of(site, project)
    nat, routed, six = customer.reserve("public"), customer.reserve("public"), customer.reserve("public-v6")
    customer.create(f"nat-{project}", Mode.NAT, [nat])
    resident = customer.create(f"routed-{project}", Mode.ROUTED, [routed, six])
    mover = customer.create(f"mover-{project}", Mode.ROUTED, [customer.reserve("public")])
    host = customer.create(f"host-{project}", Mode.ROUTED)
    untouched = [nat.address, routed.address, *hosts(resident, 6)]
    yield Village(site, customer, untouched, resident, host, mover, customer.reserve("public"))
    customer.clean(project)


def lost(logs: Path, name: str) -> dict[str, int]:
    """Probes lost, by address; how many were sent is asserted to be more than none."""
    found = {}
    for track in measure.tracks(rawlog.read(logs / f"{name}.probe", "probe")):
        loss = measure.loss(track)
        assert loss.sent > 100
        if loss.lost:
            found[track.address] = loss.lost
    return found


def recovered(site: LocalSite, process: str) -> bool:
    """Whether a killed process has found its place again: a routing daemon has its sessions, and is done recovering."""
    if not process.startswith(f"{processes.BIRD}-"):
        return True
    node = process.removeprefix(f"{processes.BIRD}-")
    control = ["birdc", "-s", str(site.paths.bird / f"{node}.ctl"), "show"]
    sessions = [line for line in site.exec(node, [*control, "protocols"]).stdout.splitlines() if " BGP " in line]
    recovering = "recovery" in site.exec(node, [*control, "status"]).stdout
    return bool(sessions) and all("Established" in line for line in sessions) and not recovering


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_killed_three_times_with_work_in_flight(process: str, village: Village, logs: Path) -> None:
    site = village.site
    with probing(site, logs, "kill", village.untouched, sample_legs=False):
        for _ in range(ROUNDS):
            started = village.work()
            killed = site.kill(process)
            assert killed is not None
            site.wait_running(process, not_pid=killed)
            village.settled(started)
            eventually(lambda: recovered(site, process), f"{process} has recovered")
    assert lost(logs, "kill") == {}


def test_the_broker_forgets_everything_with_operations_in_flight(
    site: LocalSite, customer: Customer, project: str, village: Village, logs: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: customer.reserve("public"), range(IN_FLIGHT)))
        guests = list(pool.map(lambda n: customer.create(f"g{n}-{project}", Mode.ROUTED), range(IN_FLIGHT // 5)))
    with probing(site, logs, "flush", village.untouched, sample_legs=False):
        site.kill("worker", "SIGSTOP")
        try:
            with ThreadPoolExecutor(8) as pool:
                started = list(pool.map(customer.attach, held, [guests[n // 5] for n in range(IN_FLIGHT)]))
                now = list(pool.map(lambda operation: read_operation(customer.api, operation.id), started))
            in_flight = [one for one in now if not is_final(one)]
            assert len(in_flight) >= 50

            broker = state.load(site.name).broker_password
            Redis(unix_socket_path=str(site.paths.redis_socket), password=broker).flushall()
        finally:
            site.kill("worker", "SIGCONT")
        for operation in started:
            customer.done(operation)
        for fip in held:
            eventually(lambda fip=fip: answers(site, fip.address), f"{fip.address} answers")  # type: ignore[misc]
    assert lost(logs, "flush") == {}


FORWARDING, ANNOUNCEMENTS = "101", "100"


@pytest.mark.parametrize("table", [FORWARDING, ANNOUNCEMENTS])
@pytest.mark.parametrize("version", [4, 6])
def test_a_route_removed_behind_the_agents_back_comes_back(table: str, version: int, village: Village) -> None:
    one = village.customer.instance(village.resident.id)
    node = str(one.hypervisor)
    prefix = next(address.prefix for address in one.port.addresses if (":" in address.prefix) == (version == 6))

    def route() -> str:
        return village.site.exec(node, ["ip", f"-{version}", "route", "show", "table", table, prefix]).stdout.strip()

    before = route()
    assert before
    assert village.site.exec(node, ["ip", f"-{version}", "route", "del", prefix, "table", table]).returncode == 0
    assert route() == ""
    eventually(lambda: route() == before, f"{node} has {before} again")
    eventually(lambda: answers(village.site, hosts(one, version)[0]), "the address answers")


def test_a_flipped_nat_entry_is_seen_and_flipped_back(village: Village) -> None:
    site, gateways = village.site, village.site.nodes("gateway")
    public = village.untouched[0]
    assert answers(site, public)
    before = {node: site.log(site.agent(node)).count("node.drifted") for node in gateways}
    for node in gateways:
        sabotage.flip(site, node, public, "10.255.255.254")
    assert not answers(site, public)
    eventually(lambda: answers(site, public), f"{public} answers again")
    for node in gateways:
        eventually(
            lambda node=node: site.log(site.agent(node)).count("node.drifted") > before[node],  # type: ignore[misc]
            f"{node} said that its kernel differed",
        )


def test_a_foreign_route_is_left_alone(village: Village) -> None:
    node = str(village.customer.instance(village.resident.id).hypervisor)
    foreign = ["192.0.2.77/32", "dev", "fabric0", "table", FORWARDING, "proto", "99"]
    assert village.site.exec(node, ["ip", "route", "add", *foreign]).returncode == 0
    try:
        mine = village.customer.create(f"x-{uuid4().hex[:6]}", Mode.ROUTED, [village.customer.reserve("public")], node)
        village.customer.done(village.customer.delete(mine))
        shown = village.site.exec(node, ["ip", "-N", "route", "show", "table", FORWARDING, "192.0.2.77"]).stdout
        assert "proto 99" in shown
    finally:
        village.site.exec(node, ["ip", "route", "del", *foreign])


def test_a_cloud_beside_this_one_comes_and_goes_unnoticed(village: Village, logs: Path) -> None:
    beside = f"e2eb{os.getpid() % 100000}"
    with probing(village.site, logs, "beside", village.untouched, sample_legs=False):
        try:
            operations.up(beside, hypervisors=1, gateways=1)
            other = Customer.of(LocalSite(beside), "p")
            fip = other.reserve("public")
            other.create("web", Mode.ROUTED, [fip])
            assert answers(LocalSite(beside), fip.address)
        finally:
            operations.down(beside)
    assert lost(logs, "beside") == {}
