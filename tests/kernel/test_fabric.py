"""The fabric in real namespaces with real routing daemons: what the kernel of each node ends up with, and how fast."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud import fabric, namespaces
from cloud.namespaces import CommandFailed, entered, run
from cloud.plan import WAY_OUT, Node, Plan
from dataplane.entries import Fence
from dataplane.fence import Fences
from dataplane.linux import Linux
from tests.kernel.fabric_rig import Echo, Fabric, Prober, eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces"),
    pytest.mark.xdist_group("fabric"),
]

ADDRESS = "198.18.16.5/32"
PREFIX6 = "2001:db8:101:1::/64"
NAT_POOL = "198.18.0.0/20"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Fabric]:
    plan = Plan(f"gwtf{worker_id}", hypervisor_count=2, gateway_count=2)
    fabric.remove(plan.name)
    fabric.build(plan)
    built = Fabric(plan, tmp_path_factory.mktemp("bird"))
    try:
        for node in plan.nodes:
            built.start_bird(node)
        built.wait_established()
        yield built
    finally:
        built.stop()
        fabric.remove(plan.name)


@pytest.fixture(autouse=True)
def clean(cloud: Fabric) -> Iterator[None]:
    cloud.wait_established()
    yield
    cloud.withdraw_all()
    eventually(lambda: not cloud.next_hops(cloud.plan.edge, ADDRESS), 3, "the address withdrawn")
    eventually(lambda: not cloud.next_hops(cloud.plan.edge, NAT_POOL), 3, "the pool withdrawn")


def test_an_anchor_reaches_the_edge_and_the_other_hypervisors(cloud: Fabric) -> None:
    edge, (one, two) = cloud.plan.edge, cloud.plan.hypervisors

    cloud.announce(one, ADDRESS, 5)
    cloud.announce(one, PREFIX6, 5)

    assert eventually(lambda: cloud.next_hops(edge, ADDRESS) == {"172.31.1.1"}, 1, "IPv4 at the edge") < 0.5
    eventually(lambda: cloud.next_hops(edge, PREFIX6) == {"fd00:31:0:1::ac1f:101"}, 1, "IPv6 at the edge")
    eventually(lambda: cloud.next_hops(two, ADDRESS) == {"172.31.2.0"}, 1, "IPv4 at the other hypervisor")
    eventually(lambda: cloud.next_hops(two, PREFIX6) == {"fd00:31:0:2::ac1f:200"}, 1, "IPv6 at the other hypervisor")


@pytest.mark.parametrize("prefix", [ADDRESS, PREFIX6])
def test_the_higher_sequence_wins_wherever_it_is(cloud: Fabric, prefix: str) -> None:
    edge, (one, two) = cloud.plan.edge, cloud.plan.hypervisors
    at_one, at_two = (
        ("fd00:31:0:1::ac1f:101", "fd00:31:0:2::ac1f:201") if ":" in prefix else ("172.31.1.1", "172.31.2.1")
    )
    cloud.announce(one, prefix, 5)
    eventually(lambda: cloud.next_hops(edge, prefix) == {at_one}, 1, "first holder")

    cloud.announce(two, prefix, 6)
    eventually(lambda: cloud.next_hops(edge, prefix) == {at_two}, 1, "newer holder preferred")
    cloud.announce(one, prefix, 5, "del")
    cloud.announce(one, prefix, 4)  # a stale announcer
    cloud.announce(one, PREFIX6.replace("101", "102"), 1)
    eventually(lambda: cloud.next_hops(edge, PREFIX6.replace("101", "102")), 1, "what was said after it")
    assert cloud.next_hops(edge, prefix) == {at_two}

    cloud.announce(one, prefix, 7)  # add, then delete: the older of one node must not linger
    cloud.announce(one, prefix, 4, "del")
    eventually(lambda: cloud.next_hops(edge, prefix) == {at_one}, 1, "back again")


def test_a_hypervisor_cannot_announce_what_is_not_its_own(cloud: Fabric) -> None:
    edge, (one, _) = cloud.plan.edge, cloud.plan.hypervisors
    foreign = ["10.2.0.0/20", "198.18.16.0/24", "203.0.113.2/32", "172.31.2.1/32", "0.0.0.0/0"]
    foreign += ["2001:db8:2::/48", "2001:db8:ffff::2/128"]
    for prefix in foreign:
        cloud.announce(one, prefix, 9)
    for prefix in ("10.1.0.0/20", "10.2.0.77/32", "2001:db8:1::/48", "198.18.1.1/32"):
        cloud.announce(one, prefix, 9)
        eventually(lambda p=prefix: cloud.next_hops(edge, p), 1, f"{prefix} at the edge")  # type: ignore[misc]

    assert [prefix for prefix in foreign if cloud.next_hops(edge, prefix)] == []


def test_gateways_share_their_pool_and_the_way_out(cloud: Fabric) -> None:
    edge, gateways = cloud.plan.edge, cloud.plan.gateways
    for gateway in gateways:
        cloud.announce(gateway, NAT_POOL, 1)

    both_public = {str(node.links[0].address4.ip) for node in gateways}
    both_private = {str(node.links[1].address4.ip) for node in gateways}
    eventually(lambda: cloud.next_hops(edge, NAT_POOL) == both_public, 1, "both gateways carry the pool")
    eventually(lambda: cloud.next_hops(edge, "default", WAY_OUT) == both_private, 1, "both are a way out")

    cloud.announce(gateways[0], NAT_POOL, 1, "del")  # not ready: no way in, so no way out
    eventually(lambda: cloud.next_hops(edge, NAT_POOL) == both_public - {"172.31.101.1"}, 1, "one way in")
    eventually(lambda: cloud.next_hops(edge, "default", WAY_OUT) == both_private - {"172.31.101.3"}, 1, "one way out")


@pytest.mark.parametrize("destination", ["203.0.113.2", "10.99.0.1"])
def test_what_no_table_knows_is_unreachable_for_a_private_source(cloud: Fabric, destination: str) -> None:
    with pytest.raises(CommandFailed, match="No route to host"):  # EHOSTUNREACH: an `unreachable` route was hit
        run(["ip", "-netns", cloud.plan.edge.namespace, "route", "get", destination, "from", "10.1.0.7", "iif", "hv1"])


def test_cutting_a_gateway_moves_every_flow(cloud: Fabric) -> None:
    plan = cloud.plan
    for gateway in plan.gateways:
        cloud.announce(gateway, NAT_POOL, 1)
    eventually(lambda: len(cloud.next_hops(plan.edge, NAT_POOL)) == 2, 1, "both gateways carry the pool")

    with Echo("198.18.0.9", *plan.gateways) as echo, Prober(plan, "198.18.0.9", flows=32) as prober:
        eventually(lambda: min(echo.answered.values()) > 100, 5, "both gateways carry flows")
        cut_at = time.monotonic()
        fabric.cut_fabric(plan, plan.gateways[0])
        eventually(lambda: cloud.next_hops(plan.edge, NAT_POOL) == {"172.31.102.1"}, 2, "one gateway left")
        moved = len(prober.sent)
        eventually(lambda: len(prober.sent) > moved + 500, 5, "probes after the move")
        fabric.heal_fabric(plan, plan.gateways[0])
    gap_s = max(prober.sent[number] for number in prober.lost) - cut_at
    print(f"all flows moved {gap_s * 1000:.0f} ms after the cut; {len(prober.lost)} of {len(prober.sent)} lost")
    assert gap_s < 0.5


def fences(node: Node) -> list[Fence]:
    return [Fence(link.address4.ip) for link in node.links]


@pytest.fixture
def fencer(cloud: Fabric) -> Iterator[Fences]:
    """The edge agent's driver: netlink sockets stay where they were opened."""
    with entered(cloud.plan.edge.namespace):
        driver = Fences(Linux())
    yield driver
    for row in driver.observe().values():
        driver.drop(row)


def test_a_fenced_hypervisor_is_out_of_the_fabric_at_once_and_stays_out(cloud: Fabric, fencer: Fences) -> None:
    edge, (one, two) = cloud.plan.edge, cloud.plan.hypervisors
    for prefix in (ADDRESS, PREFIX6):
        cloud.announce(one, prefix, 5)
        eventually(lambda p=prefix: cloud.next_hops(edge, p) and cloud.next_hops(two, p), 1, "known")  # type: ignore[misc]
    before = cloud.established()

    fenced_at = time.monotonic()
    for row in fences(one):
        fencer.put(row)
    assert not cloud.next_hops(edge, ADDRESS)
    assert not cloud.next_hops(edge, PREFIX6)
    took_s = time.monotonic() - fenced_at
    eventually(lambda: not cloud.next_hops(two, ADDRESS), 1, "withdrawn from the others")
    elsewhere_s = time.monotonic() - fenced_at
    print(f"no route by a fenced link, read {took_s * 1000:.0f} ms after; elsewhere {elsewhere_s * 1000:.0f} ms")
    eventually(lambda: cloud.established() == before - 1, 2, "its session is down")

    cloud.announce(two, ADDRESS, 6)
    eventually(lambda: cloud.next_hops(edge, ADDRESS) == {"172.31.2.1"}, 1, "the next holder")
    cloud.announce(one, ADDRESS, 9)  # a sequence that nobody gave it
    fabric.build(cloud.plan)  # who heals the fabric leaves what the agent holds
    eventually(lambda: cloud.established() == before - 1, 1, "still down")
    assert cloud.next_hops(edge, ADDRESS) == {"172.31.2.1"}

    cloud.announce(one, ADDRESS, 9, "del")
    cloud.announce(one, ADDRESS, 5, "del")
    for row in fences(one):
        fencer.drop(row)
    eventually(lambda: cloud.next_hops(edge, PREFIX6), 10, "it is heard again")
    assert cloud.next_hops(edge, ADDRESS) == {"172.31.2.1"}


def test_a_fenced_gateway_carries_nothing_in_nor_out(cloud: Fabric, fencer: Fences) -> None:
    edge, (one, two) = cloud.plan.edge, cloud.plan.gateways
    for gateway in (one, two):
        cloud.announce(gateway, NAT_POOL, 1)
    ways = {"172.31.101.1", "172.31.102.1"}, {"172.31.101.3", "172.31.102.3"}
    eventually(lambda: cloud.next_hops(edge, NAT_POOL) == ways[0], 1, "both ways in")
    eventually(lambda: cloud.next_hops(edge, "default", WAY_OUT) == ways[1], 1, "both ways out")

    with Echo("198.18.0.9", one, two) as echo, Prober(cloud.plan, "198.18.0.9", flows=32) as prober:
        eventually(lambda: min(echo.answered.values()) > 100, 5, "both carry flows")
        fenced_at = time.monotonic()
        for row in fences(one):
            fencer.put(row)
        eventually(lambda: cloud.next_hops(edge, NAT_POOL) == {"172.31.102.1"}, 1, "one way in")
        eventually(lambda: cloud.next_hops(edge, "default", WAY_OUT) == {"172.31.102.3"}, 1, "one way out")
        moved = len(prober.sent)
        eventually(lambda: len(prober.sent) > moved + 500, 5, "probes after it")
    gap_s = max((prober.sent[number] for number in prober.lost), default=fenced_at) - fenced_at
    print(f"all flows moved {gap_s * 1000:.0f} ms after the fence; {len(prober.lost)} of {len(prober.sent)} lost")
    assert gap_s < 0.25


@pytest.mark.parametrize("victim", ["edge", "hypervisor-1"])
def test_a_killed_routing_daemon_costs_no_packet(cloud: Fabric, victim: str) -> None:
    plan = cloud.plan
    node, holder = plan.node(victim), plan.hypervisors[0]
    cloud.announce(holder, ADDRESS, 1)
    eventually(lambda: cloud.next_hops(plan.edge, ADDRESS), 1, "the address at the edge")

    with Echo("198.18.16.5", holder), Prober(plan, "198.18.16.5") as prober:
        eventually(lambda: len(prober.received) > 200, 5, "probes answered")
        cloud.kill_bird(node)
        killed = len(prober.sent)
        eventually(lambda: len(prober.sent) > killed + 500, 5, "half a second without the daemon")
        cloud.start_bird(node)
        cloud.wait_established()
        back = len(prober.sent)
        eventually(lambda: len(prober.sent) > back + 500, 5, "half a second with it again")

    print(f"{victim}: {len(prober.lost)} of {len(prober.sent)} lost")
    assert prober.lost == []
    cloud.announce(plan.hypervisors[1], ADDRESS, 2)
    eventually(lambda: cloud.next_hops(plan.edge, ADDRESS) == {"172.31.2.1"}, 8, "changes arrive again")


def test_a_killed_gateway_daemon_costs_no_packet(cloud: Fabric) -> None:
    plan = cloud.plan
    for gateway in plan.gateways:
        cloud.announce(gateway, NAT_POOL, 1)
    eventually(lambda: len(cloud.next_hops(plan.edge, NAT_POOL)) == 2, 1, "both gateways carry the pool")

    with Echo("198.18.0.9", *plan.gateways), Prober(plan, "198.18.0.9", flows=32) as prober:
        eventually(lambda: len(prober.received) > 200, 5, "probes answered")
        for node in (plan.gateways[0], plan.edge):
            cloud.kill_bird(node)
            killed = len(prober.sent)
            eventually(lambda since=killed: len(prober.sent) > since + 500, 5, "without")  # type: ignore[misc]
            cloud.start_bird(node)
            cloud.wait_established()
            eventually(lambda: len(cloud.next_hops(plan.edge, NAT_POOL)) == 2, 8, "both gateways again")
    print(f"{len(prober.lost)} of {len(prober.sent)} lost")
    assert prober.lost == []


def test_a_healed_fabric_keeps_its_traffic(cloud: Fabric) -> None:
    plan = cloud.plan
    one, two = plan.hypervisors
    cloud.announce(one, ADDRESS, 1)
    eventually(lambda: cloud.next_hops(plan.edge, ADDRESS), 1, "the address at the edge")
    with Echo("198.18.16.5", one), Prober(plan, "198.18.16.5") as prober:
        run(["ip", "-netns", two.namespace, "link", "delete", "vx0"])
        run(["ip", "-netns", two.namespace, "rule", "delete", "priority", "98"])
        fabric.build(plan)
    assert prober.lost == []
    with entered(two.namespace):
        assert "lookup 101" in run(["ip", "rule", "show", "priority", "98"])
        assert "06:76:ac:1f:02:01" in run(["ip", "link", "show", "vx0"])


def test_the_internet_sees_nothing_of_the_inside(cloud: Fabric) -> None:
    plan = cloud.plan
    one = plan.hypervisors[0]
    inside = [str(one.endpoint), str(one.management), "10.1.0.1", "fd00:31:0:1::ac1f:101"]
    with entered(plan.internet):
        for address in inside:
            done = subprocess.run(["ping", "-c1", "-W0.2", address], capture_output=True, check=False)
            assert done.returncode != 0, address
        run(["ping", "-c1", "-W1", "203.0.113.1"])
        run(["ping", "-c1", "-W1", "2001:db8:ffff::1"])
    with entered(one.namespace):
        run(["ping", "-c1", "-W1", "172.31.2.1"])
        run(["ping", "-c1", "-W1", "fd00:31:0:2::ac1f:201"])


def test_management_is_apart_and_can_be_cut(cloud: Fabric) -> None:
    plan = cloud.plan
    one, two = plan.hypervisors

    def answers(namespace: str, address: object) -> bool:
        with entered(namespace):
            argv = ["ping", "-c1", "-W0.3", str(address)]
            return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    assert answers(plan.control, one.management)
    assert not answers(two.namespace, one.management)
    fabric.cut_management(plan, one)
    assert not answers(plan.control, one.management)
    assert answers(plan.control, two.management)
    assert answers(two.namespace, one.endpoint)
    fabric.heal_management(plan, one)
    eventually(lambda: answers(plan.control, one.management), 3, "management healed")

    fabric.cut_fabric(plan, one)
    assert answers(plan.control, one.management)
    assert not answers(two.namespace, one.endpoint)
    fabric.heal_fabric(plan, one)
    assert answers(two.namespace, one.endpoint)


def test_removing_takes_all_of_ours_and_nothing_else(worker_id: str) -> None:
    plan = Plan(f"gwtr{worker_id}", hypervisor_count=1, gateway_count=1)
    bystander = plan.namespace("bystander")
    namespaces.ensure(bystander)
    try:
        before = {entry.name for entry in namespaces.ROOT.iterdir()}
        fabric.build(plan)
        Path(namespaces.path(plan.namespace("hypervisor-2"))).touch()  # left by a killed `ip netns add`
        assert fabric.present(plan.name)

        fabric.remove(plan.name)

        assert {entry.name for entry in namespaces.ROOT.iterdir()} == before
        assert namespaces.exists(bystander)
    finally:
        fabric.remove(plan.name)
        namespaces.remove(bystander)
