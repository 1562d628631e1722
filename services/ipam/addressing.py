"""Addresses as integers: carving prefixes, choosing a place in one, interface identifiers. Pure.

Loops work on integers; `ipaddress` objects appear at the edges alone. A `Range` is a prefix seen as a row of `count`
units of equal size, the unit being what one reservation gets (an IPv4 /32, an IPv6 /64).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from services.ipam.errors import (
    AddressMalformed,
    PoolLength,
    PrefixFamily,
    PrefixLength,
    PrefixMalformed,
)
from services.ipam.wire import Family

RandBelow = Callable[[int], int]
"""A random integer in [0, n), as `secrets.randbelow`."""

BITS = {Family.IPV4: 32, Family.IPV6: 128}
UNIT_LENGTH = {Family.IPV4: 32, Family.IPV6: 64}
SHORTEST_PREFIX = {Family.IPV4: 8, Family.IPV6: 16}
SHORTEST_UNIT_IPV6 = 48

# RFC 5453: identifiers of subnet anycast addresses, which no interface may take.
_ANYCAST_IDS = range(0xFDFF_FFFF_FFFF_FF80, 0xFDFF_FFFF_FFFF_FFFF + 1)


@dataclass(frozen=True, slots=True)
class Range:
    """A prefix as `count` units of length `unit_length`; `network` is the integer of its first address."""

    family: Family
    network: int
    length: int
    unit_length: int

    @property
    def count(self) -> int:
        return 1 << (self.unit_length - self.length)

    def unit(self, index: int) -> int:
        """The first address of unit `index`."""
        return self.network + (index << (BITS[self.family] - self.unit_length))

    def cidr(self, index: int) -> str:
        return text(self.family, self.unit(index), self.unit_length)

    def window(self, start: int, size: int) -> Iterator[str]:
        """`size` units (at most all) from `start`, going round at the end."""
        count = self.count
        for step in range(min(size, count)):
            yield self.cidr((start + step) % count)


def text(family: Family, number: int, length: int) -> str:
    """The canonical CIDR form of an integer address."""
    address = ipaddress.IPv4Address(number) if family is Family.IPV4 else ipaddress.IPv6Address(number)
    return f"{address}/{length}"


def family_of(cidr: str) -> Family:
    return Family.IPV6 if ":" in cidr else Family.IPV4


def range_of(cidr: str, unit_length: int) -> Range:
    """`cidr`, which the database already holds, as a Range."""
    network = ipaddress.ip_network(cidr)
    return Range(family_of(cidr), int(network.network_address), network.prefixlen, unit_length)


def unit_length(family: Family, asked: int | None) -> int:
    """The length of what a pool hands out. Raises PoolLength."""
    if asked is None:
        return UNIT_LENGTH[family]
    if family is Family.IPV4 and asked != 32:
        raise PoolLength(f"an IPv4 pool hands out /32s, not /{asked}")
    if family is Family.IPV6 and not SHORTEST_UNIT_IPV6 <= asked <= UNIT_LENGTH[family]:
        raise PoolLength(f"an IPv6 pool hands out prefixes from /48 to /64, not /{asked}")
    return asked


def parse_prefix(cidr: str, family: Family, longest: int, shortest: int | None = None) -> str:
    """`cidr` in canonical form, by default fit for a pool that hands out units of length `longest`.

    Raises PrefixMalformed, PrefixFamily, PrefixLength.
    """
    if "/" not in cidr:
        raise PrefixMalformed(f"{cidr!r} has no length; write it as {cidr}/N")
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError as error:
        raise PrefixMalformed(f"{cidr!r} is not a prefix: {error}") from error
    if family_of(cidr) is not family:
        raise PrefixFamily(f"{cidr} is not {family}")
    if network.is_multicast or network.is_loopback or network.is_link_local or network.is_unspecified:
        raise PrefixMalformed(f"{cidr} cannot be routed to anybody")
    shortest = SHORTEST_PREFIX[family] if shortest is None else shortest
    if not shortest <= network.prefixlen <= longest:
        raise PrefixLength(f"{cidr}: it must be between /{shortest} and /{longest} long")
    return str(network)


def parse_carried(cidr: str) -> str:
    """A legacy IPv6 prefix in canonical form. Raises PrefixMalformed, PrefixFamily, PrefixLength."""
    return parse_prefix(cidr, Family.IPV6, UNIT_LENGTH[Family.IPV6], SHORTEST_UNIT_IPV6)


def overlapping(cidrs: Iterable[str]) -> tuple[str, str] | None:
    """Two of some IPv6 prefixes that overlap. Sorted, a prefix is followed by what lies in it."""
    ordered = sorted(map(ipaddress.IPv6Network, cidrs))
    return next(((str(one), str(other)) for one, other in pairwise(ordered) if one.overlaps(other)), None)


def parse_address(address: str, family: Family) -> str:
    """One address, or the prefix of one, as a CIDR; a bare IPv6 address keeps /128. Raises AddressMalformed."""
    try:
        network = ipaddress.ip_network(address)
    except ValueError as error:
        raise AddressMalformed(f"{address!r} is not an address: {error}") from error
    if family_of(address) is not family:
        raise AddressMalformed(f"{address} is not {family}; name the family with it")
    return str(network)


def unit_named(cidr: str, pool_unit_length: int) -> str:
    """The unit of a pool that `cidr`, from `parse_address`, names. Raises AddressMalformed.

    A bare address names the unit that starts with it; a prefix must have the pool's length.
    """
    network = ipaddress.ip_network(cidr)
    family = family_of(cidr)
    if network.prefixlen not in {pool_unit_length, BITS[family]}:
        raise AddressMalformed(f"{cidr}: this pool hands out /{pool_unit_length}s")
    number = int(network.network_address)
    if number & ((1 << (BITS[family] - pool_unit_length)) - 1):
        raise AddressMalformed(f"{cidr} lies within a /{pool_unit_length}; name the /{pool_unit_length} itself")
    return text(family, number, pool_unit_length)


def interface_address(cidr: str, randbelow: RandBelow) -> str:
    """The address a guest takes within its IPv6 prefix: a random interface identifier (RFC 7217 in spirit).

    Neither the subnet-router anycast address (RFC 4291 §2.6.1) nor a reserved one (RFC 5453).
    """
    network = ipaddress.ip_network(cidr)
    while True:
        identifier = randbelow(1 << 64)
        if identifier and identifier not in _ANYCAST_IDS:
            return str(ipaddress.IPv6Address(int(network.network_address) | identifier))


def first_address(cidr: str) -> str:
    """What the guest of a legacy prefix has configured: `::1` of it."""
    return str(ipaddress.IPv6Network(cidr)[1])


def shown(cidr: str) -> str:
    """As people write it: an IPv4 address bare, an IPv6 prefix with its length."""
    return cidr.removesuffix("/32") if family_of(cidr) is Family.IPV4 else cidr


def host(cidr: str, interface_id: str | None) -> str:
    """What the guest configures: the whole address with the prefix's length."""
    if interface_id is None:
        return cidr
    return f"{interface_id}/{cidr.partition('/')[2]}"
