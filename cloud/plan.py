"""What a cloud in namespaces or containers consists of: zones, nodes, links, addresses, prefixes. Pure.

Addresses do not depend on the cloud's name: every cloud lives in namespaces of its own. Names visible on the host
(`ip netns`, directories) bear the cloud's name. Nor does a zone depend on those after it: its nodes, ids and addresses
are the same however many there are. No two zones share an address, a prefix or a name.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path
from uuid import UUID, uuid5

from common.errors import Invalid, NotFound

REGION = "local"

ROUTING_DOMAIN = 65000  # the one AS of the fabric
FABRIC_MTU = 2000  # a guest's 1500 plus VXLAN
GUEST_MTU = 1500
VXLAN_ID = 4242
VXLAN_PORT = 4789
AGENT_PORT = 8443
METRICS_PORT = 9100  # of agents, on their management addresses; of control processes, the first of several

MAIN = 254
ANNOUNCEMENTS = 100  # routing table: what the fabric is told
FORWARDING = 101  # routing table: how a hypervisor reaches its guests
WAY_OUT = 102  # routing table of the edge: `nat`, the gateways' default route for 10.x sources

PRIVATE = IPv4Network("10.0.0.0/8")
FABRIC4 = IPv4Network("172.31.0.0/16")
FABRIC6 = IPv6Network("fd00:31::/32")  # a /64 per link
PROBES4 = IPv4Network("172.31.254.0/24")  # of the fabric: where health checks come from, an address per zone
PROBES6 = IPv6Network("fd00:31:fe::/64")
MANAGEMENT = IPv4Network("172.30.0.0/21")  # a /24 per zone

INTERNET4 = IPv4Network("203.0.113.0/24")  # where `internet` has its address, by which every zone knows it
INTERNET6 = IPv6Network("2001:db8:ffff::/64")

PUBLIC4 = IPv4Network("198.18.0.0/15")  # every pool lies in one of these
PUBLIC6 = IPv6Network("2001:db8::/32")

GUEST_GATEWAY4 = IPv4Address("169.254.0.1")
GUEST_GATEWAY6 = IPv6Address("fe80::1")

MAX_HYPERVISORS = 96
MAX_GATEWAYS = 32
MAX_ZONES = 8

_NAMES = re.compile(r"[a-z][a-z0-9]{0,15}")
_CLOUDS = UUID("6f1c1f5e-0d0c-5a6e-9b1f-7d9a5f0c6a11")


class Stack(enum.StrEnum):
    """What a zone starts with; a conversion changes it."""

    NAT = "nat"
    DUAL = "dual"
    ROUTED = "routed"


class Role(enum.StrEnum):
    EDGE = "edge"
    GATEWAY = "gateway"
    HYPERVISOR = "hypervisor"


@dataclass(frozen=True, slots=True)
class Pool:
    """A supply of public addresses, for instances of either stack."""

    name: str
    prefix: IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """A routed veth between a zone's edge and a node (or `internet`)."""

    name: str  # at the node
    edge_name: str
    mtu: int
    address4: IPv4Interface  # the node's
    address6: IPv6Interface
    edge4: IPv4Interface
    edge6: IPv6Interface


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with an agent and a routing daemon."""

    id: UUID
    name: str
    zone: str
    role: Role
    index: int
    namespace: str
    management: IPv4Address
    management_port: str  # the bridge port of its management leg, in the control namespace
    endpoint: IPv4Address  # where other nodes reach it, over the fabric; a hypervisor's VXLAN endpoint
    links: tuple[Link, ...]  # to the edge; a gateway's are public and private, in this order; the edge has none
    prefixes: tuple[IPv4Network | IPv6Network, ...] = ()  # bound to this node and announced whole

    @property
    def agent_url(self) -> str:
        return f"https://{self.management}:{AGENT_PORT}"

    @property
    def endpoint_ipv6(self) -> IPv6Address | None:
        """Its endpoint in IPv6: the next hop of what this node announces."""
        return self.links[0].address6.ip if self.links else None


@dataclass(frozen=True)
class Zone:
    """An edge with its gateways and hypervisors, and addresses that are no other zone's.

    Raises Invalid for a size that cannot be.
    """

    cloud: str
    number: int  # from 1
    hypervisor_count: int
    gateway_count: int
    alone: bool = True  # in its cloud: then all public space is its own
    bridged: bool = False  # each link lies in a /29 of a container engine, which takes the first address itself

    def __post_init__(self) -> None:
        if not 1 <= self.hypervisor_count <= MAX_HYPERVISORS:
            raise Invalid(f"{self.hypervisor_count} hypervisors: a zone of a local cloud has 1 to {MAX_HYPERVISORS}")
        if not 1 <= self.gateway_count <= MAX_GATEWAYS:
            raise Invalid(f"{self.gateway_count} gateways: a zone of a local cloud has 1 to {MAX_GATEWAYS}")

    @property
    def name(self) -> str:
        return f"zone-{self.number}"

    @property
    def prefix(self) -> str:
        """What the names of its nodes and pools begin with."""
        return "" if self.number == 1 else f"z{self.number}-"

    @property
    def management(self) -> IPv4Network:
        return IPv4Network(f"172.30.{self._offset}.0/24")

    @property
    def probe_source(self) -> IPv4Address:
        """Its edge's, where health checks come from: the hosts' only address that guests may answer."""
        return PROBES4[self.number]

    @property
    def probe_source_ipv6(self) -> IPv6Address:
        return PROBES6[self.number]

    @property
    def control_address(self) -> IPv4Interface:
        """The control processes' address in its management network."""
        return IPv4Interface((self.management[1], self.management.prefixlen))

    @property
    def controllers(self) -> IPv4Network:
        """The control processes' addresses in its management network: a node listens to nobody else there."""
        if self.bridged:
            return IPv4Network((int(self.management[224]), 27))
        return IPv4Network(self.control_address.ip)

    @property
    def public4(self) -> IPv4Network:
        """Where its public addresses lie: what `internet` and other zones send to its edge."""
        return PUBLIC4 if self.alone else IPv4Network((int(PUBLIC4[0x4000 * self._offset]), 18))

    @property
    def public6(self) -> IPv6Network:
        return PUBLIC6 if self.alone else IPv6Network(f"2001:db8:{self._offset}000::/36")

    @property
    def pools(self) -> tuple[Pool, ...]:
        return (
            Pool(f"{self.prefix}public", IPv4Network((int(PUBLIC4[0x4000 * self._offset]), 20))),
            Pool(f"{self.prefix}public-v6", IPv6Network(f"2001:db8:{self._offset}100::/40")),
        )

    @cached_property
    def uplink(self) -> Link:
        """The edge's link to `internet`, whose end is `address4` and `address6`."""
        four = INTERNET4 if self.number == 1 else IPv4Network(f"198.51.100.{4 * self._offset}/30")
        six = IPv6Network(f"2001:db8:ffff:{self._offset}::/64")
        return Link(
            name=f"up{self._offset}",
            edge_name="internet0",
            mtu=GUEST_MTU,
            address4=IPv4Interface((four[2], four.prefixlen)),
            address6=IPv6Interface((six[2], six.prefixlen)),
            edge4=IPv4Interface((four[1], four.prefixlen)),
            edge6=IPv6Interface((six[1], six.prefixlen)),
        )

    @cached_property
    def edge(self) -> Node:
        return self._node(Role.EDGE, 0, 2, ())

    @cached_property
    def gateways(self) -> tuple[Node, ...]:
        return tuple(self._gateway(index) for index in range(1, self.gateway_count + 1))

    @cached_property
    def hypervisors(self) -> tuple[Node, ...]:
        return tuple(self._hypervisor(index) for index in range(1, self.hypervisor_count + 1))

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.edge, *self.gateways, *self.hypervisors)

    @property
    def _offset(self) -> int:
        return self.number - 1

    def _node(
        self,
        role: Role,
        index: int,
        host: int,
        links: tuple[Link, ...],
        prefixes: tuple[IPv4Network | IPv6Network, ...] = (),
    ) -> Node:
        name = f"{self.prefix}{role}-{index}" if index else f"{self.prefix}{role}"
        return Node(
            id=uuid5(_CLOUDS, f"{self.cloud}/{name}"),
            name=name,
            zone=self.name,
            role=role,
            index=index,
            namespace=f"{self.cloud}-{name}",
            management=self.management[host],
            management_port=f"m-{self.prefix}{role[0]}{index}",
            endpoint=links[0].address4.ip if links else FABRIC4[65534 - self._offset],
            links=links,
            prefixes=prefixes,
        )

    def _gateway(self, index: int) -> Node:
        pools = tuple(pool.prefix for pool in self.pools if pool.prefix.version == 4)  # one longer prefix beats them
        links = (
            self._fabric_link("public0", f"pub{index}", 100 + index, 0),
            self._fabric_link("private0", f"priv{index}", 100 + index, 1),
        )
        return self._node(Role.GATEWAY, index, 10 + index, links, pools)

    def _hypervisor(self, index: int) -> Node:
        four = IPv4Network(f"10.{index}.{16 * self._offset}.0/20")
        six = IPv6Network(f"2001:db8:{self._offset}{index:03}::/48")
        links = (self._fabric_link("fabric0", f"hv{index}", index, 0),)
        return self._node(Role.HYPERVISOR, index, 100 + index, links, (four, six))

    def _fabric_link(self, name: str, edge_name: str, number: int, side: int) -> Link:
        """A link between the edge and a node; its IPv6 addresses end in its IPv4 ones, so either names the node."""
        pair = 2 * self._offset + side
        four = IPv4Network(f"172.31.{number}.{8 * pair + 2 if self.bridged else 2 * pair}/31")
        six = IPv6Network(f"fd00:31:{self._offset}{side}:{number}::/64")
        return Link(
            name=name,
            edge_name=edge_name,
            mtu=FABRIC_MTU,
            address4=IPv4Interface((four[1], 31)),
            address6=IPv6Interface((six[int(four[1])], 64)),
            edge4=IPv4Interface((four[0], 31)),
            edge6=IPv6Interface((six[int(four[0])], 64)),
        )


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a cloud keeps what: run state dies with the machine, data does not."""

    run: Path
    data: Path
    log: Path

    @classmethod
    def of(cls, name: str) -> Paths:
        return cls(Path("/run/godwit") / name, Path("/var/lib/godwit") / name, Path("/var/log/godwit") / name)

    @property
    def bpf(self) -> Path:
        return self.run / "bpf"

    @property
    def bird(self) -> Path:
        return self.run / "bird"

    @property
    def guests(self) -> Path:
        return self.run / "guests"

    @property
    def disks(self) -> Path:
        """Of all guests, as shared storage of all hypervisors."""
        return self.data / "disks"

    @property
    def archives(self) -> Path:
        """The object store of stopped guests' disks, unless it is told another."""
        return self.data / "archives"

    @property
    def guest_socket(self) -> Path:
        return self.run / "guests.sock"

    @property
    def control_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def postgres_socket(self) -> Path:
        return self.run / "postgres"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis" / "redis.sock"

    @property
    def pki(self) -> Path:
        return self.data / "pki"

    @property
    def keys(self) -> Path:
        """Public keys of everyone whose tokens count, `<kid>.pem`."""
        return self.pki / "keys"


@dataclass(frozen=True)
class Plan:
    """One local cloud. Raises Invalid for a name or number that cannot be."""

    name: str
    hypervisor_count: int = 3  # of the first zone
    gateway_count: int = 2
    more_zones: tuple[tuple[int, int], ...] = ()  # hypervisors and gateways of each zone after the first
    bridged: bool = False  # as in Zone

    def __post_init__(self) -> None:
        if not _NAMES.fullmatch(self.name):
            raise Invalid(f"cloud name {self.name!r}: a small letter, then up to 15 small letters and digits")
        if len(self.more_zones) >= MAX_ZONES:
            raise Invalid(f"{len(self.more_zones) + 1} zones: a local cloud has 1 to {MAX_ZONES}")
        _ = self.zones

    @cached_property
    def zones(self) -> tuple[Zone, ...]:
        sizes = ((self.hypervisor_count, self.gateway_count), *self.more_zones)
        alone = len(sizes) == 1
        return tuple(Zone(self.name, number, *size, alone, self.bridged) for number, size in enumerate(sizes, 1))

    @property
    def paths(self) -> Paths:
        return Paths.of(self.name)

    def namespace(self, part: str) -> str:
        return f"{self.name}-{part}"

    @property
    def control(self) -> str:
        """The namespace of the control processes, and of the management network's bridge."""
        return self.namespace("control")

    @property
    def internet(self) -> str:
        return self.namespace("internet")

    @property
    def management(self) -> IPv4Network:
        """All management addresses of the cloud."""
        return self.zones[0].management if len(self.zones) == 1 else MANAGEMENT

    @property
    def uplink(self) -> Link:
        """The first zone's, as are `edge`, `gateways` and `hypervisors`: for clouds that have one zone."""
        return self.zones[0].uplink

    @property
    def edge(self) -> Node:
        return self.zones[0].edge

    @property
    def gateways(self) -> tuple[Node, ...]:
        return self.zones[0].gateways

    @property
    def hypervisors(self) -> tuple[Node, ...]:
        return self.zones[0].hypervisors

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every zone's."""
        return tuple(node for zone in self.zones for node in zone.nodes)

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.control, self.internet, *(node.namespace for node in self.nodes))

    def node(self, name: str) -> Node:
        """Raises NotFound."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise NotFound(f"cloud {self.name} has no node {name}; it has {known}")

    def zone(self, name: str) -> Zone:
        """Raises NotFound."""
        for zone in self.zones:
            if zone.name == name:
                return zone
        known = ", ".join(zone.name for zone in self.zones)
        raise NotFound(f"cloud {self.name} has no zone {name}; it has {known}")
