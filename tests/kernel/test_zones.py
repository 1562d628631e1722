"""Two zones under one internet: each zone's fabric is its own, and they meet by public addresses alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from cloud import fabric
from cloud.namespaces import entered, run
from cloud.plan import WAY_OUT, Plan, Zone
from tests.kernel.fabric_rig import Echo, Fabric, Prober, eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces"),
    pytest.mark.xdist_group("fabric"),
]

IN_FIRST, IN_SECOND = "198.18.0.5", "198.18.64.5"
IN_FIRST6, IN_SECOND6 = "2001:db8:101:1::5", "2001:db8:1101:1::5"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Fabric]:
    plan = Plan(f"gwtz{worker_id}", hypervisor_count=1, gateway_count=1, more_zones=((1, 1),))
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
    for zone in cloud.plan.zones:
        for address in (f"{IN_FIRST}/32", f"{IN_SECOND}/32", f"{IN_FIRST6}/128", f"{IN_SECOND6}/128"):
            gone = lambda edge=zone.edge, prefix=address: not cloud.next_hops(edge, prefix)  # noqa: E731
            eventually(gone, 3, f"{address} withdrawn")


@pytest.fixture
def held(cloud: Fabric) -> Iterator[None]:
    """An address of each zone, in each family, on a hypervisor of that zone."""
    first, second = cloud.plan.zones
    at = ((first, IN_FIRST, IN_FIRST6), (second, IN_SECOND, IN_SECOND6))
    for zone, four, six in at:
        (node,) = zone.hypervisors
        for address in (f"{four}/32", f"{six}/128"):
            run(["ip", "-netns", node.namespace, "address", "replace", address, "dev", "lo"])
            cloud.announce(node, address, 1)
            eventually(lambda e=zone.edge, a=address: cloud.next_hops(e, a), 1, address)  # type: ignore[misc]
    yield
    for zone, four, six in at:
        for address in (f"{four}/32", f"{six}/128"):
            run(["ip", "-netns", zone.hypervisors[0].namespace, "address", "flush", "dev", "lo", "to", address])


def pings(namespace: str, to: object, source: str = "") -> bool:
    argv = ["ping", "-n", "-c1", "-W0.5", *(["-I", source] if source else []), str(to)]
    with entered(namespace):
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("number", "address", "foreign"),
    [
        (0, f"{IN_FIRST}/32", f"{IN_SECOND}/32"),
        (1, f"{IN_SECOND}/32", f"{IN_FIRST}/32"),
        (0, f"{IN_FIRST6}/128", f"{IN_SECOND6}/128"),
        (1, f"{IN_SECOND6}/128", f"{IN_FIRST6}/128"),
    ],
)
def test_an_anchor_shows_at_its_own_zones_edge_alone(cloud: Fabric, number: int, address: str, foreign: str) -> None:
    mine, other = cloud.plan.zones[number], cloud.plan.zones[1 - number]
    (holder,) = mine.hypervisors

    cloud.announce(holder, foreign, 9)  # another zone's address: not for us to announce
    cloud.announce(holder, address, 5)

    expected = str(holder.endpoint_ipv6 if ":" in address else holder.endpoint)
    eventually(lambda: cloud.next_hops(mine.edge, address) == {expected}, 1, "the anchor at its edge")
    assert not cloud.next_hops(mine.edge, foreign)
    for node in other.nodes:
        assert not cloud.next_hops(node, address)
        assert not cloud.next_hops(node, foreign)


def test_gateways_are_their_own_zones_way_in_and_out(cloud: Fabric) -> None:
    first, second = cloud.plan.zones
    pool = str(second.pools[0].prefix)
    cloud.announce(second.gateways[0], pool, 1)

    eventually(lambda: cloud.next_hops(second.edge, pool) == {str(second.gateways[0].endpoint)}, 1, "way in")
    eventually(lambda: cloud.next_hops(second.edge, "default", WAY_OUT), 1, "way out")
    assert not cloud.next_hops(first.edge, pool)
    assert not cloud.next_hops(first.edge, "default", WAY_OUT)
    cloud.announce(second.gateways[0], pool, 1, "del")
    eventually(lambda: not cloud.next_hops(second.edge, pool), 1, "withdrawn")


@pytest.mark.usefixtures("held")
def test_the_internet_reaches_both_zones_and_they_reach_each_other(cloud: Fabric) -> None:
    one, two = (zone.hypervisors[0].namespace for zone in cloud.plan.zones)
    for address in (IN_FIRST, IN_SECOND, IN_FIRST6, IN_SECOND6):
        assert pings(cloud.plan.internet, address), address
    assert pings(one, IN_SECOND, IN_FIRST)
    assert pings(two, IN_FIRST, IN_SECOND)
    assert pings(one, IN_SECOND6, IN_FIRST6)
    assert pings(two, IN_FIRST6, IN_SECOND6)
    assert pings(two, "203.0.113.2", IN_SECOND)
    assert pings(two, "2001:db8:ffff::2", IN_SECOND6)


@pytest.mark.usefixtures("held")
def test_the_inside_of_a_zone_is_no_other_zones_business(cloud: Fabric) -> None:
    first, second = cloud.plan.zones

    def inside(zone: Zone) -> list[str]:
        (host,) = zone.hypervisors
        return [str(a) for a in (host.endpoint, host.endpoint_ipv6, host.management, zone.edge.management)]

    for zone, other in ((first, second), (second, first)):
        (host,) = zone.hypervisors
        assert pings(cloud.plan.control, host.management)
        assert not [address for address in inside(other) if pings(host.namespace, address)]
        assert not [address for address in inside(other) if pings(zone.edge.namespace, address)]
    assert not [address for zone in (first, second) for address in inside(zone) if pings(cloud.plan.internet, address)]


@pytest.mark.usefixtures("held")
def test_cutting_a_zones_edge_loses_no_packet_in_another(cloud: Fabric) -> None:
    plan = cloud.plan
    first, second = plan.zones
    with Echo(IN_FIRST, first.hypervisors[0]), Prober(plan, IN_FIRST) as prober:
        eventually(lambda: len(prober.received) > 200, 5, "probes answered")
        fabric.cut_fabric(plan, second.edge)
        fabric.cut_management(plan, second.edge)
        assert not pings(plan.internet, IN_SECOND)
        assert not pings(plan.control, second.edge.management)
        eventually(lambda: cloud.established() == len(first.hypervisors) + 2, 3, "only the first zone's sessions left")
        for node in second.nodes:
            cloud.kill_bird(node)
        cut = len(prober.sent)
        eventually(lambda: len(prober.sent) > cut + 500, 5, "half a second without the second zone")
        fabric.heal_fabric(plan, second.edge)
        fabric.heal_management(plan, second.edge)
        for node in second.nodes:
            cloud.start_bird(node)
        cloud.wait_established()
        eventually(lambda: pings(plan.internet, IN_SECOND), 8, "the second zone again")
    print(f"{len(prober.lost)} of {len(prober.sent)} lost")
    assert prober.lost == []
