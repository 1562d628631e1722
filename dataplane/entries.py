"""The rows of the kernel tables we program: one class per table, one instance per row.

An entry is what a driver writes and, read back, what it compares. Each has a `key`: two entries with equal keys are
two states of the same row. Addresses are `ipaddress` objects; MAC addresses are lower-case `aa:bb:cc:dd:ee:ff`.
Link names are kernel interface names in the namespace the driver works in.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from uuid import UUID

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface


class LegState(enum.StrEnum):
    """What a leg does for its guest."""

    ACTIVE = "active"  # carries the guest's traffic; every other leg of that guest is down
    STANDBY = "standby"  # in place, its bridge port disabled
    LEAVING = "leaving"  # another leg may take over at any time; ours is not defended
    UNSOUND = "unsound"  # only ever read: the link is not as we make it, or plays none of these parts


@dataclass(frozen=True, slots=True)
class Leg:
    """Our end of a guest's link, and which part it plays.

    `guest` names the guest whose namespace holds the other end. A tap of that name which exists already is adopted.
    """

    link: str
    guest: str
    mac: str  # of the guest's NIC
    state: LegState
    name: str = ""  # of the instance: the guest's host name
    takes: bool = field(default=True, compare=False)  # put ACTIVE: also the guest that another leg carries

    @property
    def key(self) -> Hashable:
        return self.link


@dataclass(frozen=True, slots=True)
class GuestAddress:
    """An address the guest configures on its NIC, as cloud-init would tell it."""

    guest: str
    address: Interface

    @property
    def key(self) -> Hashable:
        return (self.guest, self.address)


@dataclass(frozen=True, slots=True)
class GuardPort:
    """A guest link's anti-spoofing row: without one, every frame from and to the link is dropped."""

    link: str
    mac: str

    @property
    def key(self) -> Hashable:
        return self.link


@dataclass(frozen=True, slots=True)
class GuardAddress:
    """One prefix that a guest link may send from and be sent to."""

    link: str
    prefix: Prefix

    @property
    def key(self) -> Hashable:
        return (self.link, self.prefix)


@dataclass(frozen=True, slots=True)
class HostNat:
    """A guest link's 1:1 NAT: the guest has `private`, the world knows it by `public`. One row a link.

    The guard lies inside: it needs `private`, and nothing of `public`. Outbound alone is refused: no answer would come.
    """

    link: str
    public: IPv4Address
    private: IPv4Address
    inbound: bool  # what is for `public` goes on to `private`
    outbound: bool  # what comes from `private` leaves with `public`, unless the peer is private too

    @property
    def key(self) -> Hashable:
        return self.link


@dataclass(frozen=True, slots=True)
class Forward:
    """Route to a guest's link in the forwarding table, with the permanent neighbour it needs.

    An IPv4 prefix is a /32 and its own neighbour; an IPv6 prefix goes by the guest's link-local address (from `mac`).
    """

    prefix: Prefix
    link: str
    mac: str

    @property
    def key(self) -> Hashable:
        return self.prefix


@dataclass(frozen=True, slots=True)
class Fallback:
    """Route taken when the guest's link has no carrier: the hypervisor `peer` (its VXLAN endpoint) has the guest."""

    prefix: Prefix
    peer: IPv4Address

    @property
    def key(self) -> Hashable:
        return self.prefix


@dataclass(frozen=True, slots=True)
class Peer:
    """Another hypervisor's VXLAN endpoint: a permanent neighbour and forwarding-database row on the VXLAN link."""

    endpoint: IPv4Address

    @property
    def key(self) -> Hashable:
        return self.endpoint


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row of the announcement table: tells the fabric that `prefix` is here, never how we forward.

    `sequence` is the route's metric, from 1; higher wins in the fabric (RFC 7432 §7.7 does the same for MAC mobility).
    """

    prefix: Prefix
    sequence: int

    @property
    def key(self) -> Hashable:
        return (self.prefix, self.sequence)


@dataclass(frozen=True, slots=True)
class Discard:
    """`unreachable` route of last resort for an aggregate on the edge: what nobody holds is answered, not looped."""

    prefix: Prefix

    @property
    def key(self) -> Hashable:
        return self.prefix


@dataclass(frozen=True, slots=True)
class Fence:
    """A node held apart: the edge's link to `neighbour`, the node's end of it, is down."""

    neighbour: IPv4Address
    closed: bool = True  # False is only ever read: another hand has set the link up

    @property
    def key(self) -> Hashable:
        return self.neighbour


@dataclass(frozen=True, slots=True)
class Blackhole:
    """The edge discards what is for `prefix`, whoever announces it.

    With a `neighbour`, the node's end of a link, only what would leave by that link, and what comes in by it from
    `prefix`.
    """

    prefix: Prefix
    neighbour: IPv4Address | None = None

    @property
    def key(self) -> Hashable:
        return (self.prefix, self.neighbour)


@dataclass(frozen=True, slots=True)
class Inbound:
    """NAT, towards guests: destination `public` is rewritten to `private`."""

    public: IPv4Address
    private: IPv4Address

    @property
    def key(self) -> Hashable:
        return self.public


@dataclass(frozen=True, slots=True)
class Outbound:
    """NAT, from guests: source `private` is rewritten to `public`. Several private addresses may share one public."""

    private: IPv4Address
    public: IPv4Address

    @property
    def key(self) -> Hashable:
        return self.private


class CheckProtocol(enum.StrEnum):
    """What a health check asks for: an answer to an echo, or a connection."""

    ICMP = "icmp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Check:
    """A health check that this node runs, of who holds an address: no kernel's row, but held and read back like one.

    `holder` tells one holder of the address from the next: with another it begins anew. It is down after `threshold`
    probes in a row, `interval_ms` apart, that nobody answered; but not within `hold_down_s` of its beginning, unless it
    had been up.
    """

    address: IPv4Address | IPv6Address
    holder: UUID
    protocol: CheckProtocol
    port: int  # of TCP; else 0
    interval_ms: int
    threshold: int
    hold_down_s: int

    @property
    def key(self) -> Hashable:
        return self.address


Entry = (
    Leg
    | GuestAddress
    | GuardPort
    | GuardAddress
    | HostNat
    | Forward
    | Fallback
    | Peer
    | Anchor
    | Discard
    | Fence
    | Blackhole
    | Inbound
    | Outbound
    | Check
)
