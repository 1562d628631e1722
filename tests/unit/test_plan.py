"""The plan of a local cloud: what is deterministic, what is unique, what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network
from itertools import combinations

import pytest

from cloud import baseline
from cloud.plan import FABRIC4, FABRIC6, MANAGEMENT, MAX_GATEWAYS, MAX_HYPERVISORS, POOLS, Plan, link_local, vxlan_mac
from common.errors import Invalid, NotFound

LARGEST = Plan("big", MAX_HYPERVISORS, MAX_GATEWAYS)


def test_the_same_names_give_the_same_nodes() -> None:
    assert Plan("one").nodes == Plan("one").nodes
    assert Plan("one").edge.id != Plan("two").edge.id


def test_addresses_do_not_depend_on_the_name() -> None:
    one, two = Plan("one"), Plan("two")
    assert [node.links for node in one.nodes] == [node.links for node in two.nodes]
    assert not set(one.namespaces) & set(two.namespaces)


def test_nothing_is_used_twice_in_the_largest_cloud() -> None:
    links = [link for node in LARGEST.nodes for link in node.links]
    addresses = [str(a.ip) for link in links for a in (link.address4, link.address6, link.edge4, link.edge6)]
    addresses += [str(node.management) for node in LARGEST.nodes]
    names = [link.edge_name for link in links] + [node.management_port for node in LARGEST.nodes]
    assert len(addresses) == len(set(addresses))
    assert len(names) == len(set(names))
    assert all(len(name) <= 15 for name in names)
    assert all(link.address4.ip in FABRIC4 and link.address6.ip in FABRIC6 for link in links)
    assert all(node.management in MANAGEMENT for node in LARGEST.nodes)


def test_pools_and_bound_prefixes_do_not_overlap() -> None:
    bound = [prefix for node in LARGEST.hypervisors for prefix in node.prefixes]
    taken = [pool.prefix for pool in POOLS] + bound
    assert [pair for pair in combinations(taken, 2) if pair[0].version == pair[1].version and _overlap(*pair)] == []


def _overlap(one: object, other: object) -> bool:
    return ip_network(str(one)).overlaps(ip_network(str(other)))


@pytest.mark.parametrize("name", ["", "1up", "Up", "a-b", "a" * 17, "../x"])
def test_a_name_that_cannot_be_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="cloud name"):
        Plan(name)


@pytest.mark.parametrize(("hypervisors", "gateways"), [(0, 1), (1, 0), (MAX_HYPERVISORS + 1, 1), (1, MAX_GATEWAYS + 1)])
def test_a_number_out_of_range_is_refused(hypervisors: int, gateways: int) -> None:
    with pytest.raises(Invalid, match="a local cloud has"):
        Plan("one", hypervisors, gateways)


def test_an_unknown_node_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match="hypervisor-9; it has edge, gateway-1"):
        Plan("one").node("hypervisor-9")


def test_the_vxlan_mac_and_its_link_local_address_follow_from_the_endpoint() -> None:
    mac = vxlan_mac(IPv4Address("172.31.1.1"))
    assert mac == "06:76:ac:1f:01:01"
    assert str(link_local(mac)) == "fe80::476:acff:fe1f:101"


def test_every_namespace_has_one_configuration() -> None:
    plan = Plan("one")
    configured = [machine.namespace for machine in baseline.machines(plan)]
    assert sorted(configured) == sorted(plan.namespaces)
