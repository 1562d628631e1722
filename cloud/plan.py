"""What a local cloud consists of: nodes, links, addresses, prefixes. Pure: from a name and two numbers.

Addresses do not depend on the cloud's name: every cloud lives in namespaces of its own. Names visible on the host
(`ip netns`, directories) bear the cloud's name.
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

ZONE = "zone-1"
REGION = "local"

ROUTING_DOMAIN = 65000  # the one AS of the fabric
FABRIC_MTU = 2000  # a guest's 1500 plus VXLAN
GUEST_MTU = 1500
VXLAN_ID = 4242
VXLAN_PORT = 4789
AGENT_PORT = 8443

MAIN = 254
ANNOUNCEMENTS = 100  # routing table: what the fabric is told
FORWARDING = 101  # routing table: how a hypervisor reaches its guests
WAY_OUT = 102  # routing table of the edge: `nat`, the gateways' default route for 10.x sources

PRIVATE = IPv4Network("10.0.0.0/8")
FABRIC4 = IPv4Network("172.31.0.0/16")
FABRIC6 = IPv6Network("fd00:31::/32")  # a /64 per link
MANAGEMENT = IPv4Network("172.30.0.0/24")
CONTROL_ADDRESS = IPv4Address("172.30.0.1")

INTERNET4 = IPv4Network("203.0.113.0/24")
INTERNET6 = IPv6Network("2001:db8:ffff::/64")

PUBLIC4 = IPv4Network("198.18.0.0/15")  # every pool lies in one of these
PUBLIC6 = IPv6Network("2001:db8::/32")

GUEST_GATEWAY4 = IPv4Address("169.254.0.1")
GUEST_GATEWAY6 = IPv6Address("fe80::1")

MAX_HYPERVISORS = 96
MAX_GATEWAYS = 32

_NAMES = re.compile(r"[a-z][a-z0-9]{0,15}")
_CLOUDS = UUID("6f1c1f5e-0d0c-5a6e-9b1f-7d9a5f0c6a11")


class Role(enum.StrEnum):
    EDGE = "edge"
    GATEWAY = "gateway"
    HYPERVISOR = "hypervisor"


@dataclass(frozen=True, slots=True)
class Pool:
    """A supply of public addresses, for instances of either stack."""

    name: str
    prefix: IPv4Network | IPv6Network


POOLS = (
    Pool("public", IPv4Network("198.18.0.0/20")),
    Pool("public-v6", IPv6Network("2001:db8:100::/40")),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A routed veth between the edge and a node (or `internet`)."""

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
    role: Role
    index: int
    namespace: str
    management: IPv4Address
    links: tuple[Link, ...]  # to the edge; a gateway's are public and private, in this order; the edge has none
    prefixes: tuple[IPv4Network | IPv6Network, ...] = ()  # bound to this node and announced whole

    @property
    def agent_url(self) -> str:
        return f"https://{self.management}:{AGENT_PORT}"

    @property
    def management_port(self) -> str:
        """The bridge port of this node's management leg, in the control namespace."""
        return f"m-{self.role[0]}{self.index}"

    @property
    def endpoint(self) -> IPv4Address:
        """The address other nodes reach this one at, over the fabric; a hypervisor's VXLAN endpoint."""
        if not self.links:
            return EDGE_ROUTER_ID
        return self.links[0].address4.ip

    @property
    def endpoint_ipv6(self) -> IPv6Address | None:
        """The same in IPv6: the next hop of what this node announces."""
        return self.links[0].address6.ip if self.links else None


EDGE_ROUTER_ID = FABRIC4[65535 - 1]


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
    hypervisor_count: int = 3
    gateway_count: int = 2

    def __post_init__(self) -> None:
        if not _NAMES.fullmatch(self.name):
            raise Invalid(f"cloud name {self.name!r}: a small letter, then up to 15 small letters and digits")
        if not 1 <= self.hypervisor_count <= MAX_HYPERVISORS:
            raise Invalid(f"{self.hypervisor_count} hypervisors: a local cloud has 1 to {MAX_HYPERVISORS}")
        if not 1 <= self.gateway_count <= MAX_GATEWAYS:
            raise Invalid(f"{self.gateway_count} gateways: a local cloud has 1 to {MAX_GATEWAYS}")

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

    @cached_property
    def uplink(self) -> Link:
        return Link(
            name="up0",
            edge_name="internet0",
            mtu=GUEST_MTU,
            address4=IPv4Interface((INTERNET4[2], INTERNET4.prefixlen)),
            address6=IPv6Interface((INTERNET6[2], INTERNET6.prefixlen)),
            edge4=IPv4Interface((INTERNET4[1], INTERNET4.prefixlen)),
            edge6=IPv6Interface((INTERNET6[1], INTERNET6.prefixlen)),
        )

    @cached_property
    def edge(self) -> Node:
        return self._node(Role.EDGE, 0, IPv4Address("172.30.0.2"), ())

    @cached_property
    def gateways(self) -> tuple[Node, ...]:
        return tuple(self._gateway(index) for index in range(1, self.gateway_count + 1))

    @cached_property
    def hypervisors(self) -> tuple[Node, ...]:
        return tuple(self._hypervisor(index) for index in range(1, self.hypervisor_count + 1))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return (self.edge, *self.gateways, *self.hypervisors)

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

    def _node(
        self,
        role: Role,
        index: int,
        management: IPv4Address,
        links: tuple[Link, ...],
        prefixes: tuple[IPv4Network | IPv6Network, ...] = (),
    ) -> Node:
        name = f"{role}-{index}" if index else str(role)
        node_id = uuid5(_CLOUDS, f"{self.name}/{name}")
        return Node(node_id, name, role, index, self.namespace(name), management, links, prefixes)

    def _gateway(self, index: int) -> Node:
        pools = tuple(pool.prefix for pool in POOLS if pool.prefix.version == 4)  # one longer prefix beats them
        links = (
            _fabric_link("public0", f"pub{index}", 100 + index, 0),
            _fabric_link("private0", f"priv{index}", 100 + index, 1),
        )
        return self._node(Role.GATEWAY, index, IPv4Address("172.30.0.10") + index, links, pools)

    def _hypervisor(self, index: int) -> Node:
        prefixes = (IPv4Network(f"10.{index}.0.0/20"), IPv6Network(f"2001:db8:{index}::/48"))
        links = (_fabric_link("fabric0", f"hv{index}", index, 0),)
        return self._node(Role.HYPERVISOR, index, IPv4Address("172.30.0.100") + index, links, prefixes)


def _fabric_link(name: str, edge_name: str, number: int, side: int) -> Link:
    """A link between the edge and a node; its IPv6 addresses end in its IPv4 ones, so either names the node."""
    four = IPv4Network(f"172.31.{number}.{2 * side}/31")
    six = IPv6Network(f"fd00:31:{side}:{number}::/64")
    return Link(
        name=name,
        edge_name=edge_name,
        mtu=FABRIC_MTU,
        address4=IPv4Interface((four[1], 31)),
        address6=IPv6Interface((six[int(four[1])], 64)),
        edge4=IPv4Interface((four[0], 31)),
        edge6=IPv6Interface((six[int(four[0])], 64)),
    )


def vxlan_mac(endpoint: IPv4Address) -> str:
    """The MAC of a hypervisor's VXLAN link: anyone can tell it from the endpoint, nobody needs to learn it."""
    return "06:76:" + ":".join(f"{byte:02x}" for byte in endpoint.packed)


def link_local(mac: str) -> IPv6Address:
    """The EUI-64 link-local address of `mac` (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    interface_id = bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface_id)
