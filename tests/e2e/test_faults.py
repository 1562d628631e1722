"""Processes are killed, the broker forgets, the kernel is altered: intent survives, and no untouched address loses.

Every process is killed with every kind of move in flight: live ones of both modes, cold ones and failovers one process
at a time, while nobody else may lose a packet; drains and evacuations all processes at once. `test_zone_conversion`
kills who converts; `make chaos` draws more of all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from godwit_client import is_final, read_operation
from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance, Mode, MoveKind
from redis import Redis

from cloud import measure, operations, processes, rawlog, state
from cloud.conversion import sabotage
from cloud.failures.chaos import recovered
from cloud.failures.operator import OnCall
from cloud.plan import Plan
from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts, link_name
from cloud.tour.watch import legs, probing
from tests.e2e.conftest import answers, eventually

IN_FLIGHT = 60
QUIET, BUSY = "hypervisor-3", "hypervisor-1"  # whose guests stay, and from which all go
NODES = [node.name for node in Plan("any").nodes]
PROCESSES = [
    processes.DATABASE,
    processes.BROKER,
    processes.GUEST_HELPER,
    "ipam",
    "placement",
    "placement-poller",
    "worker",
    "migration-worker",
    "beat",
    *(LocalSite.routing_daemon(node) for node in NODES),
    *(LocalSite.agent(node) for node in NODES),
]
ONE_BY_ONE = [process for process in PROCESSES if not process.endswith(("gateway-2", "hypervisor-2"))]
"""Of gateways and of hypervisors with and without a resident, one each."""


@dataclass
class Village:
    """Two instances that nobody touches, one on each stack; others that move, addresses that come, go and fail over."""

    site: LocalSite
    customer: Customer
    untouched: list[str]
    resident: Instance
    host: Instance
    movers: list[Instance]  # behind the NAT, routed, and one that moves cold
    floating: FlexibleIP
    guarded: FlexibleIP

    def work(self, way: str) -> list[str]:
        """Start what is to be in flight. The operations' ids."""
        customer = self.customer
        nat, routed, cold = self.movers
        match way:
            case "live":
                return [customer.move(nat).id, customer.move(routed).id]
            case "cold":
                return [customer.move(cold, kind=MoveKind.COLD).id, customer.move(routed).id]
            case _:
                attached = customer.address(self.floating.id).attachment
                change = customer.detach(self.floating) if attached else customer.attach(self.floating, self.host)
                return [OnCall(customer).fail_over(self.guarded).id, change.id]

    def settled(self, started: list[str]) -> None:
        """Wait for what was started, and see that the network does what the APIs say."""
        for operation_id in started:
            self.customer.done(read_operation(self.customer.api, operation_id))
        for mover in map(self.customer.instance, [mover.id for mover in self.movers]):
            assert legs(self.site, link_name(mover)) == [mover.hypervisor]
            self.answer(hosts(mover, 4))
        self.answer([self.guarded.address])
        attached = self.customer.address(self.floating.id).state.value == "attached"
        eventually(
            lambda: answers(self.site, self.floating.address) == attached,
            f"{self.floating.address} {'answers' if attached else 'is silent'}",
        )

    def answer(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            eventually(lambda address=address: answers(self.site, address), f"{address} answers")  # type: ignore[misc]


@pytest.fixture(scope="module")
def village(site: LocalSite) -> Iterator[Village]:
    project = f"v{uuid4().hex[:8]}"
    customer = Customer.of(site, project)
    nat, routed, six = customer.reserve("public"), customer.reserve("public"), customer.reserve("public-v6")
    customer.create(f"nat-{project}", Mode.NAT, [nat], QUIET)
    resident = customer.create(f"routed-{project}", Mode.ROUTED, [routed, six], QUIET)
    movers = [
        customer.create(f"mover-{number}-{project}", mode, [customer.reserve("public")])
        for number, mode in enumerate((Mode.NAT, Mode.ROUTED, Mode.ROUTED))
    ]
    host = customer.create(f"host-{project}", Mode.ROUTED)
    untouched = [nat.address, routed.address, *hosts(resident, 6)]
    guarded = OnCall(customer).failover_address(host, resident)
    yield Village(site, customer, untouched, resident, host, movers, customer.reserve("public"), guarded)
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


@pytest.mark.parametrize("process", ONE_BY_ONE)
def test_a_process_killed_three_times_with_work_in_flight(process: str, village: Village, logs: Path) -> None:
    site = village.site
    with probing(site, logs, "kill", village.untouched, sample_legs=False):
        for way in ("live", "cold", "failover"):
            started = village.work(way)
            killed = site.kill(process)
            assert killed is not None
            site.wait_running(process, not_pid=killed)
            village.settled(started)
            eventually(lambda: recovered(site, process), f"{process} has recovered")
    assert lost(logs, "kill") == {}


@pytest.fixture
def crowd(village: Village, project: str) -> Iterator[list[Instance]]:
    """Of both modes, on a host that is to be emptied; which takes others again afterwards."""
    customer, on_call = Customer.of(village.site, project), OnCall(village.customer)
    yield [
        customer.create(f"crowd-{number}-{project}", mode, [customer.reserve("public")], BUSY)
        for number, mode in enumerate((Mode.ROUTED, Mode.NAT) * 3)
    ]
    customer.clean(project)
    if on_call.node(BUSY).fence:
        village.site.power(BUSY, on=True)
        customer.done(on_call.unfence(BUSY))
    else:
        on_call.undrain(BUSY)
    for process in PROCESSES:
        eventually(lambda process=process: recovered(village.site, process), f"{process} has recovered", 60.0)  # type: ignore[misc]


@pytest.mark.parametrize("work", ["drain", "evacuation"])
def test_every_process_killed_at_once_while_a_host_is_emptied(
    work: str, village: Village, crowd: list[Instance]
) -> None:
    """The worker first: until it is back, what is under way stays so."""
    site, customer, on_call = village.site, village.customer, OnCall(village.customer)
    processes = sorted(PROCESSES, key=lambda process: process != "worker")
    if work == "drain":
        emptied = on_call.drain(BUSY, 1)
    else:
        site.power(BUSY, on=False)
        customer.done(on_call.fence(BUSY, "switched off by its supervisor"))
        emptied = on_call.evacuate(BUSY)
        processes = [one for one in processes if not one.endswith(f"-{BUSY}")]
    killed = {process: site.kill(process) for process in processes}
    assert None not in killed.values()

    for process, number in killed.items():
        site.wait_running(process, not_pid=number)
    customer.done(emptied, 120.0)

    now = [customer.instance(one.id) for one in crowd]
    assert BUSY not in {one.hypervisor for one in now}
    village.answer([host for one in now for host in hosts(one, 4)] + village.untouched)
    for one in now:
        (prefix,) = (address.prefix for address in one.port.addresses if address.flexible_ip)
        eventually(lambda prefix=prefix: not on_call.drifts(prefix), f"{prefix} is as asked for")  # type: ignore[misc]


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
