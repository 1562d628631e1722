"""The tour in containers, and what dies in them under traffic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from godwit_client.placement.models import Instance, Mode

from cloud import measure, processes, rawlog, tour
from cloud.compose import engine
from cloud.compose.engine import EngineFailed
from cloud.compose.layout import GUESTS, INTERNET, ONE_SHOTS, PLAN, PORTS
from cloud.compose.site import ComposeSite, stage
from cloud.plan import METRICS_PORT
from cloud.tour.customer import Customer, hosts
from cloud.tour.watch import probing
from tests.e2e.conftest import answers, eventually

pytestmark = pytest.mark.timeout(900)  # the first one makes images; the tour measures again where others are busy
NODES = [node.name for node in PLAN.nodes]
PROCESSES = [
    processes.DATABASE,
    processes.BROKER,
    processes.GUEST_HELPER,
    *processes.CONTROL,
    *(ComposeSite.routing_daemon(node) for node in NODES),
    *(ComposeSite.agent(node) for node in NODES),
]
PATIENCE_S = 90.0


@dataclass
class Village:
    """Two guests that nobody touches, one on each stack, on two hypervisors; and one that moves."""

    site: ComposeSite
    customer: Customer
    nat: str  # address of the guest on hypervisor-1
    routed: list[str]  # addresses of the one on hypervisor-2
    mover: Instance

    def works(self) -> None:
        """What is asked of the APIs is done."""
        self.mover = self.customer.changed(self.customer.move(self.mover), PATIENCE_S)
        eventually(lambda: answers(self.site, hosts(self.mover, 4)[0]), "the moved guest answers", PATIENCE_S)


@pytest.fixture(scope="module")
def village(site: ComposeSite) -> Iterator[Village]:
    project = f"p{uuid4().hex[:8]}"
    customer = Customer.of(site, project)
    nat = customer.reserve("public")
    customer.create("nat", Mode.NAT, [nat], "hypervisor-1")
    addresses = [customer.reserve("public"), customer.reserve("public-v6")]
    routed = customer.create("routed", Mode.ROUTED, addresses, "hypervisor-2")
    mover = customer.create("mover", Mode.ROUTED, [customer.reserve("public")])
    yield Village(site, customer, nat.address, [*hosts(routed, 4), *hosts(routed, 6)], mover)
    customer.clean(project)


def lost(logs: Path, name: str) -> dict[str, int]:
    """Probes lost, by address; how many were sent is asserted to be more than none."""
    losses = {t.address: measure.loss(t) for t in measure.tracks(rawlog.read(logs / f"{name}.probe", "probe"))}
    assert all(loss.sent > 100 for loss in losses.values())
    return {address: loss.lost for address, loss in losses.items() if loss.lost}


def fetched(service: str, url: str) -> str:
    """What is answered there, to the container of a service. Raises EngineFailed for a refusal or silence."""
    program = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=10).read().decode())"
    return engine.run(["docker", "exec", engine.container(service).id, "python", "-c", program])


@pytest.mark.usefixtures("site")
def test_the_tour_holds() -> None:
    assert tour.run(stage(), Path("build/compose.json"), keep=True) == 0


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_dies_and_nothing_is_lost(process: str, village: Village, tmp_path: Path) -> None:
    with probing(village.site, tmp_path, "kill", [village.nat, *village.routed], sample_legs=False):
        killed = village.site.kill(process)
        assert killed is not None
        village.site.wait_running(process, not_pid=killed, within_s=PATIENCE_S)
        village.works()
    assert lost(tmp_path, "kill") == {}


def test_workers_come_and_go(village: Village, tmp_path: Path) -> None:
    with probing(village.site, tmp_path, "scale", [village.nat, *village.routed], sample_legs=False):
        for count in (3, 1):
            engine.compose("up", "--detach", "--no-recreate", "--scale", f"worker={count}")
            assert sum(each.service == "worker" for each in engine.containers()) == count
            village.works()
    assert lost(tmp_path, "scale") == {}


def test_a_hypervisors_container_dies_alone_and_its_guests_come_back(village: Village, tmp_path: Path) -> None:
    with probing(village.site, tmp_path, "host", village.routed, sample_legs=False):
        village.site.power("hypervisor-1", on=False)
        eventually(lambda: not answers(village.site, village.nat), "the guest is gone with its host")
        village.site.power("hypervisor-1", on=True)
        eventually(lambda: answers(village.site, village.nat), "the guest is back", PATIENCE_S)
    assert lost(tmp_path, "host") == {}


@pytest.mark.parametrize("machine", ["gateway-1", "gateway-2", "hypervisor-3", "edge", INTERNET])
def test_a_machine_dies_and_its_container_restarts(machine: str, village: Village, tmp_path: Path) -> None:
    """Kills its first process: what the engine is told to stop it does not restart."""
    before = engine.container(machine)
    on_the_way = machine in {PLAN.edge.name, INTERNET}
    with nullcontext() if on_the_way else probing(village.site, tmp_path, "dies", village.routed, sample_legs=False):
        engine.run(["docker", "exec", before.id, "sh", "-c", "kill -s KILL $(cat /proc/1/task/1/children)"])
        eventually(lambda: engine.container(machine).restarts > before.restarts, "the engine restarts it", PATIENCE_S)
        for address in [village.nat, *village.routed]:
            eventually(lambda address=address: answers(village.site, address), f"{address} answers", PATIENCE_S)  # type: ignore[misc]
        village.works()
    assert on_the_way or lost(tmp_path, "dies") == {}


def test_the_guests_container_dies_and_they_boot_again(village: Village) -> None:
    village.site.power(GUESTS, on=False)
    village.site.power(GUESTS, on=True)
    for address in [village.nat, *village.routed]:
        eventually(lambda address=address: answers(village.site, address), f"{address} is back", PATIENCE_S)  # type: ignore[misc]


def test_a_cut_and_its_end(village: Village) -> None:
    village.site.cut("hypervisor-2")
    eventually(lambda: not answers(village.site, village.routed[0]), "nothing comes through a cut")
    village.site.heal("hypervisor-2")
    eventually(lambda: answers(village.site, village.routed[0]), "the cut is healed")


@pytest.mark.usefixtures("site")
def test_everybody_tells_metrics_on_internal_networks() -> None:
    control = ["ipam-control", "placement-control", "placement-poller", "worker", "migration-worker"]
    urls = [
        f"http://{host}:{METRICS_PORT}/metrics" for host in (*control, *(str(node.management) for node in PLAN.nodes))
    ]
    for url in urls:
        assert "godwit_" in fetched("placement-poller", url), url
    for service, port in PORTS.items():
        with pytest.raises(EngineFailed):
            fetched("placement-poller", f"http://{service}:{port}/metrics")


@pytest.mark.usefixtures("site")
def test_everything_that_should_is_healthy() -> None:
    lasting = [each for each in engine.containers() if each.service not in ONE_SHOTS]
    assert {each.state for each in lasting} == {"running"}
    eventually(lambda: {each.health for each in engine.containers()} <= {"healthy", ""}, "all are healthy", PATIENCE_S)
