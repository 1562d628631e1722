"""What each wire entry becomes in the kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_interface
from typing import Any
from uuid import UUID

import pytest

from dataplane.entries import (
    Anchor,
    Blackhole,
    Check,
    CheckProtocol,
    Discard,
    Fallback,
    Fence,
    Forward,
    GuardAddress,
    GuardPort,
    GuestAddress,
    HostNat,
    Inbound,
    Leg,
    LegState,
    Outbound,
    Peer,
)
from services.netagent import wire
from services.netagent.render import Unrenderable, held, link_name, render

UID = UUID("0123456789abcdef0123456789abcdef")
LINK, GUEST, MAC = "g0123456789ab", UID.hex, "06:00:00:00:00:07"
PORT = wire.Port(UID, bytes.fromhex("060000000007"), wire.PortState.ACTIVE, "web-1")
PREFIX = IPv4Network("198.18.0.5/32")
ADDRESS = wire.Address(PREFIX, UID, ip_interface("198.18.0.5/32"), 7)
PUBLIC, PRIVATE = IPv4Address("198.18.0.6"), IPv4Address("10.1.0.6")
HOSTNAT = wire.HostNat(UID, PUBLIC, PRIVATE, inbound=True, outbound=True, sequence=7)


def test_a_port_is_a_leg_and_its_guard() -> None:
    assert render(PORT, {}) == [Leg(LINK, GUEST, MAC, LegState.ACTIVE, "web-1"), GuardPort(LINK, MAC)]
    assert len(link_name(UID)) <= 15


@pytest.mark.parametrize("state", list(wire.PortState))
def test_a_legs_state_is_the_ports(state: wire.PortState) -> None:
    leg = render(replace(PORT, state=state), {})[0]
    assert isinstance(leg, Leg)
    assert leg.state.name == state.name


def test_an_announced_address_is_guarded_forwarded_configured_and_anchored() -> None:
    assert render(ADDRESS, {UID: PORT}) == [
        GuardAddress(LINK, PREFIX),
        Forward(PREFIX, LINK, MAC),
        GuestAddress(GUEST, ip_interface("198.18.0.5/32")),
        Anchor(PREFIX, 7),
    ]


def test_an_address_without_sequence_is_not_announced() -> None:
    assert not any(isinstance(row, Anchor) for row in render(replace(ADDRESS, sequence=0), {UID: PORT}))


def test_an_address_with_a_fallback_has_a_second_route() -> None:
    peer = IPv4Address("172.31.0.9")
    assert Fallback(PREFIX, peer) in render(replace(ADDRESS, fallback=peer), {UID: PORT})


@pytest.mark.parametrize("state", [wire.PortState.STANDBY, wire.PortState.LEAVING])
def test_a_guest_is_configured_only_where_it_is_active(state: wire.PortState) -> None:
    """While an instance moves, the hypervisor that is left must not take its addresses away."""
    rows = render(ADDRESS, {UID: replace(PORT, state=state)})
    assert not any(isinstance(row, GuestAddress) for row in rows)
    assert Forward(PREFIX, LINK, MAC) in rows


def test_an_ipv6_prefix_renders_alike() -> None:
    prefix = IPv6Network("2001:db8:5::/64")
    rows = render(wire.Address(prefix, UID, ip_interface("2001:db8:5::10/64"), 2), {UID: PORT})
    assert rows == [
        GuardAddress(LINK, prefix),
        Forward(prefix, LINK, MAC),
        GuestAddress(GUEST, ip_interface("2001:db8:5::10/64")),
        Anchor(prefix, 2),
    ]


@pytest.mark.parametrize("entry", [ADDRESS, HOSTNAT], ids=["address", "hostnat"])
def test_an_entry_whose_port_is_not_here_means_nothing(entry: wire.Entry) -> None:
    with pytest.raises(Unrenderable) as refused:
        render(entry, {})
    assert refused.value.code == "agent.entry.no_port"


def test_a_switched_hostnat_port_is_rewritten_forwarded_and_anchored() -> None:
    assert render(HOSTNAT, {UID: PORT}) == [
        GuardAddress(LINK, IPv4Network(PRIVATE)),
        HostNat(LINK, PUBLIC, PRIVATE, inbound=True, outbound=True),
        Forward(IPv4Network(PUBLIC), LINK, MAC),
        Anchor(IPv4Network(PUBLIC), 7),
    ]


def test_a_prepared_hostnat_port_is_silent() -> None:
    rows = render(replace(HOSTNAT, outbound=False, sequence=0), {UID: PORT})
    assert rows[1:] == [
        HostNat(LINK, PUBLIC, PRIVATE, inbound=True, outbound=False),
        Forward(IPv4Network(PUBLIC), LINK, MAC),
    ]


def test_the_guard_never_lets_a_guest_use_the_public_address_of_its_hostnat() -> None:
    rows = render(HOSTNAT, {UID: PORT})
    assert {row.prefix for row in rows if isinstance(row, GuardAddress)} == {IPv4Network(PRIVATE)}


def test_a_moving_hostnat_port_has_a_fallback() -> None:
    peer = IPv4Address("172.31.0.9")
    assert Fallback(IPv4Network(PUBLIC), peer) in render(replace(HOSTNAT, fallback=peer), {UID: PORT})


def test_a_hostnat_port_that_takes_nothing_is_not_routed() -> None:
    rows = render(replace(HOSTNAT, inbound=False, outbound=False, sequence=0), {UID: PORT})
    assert not any(isinstance(row, Forward | Anchor) for row in rows)


@pytest.mark.parametrize(
    "other",
    [{"sequence": 0}, {"outbound": False}, {"outbound": False, "sequence": 0, "fallback": IPv4Address("172.31.0.9")}],
)
def test_a_hostnat_port_that_would_lose_packets_means_nothing(other: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable) as refused:
        render(replace(HOSTNAT, inbound=False, **other), {UID: PORT})
    assert refused.value.code == "agent.hostnat.not_inbound"


def test_the_rest_is_one_row_each() -> None:
    one, other = IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9")
    assert render(wire.Peer(one), {}) == [Peer(one)]
    assert render(wire.NodePrefix(PREFIX), {}) == [Anchor(PREFIX, 1)]
    assert render(wire.Aggregate(PREFIX), {}) == [Discard(PREFIX)]
    assert render(wire.Inbound(one, other), {}) == [Inbound(one, other)]
    assert render(wire.Outbound(other, one), {}) == [Outbound(other, one)]
    assert render(wire.Fence(one), {}) == [Fence(one)]
    assert render(wire.Blackhole(PREFIX, one), {}) == [Blackhole(PREFIX, one)]
    assert render(wire.Blackhole(PREFIX), {}) == [Blackhole(PREFIX)]
    icmp = wire.HealthCheck(one, UID, wire.CheckProtocol.ICMP, 0, 100, 3, 10)
    assert render(icmp, {}) == [Check(one, UID, CheckProtocol.ICMP, 0, 100, 3, 10)]


def test_an_entry_is_known_by_the_rows_it_was_rendered_to() -> None:
    one, other = IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9")
    entries: list[wire.Entry] = [
        *(PORT, replace(ADDRESS, fallback=one), replace(ADDRESS, prefix=IPv6Network("2001:db8:5::/64"), sequence=0)),
        *(HOSTNAT, wire.Address(IPv4Network(PRIVATE), UID, ip_interface(f"{PRIVATE}/32"))),
        *(wire.Peer(one), wire.NodePrefix(IPv4Network("10.1.0.0/24")), wire.NodePrefix(IPv6Network("2001:db8::/56"))),
        *(wire.Aggregate(PREFIX), wire.Inbound(one, other), wire.Outbound(other, one)),
        *(wire.Fence(one), wire.Blackhole(PREFIX, one), wire.Blackhole(PREFIX)),
        wire.HealthCheck(one, UID, wire.CheckProtocol.ICMP, 0, 100, 3, 10),
    ]
    rows = [row for entry in entries for row in render(entry, {UID: PORT})]
    assert held(rows) == {wire.EntryKey.of(entry) for entry in entries}


@pytest.mark.parametrize("other", [{"port": 80}, {"protocol": wire.CheckProtocol.TCP}, {"interval_ms": 0}])
def test_a_check_that_could_find_nothing_is_refused(other: dict[str, Any]) -> None:
    check = wire.HealthCheck(IPv4Address("198.18.0.9"), UID, wire.CheckProtocol.ICMP, 0, 100, 3, 10)
    with pytest.raises(Unrenderable) as refused:
        render(replace(check, **other), {})
    assert refused.value.code == "agent.check.senseless"
