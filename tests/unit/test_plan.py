"""The plan of a local cloud: what is deterministic, what is unique, what is refused."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, ip_network
from itertools import combinations, pairwise

import pytest

from cloud import baseline, bird
from cloud.baseline import link_local, vxlan_mac
from cloud.plan import (
    FABRIC4,
    FABRIC6,
    INTERNET6,
    MANAGEMENT,
    MAX_GATEWAYS,
    MAX_HYPERVISORS,
    MAX_ZONES,
    PRIVATE,
    PUBLIC4,
    PUBLIC6,
    Plan,
)
from common.errors import Invalid, NotFound

LARGEST = Plan("big", MAX_HYPERVISORS, MAX_GATEWAYS, ((MAX_HYPERVISORS, MAX_GATEWAYS),) * (MAX_ZONES - 1))
TWO = Plan("one", 3, 2, ((1, 1),))


def test_the_same_names_give_the_same_nodes() -> None:
    assert Plan("one").nodes == Plan("one").nodes
    assert Plan("one").edge.id != Plan("two").edge.id


def test_addresses_do_not_depend_on_the_name() -> None:
    one, two = Plan("one"), Plan("two")
    assert [node.links for node in one.nodes] == [node.links for node in two.nodes]
    assert not set(one.namespaces) & set(two.namespaces)


def test_nothing_is_used_twice_in_the_largest_cloud() -> None:
    links = [link for node in LARGEST.nodes for link in node.links]
    ends = links + [zone.uplink for zone in LARGEST.zones]
    addresses = [str(a.ip) for link in ends for a in (link.address4, link.address6, link.edge4, link.edge6)]
    addresses += [str(node.management) for node in LARGEST.nodes]
    addresses += [str(zone.control_address.ip) for zone in LARGEST.zones]
    addresses += [str(zone.edge.endpoint) for zone in LARGEST.zones]
    addresses += [str(source) for zone in LARGEST.zones for source in (zone.probe_source, zone.probe_source_ipv6)]
    names = [node.management_port for node in LARGEST.nodes] + [zone.uplink.name for zone in LARGEST.zones]
    at_edge = [[link.edge_name for node in zone.nodes for link in node.links] for zone in LARGEST.zones]
    assert len(addresses) == len(set(addresses))
    assert len(names) == len(set(names))
    assert all(len(each) == len(set(each)) for each in at_edge)
    assert all(len(name) <= 15 for name in (*names, *at_edge[0]))
    assert all(link.address4.ip in FABRIC4 and link.address6.ip in FABRIC6 for link in links)
    assert all(zone.probe_source in FABRIC4 and zone.probe_source_ipv6 in FABRIC6 for zone in LARGEST.zones)
    assert all(node.endpoint in FABRIC4 for node in LARGEST.nodes)
    assert all(node.management in zone.management for zone in LARGEST.zones for node in zone.nodes)
    assert all(zone.management.subnet_of(MANAGEMENT) for zone in LARGEST.zones)
    for what in ("id", "name", "namespace"):
        assert len({getattr(node, what) for node in LARGEST.nodes}) == len(LARGEST.nodes)


def test_pools_and_bound_prefixes_do_not_overlap() -> None:
    bound = [prefix for zone in LARGEST.zones for node in zone.hypervisors for prefix in node.prefixes]
    taken = [pool.prefix for zone in LARGEST.zones for pool in zone.pools] + bound
    for version in (4, 6):
        ranges = sorted((int(p[0]), int(p[-1])) for p in taken if p.version == version)
        assert all(before[1] < after[0] for before, after in pairwise(ranges))


def test_every_public_prefix_of_a_zone_lies_in_the_space_that_is_routed_to_it() -> None:
    spaces = [space for zone in LARGEST.zones for space in (zone.public4, zone.public6)]
    assert not [pair for pair in combinations(spaces, 2) if pair[0].version == pair[1].version and _overlap(*pair)]
    assert not [space for space in spaces if space.version == 6 and _overlap(space, INTERNET6)]
    for zone in LARGEST.zones:
        prefixes = [pool.prefix for pool in zone.pools] + [p for node in zone.hypervisors for p in node.prefixes]
        public = [prefix for prefix in prefixes if not _overlap(prefix, PRIVATE)]
        assert len(public) == 2 + MAX_HYPERVISORS
        assert all(_within(prefix, zone.public4) or _within(prefix, zone.public6) for prefix in public)


def test_a_second_zones_names_tell_it() -> None:
    assert [node.name for node in TWO.zones[1].nodes] == ["z2-edge", "z2-gateway-1", "z2-hypervisor-1"]
    assert [node.name for node in TWO.nodes[:3]] == ["edge", "gateway-1", "gateway-2"]
    assert [zone.name for zone in TWO.zones] == ["zone-1", "zone-2"]
    assert [pool.name for pool in TWO.zones[1].pools] == ["z2-public", "z2-public-v6"]
    assert {node.zone for node in TWO.zones[1].nodes} == {"zone-2"}
    assert TWO.node("z2-edge").namespace == "one-z2-edge"


def test_a_zone_is_the_same_whatever_zones_come_after_it() -> None:
    alone, more = Plan("one", 3, 2), Plan("one", 3, 2, ((1, 1), (4, 2)))
    assert alone.nodes == TWO.zones[0].nodes == more.zones[0].nodes
    assert TWO.zones[1] == more.zones[1]
    assert TWO.zones[1].nodes == more.zones[1].nodes
    assert [(z.pools, z.uplink) for z in TWO.zones] == [(z.pools, z.uplink) for z in more.zones[:2]]
    assert (alone.zones[0].public4, alone.zones[0].public6) == (PUBLIC4, PUBLIC6)


def test_the_internet_is_no_router_of_a_cloud_with_one_zone() -> None:
    plan = Plan("one")
    machines = {machine.namespace: machine for machine in baseline.machines(plan)}
    assert ("net.ipv4.ip_forward", "0") in machines[plan.internet].sysctls
    assert not [
        command for command in machines[plan.edge.namespace].commands if "internet0" in command and "via" in command
    ]
    assert plan.management == plan.zones[0].management


def test_zones_know_each_other_by_public_space_alone() -> None:
    first, second = TWO.zones
    machines = {machine.namespace: machine for machine in baseline.machines(TWO)}
    edge = "\n".join(machines[first.edge.namespace].commands)
    assert f"route replace {second.public4} via 203.0.113.2 dev internet0" in edge
    assert f"route replace {second.public6} via 2001:db8:ffff::2 dev internet0" in edge
    for zone, other in ((first, second), (second, first)):
        mine, theirs = [node.namespace for node in zone.nodes], [node.namespace for node in other.nodes]
        assert not {veth.peer_namespace for name in mine for veth in machines[name].links} & set(theirs)
        inner = {str(p) for node in other.nodes for p in (node.endpoint, node.management, *node.prefixes)}
        text = "".join(repr(machines[node.namespace]) + bird.configuration(TWO, node) for node in zone.nodes)
        assert not [word for word in inner if re.search(rf"(?<![\w.:]){re.escape(word)}(?![\w.:])", text)]


def _overlap(one: object, other: object) -> bool:
    first, second = ip_network(str(one)), ip_network(str(other))
    return first.version == second.version and first.overlaps(second)


def _within(one: object, other: object) -> bool:
    first, second = ip_network(str(one)), ip_network(str(other))
    return _overlap(first, second) and first.prefixlen >= second.prefixlen


@pytest.mark.parametrize("name", ["", "1up", "Up", "a-b", "a" * 17, "../x"])
def test_a_name_that_cannot_be_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="cloud name"):
        Plan(name)


@pytest.mark.parametrize(("hypervisors", "gateways"), [(0, 1), (1, 0), (MAX_HYPERVISORS + 1, 1), (1, MAX_GATEWAYS + 1)])
def test_a_number_out_of_range_is_refused(hypervisors: int, gateways: int) -> None:
    with pytest.raises(Invalid, match="a zone of a local cloud has"):
        Plan("one", hypervisors, gateways)
    with pytest.raises(Invalid, match="a zone of a local cloud has"):
        Plan("one", more_zones=((hypervisors, gateways),))


def test_more_zones_than_there_is_space_for_are_refused() -> None:
    with pytest.raises(Invalid, match="a local cloud has 1 to 8"):
        Plan("one", more_zones=((1, 1),) * MAX_ZONES)


def test_an_unknown_node_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match="hypervisor-9; it has edge, gateway-1"):
        Plan("one").node("hypervisor-9")
    with pytest.raises(NotFound, match="zone-9; it has zone-1, zone-2"):
        TWO.zone("zone-9")


def test_the_vxlan_mac_and_its_link_local_address_follow_from_the_endpoint() -> None:
    mac = vxlan_mac(IPv4Address("172.31.1.1"))
    assert mac == "06:76:ac:1f:01:01"
    assert str(link_local(mac)) == "fe80::476:acff:fe1f:101"


def test_every_namespace_has_one_configuration() -> None:
    for plan in (Plan("one"), TWO):
        configured = [machine.namespace for machine in baseline.machines(plan)]
        assert sorted(configured) == sorted(plan.namespaces)
