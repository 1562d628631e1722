"""Addresses bound to a node: which a port gets, and what its guest configures of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

BITS = {4: 32, 6: 64}  # a NAT guest gets one 10.x and one legacy /64
FIRST = 2  # the network's own address and the hypervisor's are not given out


def lowest_free(within: Prefix, taken: Iterable[Prefix]) -> Prefix | None:
    """The lowest part of `within` to give out that is not `taken`; None when none is left. The last is kept back."""
    bits = BITS[within.version]
    step = 1 << (within.max_prefixlen - bits)
    base, used = int(within.network_address), {int(prefix.network_address) for prefix in taken}
    for number in range(FIRST, within.num_addresses // step - 1):
        value = base + number * step
        if value not in used:
            return ip_network((value.to_bytes(within.max_prefixlen // 8, "big"), bits))
    return None


@lru_cache(1 << 16)
def host_of(prefix: Prefix) -> Interface:
    """What the guest configures: the address itself, or the first of a /64."""
    if isinstance(prefix, IPv4Network):
        return IPv4Interface((prefix.network_address, prefix.prefixlen))
    return IPv6Interface((prefix.network_address + 1, prefix.prefixlen))
