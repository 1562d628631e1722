"""What each node must hold of a port, at every step of a move, in every mode."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_interface, ip_network
from uuid import UUID

import pytest

from services.netagent import wire
from services.placement.conversion.steps import Stage, path
from services.placement.move import PATHS, Kind, Passage, Step, rebinds_to, seats
from services.placement.snapshot import (
    UNANNOUNCED,
    FlexibleAddress,
    Held,
    NodeBound,
    PortFacts,
    Prefix,
    Sequenced,
    node_bound,
    node_entries,
    port_entries,
)

PORT, SOURCE, DESTINATION, GATEWAY = (UUID(int=number) for number in (9, 1, 2, 3))
ENDPOINTS = {SOURCE: IPv4Address("172.31.1.2"), DESTINATION: IPv4Address("172.31.1.6")}
PUBLIC, PUBLIC_V6 = ip_network("198.18.16.7/32"), ip_network("2001:db8:100:1::/64")
OLD, NEW = ip_network("10.1.0.2/32"), ip_network("10.2.0.2/32")


def facts(mode: str, step: Step | None, *, moved: bool = False) -> PortFacts:
    """A port on SOURCE that moves to DESTINATION; `moved`: the destination has been announced before."""
    passage = Passage(Kind.LIVE, step, SOURCE, DESTINATION) if step else None
    sequence = Sequenced(4, DESTINATION, SOURCE) if moved else Sequenced(3, SOURCE, None)
    hosts = {PUBLIC: "198.18.16.7/32", PUBLIC_V6: "2001:db8:100:1::5/64"}
    addresses = [PUBLIC] if mode == "nat" else [PUBLIC, PUBLIC_V6] if mode == "routed" else []
    private = [Held(SOURCE, OLD, carried=False), Held(DESTINATION, NEW, carried=False)]
    where = seats(SOURCE, passage)
    return PortFacts(
        port=PORT,
        name="web",
        mac="02:00:00:00:00:07",
        path=path(Stage.NAT) if mode == "nat" else None,
        owns=mode == "routed",
        seats=where,
        addresses=[FlexibleAddress(prefix, ip_interface(hosts[prefix]), sequence) for prefix in addresses],
        node_bound=node_bound(mode, private if step else private[:1], set(), where, rebinds_to(passage), {}),
        gateways=[GATEWAY],
        endpoints=ENDPOINTS,
    )


def announced(entries: list[wire.Entry]) -> dict[Prefix, int]:
    return {entry.prefix: entry.sequence for entry in entries if isinstance(entry, wire.Address) and entry.sequence}


def held(entries: list[wire.Entry]) -> set[Prefix]:
    return {entry.prefix for entry in entries if isinstance(entry, wire.Address)}


def test_the_sources_own_address_is_gone_from_every_node_before_it_is_freed() -> None:
    assert held(port_entries(facts("nat", Step.ANNOUNCE))[DESTINATION]) == {OLD, NEW}
    assert {node: held(entries) for node, entries in port_entries(facts("nat", Step.WITHDRAW)).items()} == {
        DESTINATION: {NEW},
        GATEWAY: set(),
    }


@pytest.mark.parametrize("step", PATHS[Kind.LIVE][:-1])
def test_of_two_announcers_the_destination_has_the_higher_sequence(step: Step) -> None:
    entries = port_entries(facts("routed", step, moved=step in {Step.ANNOUNCE, Step.WITHDRAW}))
    source, destination = announced(entries.get(SOURCE, [])), announced(entries[DESTINATION])
    if step in {Step.PREPARE, Step.SWITCH}:
        assert (source, destination) == ({PUBLIC: 3, PUBLIC_V6: 3}, {})
    elif step is Step.ANNOUNCE:
        assert (source, destination) == ({PUBLIC: 3, PUBLIC_V6: 3}, {PUBLIC: 4, PUBLIC_V6: 4})
    else:
        assert (source, destination) == ({}, {PUBLIC: 4, PUBLIC_V6: 4})


def test_the_source_can_forward_to_the_destination_from_the_first_step_to_the_last_but_one() -> None:
    for step in (Step.PREPARE, Step.SWITCH, Step.ANNOUNCE):
        entries = port_entries(facts("routed", step))
        fallbacks = {entry.fallback for entry in entries[SOURCE] if isinstance(entry, wire.Address)}
        assert fallbacks == {ENDPOINTS[DESTINATION]}
    assert SOURCE not in port_entries(facts("routed", Step.WITHDRAW))


def mappings(entries: list[wire.Entry]) -> tuple[dict[str, str], dict[str, str]]:
    inbound = {str(entry.public): str(entry.private) for entry in entries if isinstance(entry, wire.Inbound)}
    outbound = {str(entry.private): str(entry.public) for entry in entries if isinstance(entry, wire.Outbound)}
    return inbound, outbound


@pytest.mark.parametrize(
    ("step", "inbound", "outbound"),
    [
        (None, "10.1.0.2", ["10.1.0.2"]),
        (Step.PREPARE, "10.1.0.2", ["10.1.0.2", "10.2.0.2"]),
        (Step.SWITCH, "10.1.0.2", ["10.1.0.2", "10.2.0.2"]),
        (Step.ANNOUNCE, "10.2.0.2", ["10.1.0.2", "10.2.0.2"]),
        (Step.WITHDRAW, "10.2.0.2", ["10.2.0.2"]),
    ],
)
def test_a_gateway_maps_the_new_private_address_out_before_the_public_one_flips_to_it(
    step: Step | None, inbound: str, outbound: list[str]
) -> None:
    entries = port_entries(facts("nat", step))[GATEWAY]
    assert mappings(entries) == ({"198.18.16.7": inbound}, dict.fromkeys(outbound, "198.18.16.7"))


def test_a_nat_guest_keeps_its_old_address_at_the_destination_until_the_source_is_withdrawn() -> None:
    assert held(port_entries(facts("nat", Step.SWITCH))[DESTINATION]) == {OLD, NEW}
    assert held(port_entries(facts("nat", Step.SWITCH))[SOURCE]) == {OLD}
    assert held(port_entries(facts("nat", Step.WITHDRAW))[DESTINATION]) == {NEW}


def test_an_isolated_port_has_a_link_and_no_address_anywhere() -> None:
    entries = port_entries(facts("isolated", None))
    assert [type(entry) for entry in entries[SOURCE]] == [wire.Port]
    assert set(entries) == {SOURCE}


def test_an_archived_port_leaves_nothing_anywhere() -> None:
    archived = PortFacts(PORT, "web", "02:00:00:00:00:07", None, True, (), [], [], [GATEWAY], {})
    assert port_entries(archived) == {}


def test_each_role_answers_for_its_prefixes() -> None:
    own, zone = [ip_network("10.1.0.0/20")], [ip_network("198.18.0.0/22"), ip_network("2001:db8:100::/40")]
    peers = [IPv4Address("172.31.1.6")]
    assert node_entries("hypervisor", own, zone, peers, nat=True) == [wire.NodePrefix(own[0]), wire.Peer(peers[0])]
    assert node_entries("gateway", [], zone, peers, nat=True) == [wire.NodePrefix(zone[0])]
    assert node_entries("gateway", [], zone, peers, nat=False) == []
    assert node_entries("edge", [], zone, peers, nat=True) == [wire.Aggregate(zone[0]), wire.Aggregate(zone[1])]


def converting(stage: Stage, *, moved: bool = False) -> PortFacts:
    """A port of mode nat at a stage of its conversion; `moved`: in mode hostnat, and on DESTINATION since."""
    at = DESTINATION if moved else SOURCE
    sequence = Sequenced(1, DESTINATION, None) if moved else UNANNOUNCED
    bound = NodeBound(SOURCE, OLD, ip_interface(OLD), not moved, sequence)
    return PortFacts(
        port=PORT,
        name="web",
        mac="02:00:00:00:00:07",
        path=path(stage),
        owns=False,
        seats=seats(at, None),
        addresses=[FlexibleAddress(PUBLIC, ip_interface("198.18.16.7/32"), Sequenced(3, at, None))],
        node_bound=[bound],
        gateways=[GATEWAY],
        endpoints=ENDPOINTS,
    )


@pytest.mark.parametrize(
    ("stage", "mapped", "rewrite"),
    [
        (Stage.NAT, True, None),
        (Stage.PREPARED, True, (True, False, 0)),
        (Stage.ANNOUNCED, True, (True, False, 3)),
        (Stage.OUTBOUND, True, (True, True, 3)),
        (Stage.SWITCHED, False, (True, True, 3)),
    ],
)
def test_a_conversion_adds_the_new_path_before_it_takes_the_old_one_away(
    stage: Stage, mapped: bool, rewrite: tuple[bool, bool, int] | None
) -> None:
    entries = port_entries(converting(stage))
    assert (GATEWAY in entries) == mapped
    found = [
        (entry.inbound, entry.outbound, entry.sequence) for entry in entries[SOURCE] if isinstance(entry, wire.HostNat)
    ]
    assert found == ([] if rewrite is None else [rewrite])


def test_a_converted_port_that_moved_takes_its_private_address_along_and_announces_it() -> None:
    entries = port_entries(converting(Stage.SWITCHED, moved=True))
    assert set(entries) == {DESTINATION}
    assert announced(entries[DESTINATION]) == {OLD: 1}
