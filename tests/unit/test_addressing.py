"""Carving prefixes and reading addresses."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given, strategies as st

from common.errors import Invalid
from services.ipam import addressing
from services.ipam.wire import Family


@st.composite
def prefixes(draw: st.DrawFn) -> tuple[str, int]:
    """A prefix and the length of its units."""
    family = draw(st.sampled_from(Family))
    bits, unit = addressing.BITS[family], addressing.UNIT_LENGTH[family]
    length = draw(st.integers(addressing.SHORTEST_PREFIX[family], unit))
    number = draw(st.integers(0, (1 << length) - 1)) << (bits - length)
    return addressing.text(family, number, length), unit


@given(prefixes(), st.integers(0))
def test_every_unit_of_a_prefix_lies_in_it_and_is_as_the_library_counts(prefix: tuple[str, int], index: int) -> None:
    cidr, unit = prefix
    units = addressing.range_of(cidr, unit)
    index %= units.count

    carved = ipaddress.ip_network(units.cidr(index))

    network = ipaddress.ip_network(cidr)
    assert carved.prefixlen == unit
    assert int(carved.network_address) - int(network.network_address) == index * carved.num_addresses
    assert int(carved.broadcast_address) <= int(network.broadcast_address)
    assert units.count * carved.num_addresses == network.num_addresses


def test_all_addresses_of_a_prefix_are_carved_once_its_first_and_last_too() -> None:
    units = addressing.range_of("198.18.0.8/29", 32)

    assert list(units.window(0, 100)) == [f"198.18.0.{n}/32" for n in range(8, 16)]


def test_a_window_goes_round_at_the_end() -> None:
    units = addressing.range_of("2001:db8::/62", 64)

    assert list(units.window(3, 2)) == ["2001:db8:0:3::/64", "2001:db8::/64"]


@pytest.mark.parametrize(
    ("cidr", "family", "code"),
    [
        ("198.18.0.1/24", Family.IPV4, "ipam.prefix.malformed"),  # host bits
        ("198.18.0.0", Family.IPV4, "ipam.prefix.malformed"),
        ("nonsense/24", Family.IPV4, "ipam.prefix.malformed"),
        ("198.18.0.0/33", Family.IPV4, "ipam.prefix.malformed"),
        ("224.0.0.0/8", Family.IPV4, "ipam.prefix.malformed"),
        ("127.0.0.0/8", Family.IPV4, "ipam.prefix.malformed"),
        ("fe80::/48", Family.IPV6, "ipam.prefix.malformed"),
        ("2001:db8::/48", Family.IPV4, "ipam.prefix.family"),
        ("198.18.0.0/24", Family.IPV6, "ipam.prefix.family"),
        ("0.0.0.0/0", Family.IPV4, "ipam.prefix.length"),
        ("64.0.0.0/7", Family.IPV4, "ipam.prefix.length"),
        ("2001:db8::/65", Family.IPV6, "ipam.prefix.length"),
        ("2000::/8", Family.IPV6, "ipam.prefix.length"),
    ],
)
def test_a_prefix_no_pool_can_hold_is_refused(cidr: str, family: Family, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        addressing.parse_prefix(cidr, family, addressing.UNIT_LENGTH[family])

    assert refused.value.code == code


def test_prefixes_are_kept_in_canonical_form() -> None:
    assert addressing.parse_prefix("2001:0DB8:0::/48", Family.IPV6, 64) == "2001:db8::/48"


@pytest.mark.parametrize(
    ("address", "family", "unit", "named"),
    [
        ("198.18.0.7", Family.IPV4, 32, "198.18.0.7/32"),
        ("198.18.0.7/32", Family.IPV4, 32, "198.18.0.7/32"),
        ("2001:db8::/64", Family.IPV6, 64, "2001:db8::/64"),
        ("2001:DB8:0:5::", Family.IPV6, 64, "2001:db8:0:5::/64"),
        ("2001:db8:5::/56", Family.IPV6, 56, "2001:db8:5::/56"),
    ],
)
def test_an_address_names_the_unit_that_starts_with_it(address: str, family: Family, unit: int, named: str) -> None:
    assert addressing.unit_named(addressing.parse_address(address, family), unit) == named


@pytest.mark.parametrize(
    ("address", "family", "unit"),
    [
        ("198.18.0.0/31", Family.IPV4, 32),
        ("198.18.0.300", Family.IPV4, 32),
        ("2001:db8::1", Family.IPV6, 64),
        ("2001:db8::/63", Family.IPV6, 64),
        ("2001:db8::", Family.IPV4, 32),
        ("", Family.IPV4, 32),
    ],
)
def test_what_names_no_single_unit_is_refused(address: str, family: Family, unit: int) -> None:
    with pytest.raises(Invalid) as refused:
        addressing.unit_named(addressing.parse_address(address, family), unit)

    assert refused.value.code == "ipam.address.malformed"


def test_an_interface_address_lies_in_its_prefix_and_is_no_reserved_one() -> None:
    drawn = iter([0, 0xFDFF_FFFF_FFFF_FF80, 0xFDFF_FFFF_FFFF_FFFF, 5])

    assert addressing.interface_address("2001:db8:1::/64", lambda _: next(drawn)) == "2001:db8:1::5"


def test_interface_addresses_differ() -> None:
    rng = random.Random(1)

    drawn = {addressing.interface_address("2001:db8:1::/64", rng.randrange) for _ in range(1000)}

    assert len(drawn) == 1000


def test_addresses_are_shown_and_configured_as_people_write_them() -> None:
    assert addressing.shown("198.18.0.7/32") == "198.18.0.7"
    assert addressing.shown("2001:db8::/64") == "2001:db8::/64"
    assert addressing.host("198.18.0.7/32", None) == "198.18.0.7/32"
    assert addressing.host("2001:db8:1::/64", "2001:db8:1::5") == "2001:db8:1::5/64"


def test_ipv4_pools_hand_out_single_addresses_alone() -> None:
    assert addressing.unit_length(Family.IPV4, None) == 32
    assert addressing.unit_length(Family.IPV6, None) == 64
    assert addressing.unit_length(Family.IPV6, 56) == 56
    for family, asked in ((Family.IPV4, 31), (Family.IPV6, 65), (Family.IPV6, 32)):
        with pytest.raises(Invalid) as refused:
            addressing.unit_length(family, asked)
        assert refused.value.code == "ipam.pool.prefix_length"
