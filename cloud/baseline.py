"""What a data centre's operator sets on each machine before any agent runs. Pure: texts for sysctl, ip and nft.

Everything here is static. What changes with the cloud's instances is the agents' (routes with their protocol number) or
the routing daemons'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from cloud.plan import (
    FABRIC4,
    FABRIC6,
    FABRIC_MTU,
    FORWARDING,
    GUEST_GATEWAY4,
    GUEST_GATEWAY6,
    INTERNET4,
    INTERNET6,
    PRIVATE,
    VXLAN_ID,
    VXLAN_PORT,
    WAY_OUT,
    Link,
    Node,
    Plan,
    Role,
    Zone,
)

BRIDGE = "mgmt"  # of the control namespace
VXLAN_LINK = "vx0"
VXLAN_OVERHEAD = 50
LAST_RESORT = 4294967295  # the metric that loses to every other
CUT_TABLE = "godwit_cut"
BASELINE_TABLE = "godwit_baseline"
LOCAL_BGP_PORTS = "179, 3784, 3785, 4784"  # BGP, and BFD over UDP


@dataclass(frozen=True, slots=True)
class Veth:
    """A pair: our end here, the peer in another namespace. Real checksums travel unless `management`."""

    name: str
    peer: str
    peer_namespace: str
    mtu: int
    checksums: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    family: int
    priority: int
    table: int
    source: str | None = None
    destination: str | None = None

    @property
    def command(self) -> str:
        words = [f"rule add priority {self.priority}"]
        words += [f"from {self.source}"] if self.source else []
        words += [f"to {self.destination}"] if self.destination else []
        return " ".join([*words, f"lookup {self.table}"])


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace's static configuration.

    `sysctls` are set before links exist (they hold for `all` and `default`), `link_sysctls` after. `links` are those
    made from this end, `devices` other links to make, as `ip link add` arguments by name. `commands` are `ip -batch`
    lines that may be repeated.
    """

    namespace: str
    sysctls: tuple[tuple[str, str], ...]
    links: tuple[Veth, ...]
    devices: tuple[tuple[str, str], ...]
    link_sysctls: tuple[tuple[str, str], ...]
    checksummed: tuple[str, ...]  # links whose frames carry complete checksums
    commands: tuple[str, ...]
    rules: tuple[Rule, ...]
    nft: str


def machines(plan: Plan) -> tuple[Machine, ...]:
    """Every namespace of the cloud; those that make links for others come first."""
    edges = tuple(_edge(plan, zone) for zone in plan.zones)
    nodes = tuple(
        _gateway(plan, zone, node) if node.role is Role.GATEWAY else _hypervisor(plan, zone, node)
        for zone in plan.zones
        for node in zone.nodes[1:]
    )
    return (_control(plan), *edges, _internet(plan), *nodes)


def _sysctls(*, forwarding: bool) -> tuple[tuple[str, str], ...]:
    flag = "1" if forwarding else "0"
    values = [("net.ipv4.ip_forward", flag), ("net.ipv4.ping_group_range", "0 0")]  # the agent sends echoes
    for scope in ("all", "default"):
        four, six = f"net.ipv4.conf.{scope}", f"net.ipv6.conf.{scope}"
        values += [
            (f"{six}.forwarding", flag),
            (f"{six}.accept_dad", "0"),
            (f"{six}.dad_transmits", "0"),
            (f"{six}.accept_ra", "0"),
            (f"{six}.accept_redirects", "0"),
            (f"{six}.keep_addr_on_down", "1"),
            (f"{six}.ignore_routes_with_linkdown", "1"),
            (f"{four}.rp_filter", "0"),
            (f"{four}.send_redirects", "0"),
            (f"{four}.accept_redirects", "0"),
            (f"{four}.ignore_routes_with_linkdown", "1"),
        ]
    values += [("net.ipv4.fib_multipath_hash_policy", "1"), ("net.ipv6.fib_multipath_hash_policy", "1")]
    return tuple(values)


def _address(device: str, *interfaces: IPv4Interface | IPv6Interface) -> Iterator[str]:
    for interface in interfaces:
        nodad = " nodad" if interface.version == 6 else ""
        yield f"address replace {interface.with_prefixlen} dev {device}{nodad}"
    yield f"link set {device} up"


def _default(link: Link) -> tuple[str, str]:
    return (
        f"route replace default via {link.edge4.ip} dev {link.name}",
        f"route replace default via {link.edge6.ip} dev {link.name}",
    )


def _management(zone: Zone, node: Node) -> tuple[str, ...]:
    return tuple(_address("mgmt0", IPv4Interface((node.management, zone.management.prefixlen))))


def _control(plan: Plan) -> Machine:
    ports = tuple(Veth(node.management_port, "mgmt0", node.namespace, 1500, checksums=False) for node in plan.nodes)
    commands = [
        "link set lo up",
        *_address(BRIDGE, *(zone.control_address for zone in plan.zones)),
        *(f"link set {port.name} master {BRIDGE} up" for port in ports),
        # A node reaches the control processes, and no other node.
        *(f"link set {port.name} type bridge_slave isolated on" for port in ports),
    ]
    bridge = "type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
    return Machine(
        plan.control, _sysctls(forwarding=False), ports, ((BRIDGE, bridge),), (), (), tuple(commands), (), ""
    )


def _internet(plan: Plan) -> Machine:
    """One host by its address in INTERNET4 and INTERNET6; with several zones, also the router between them."""
    first, *others = plan.zones
    commands = ["link set lo up"]
    for zone in plan.zones:
        commands += _address(zone.uplink.name, zone.uplink.address4, zone.uplink.address6)
    commands += _default(first.uplink)
    for zone in others:
        link = zone.uplink
        commands += [
            f"route replace {zone.public4} via {link.edge4.ip} dev {link.name} src {first.uplink.address4.ip}",
            f"route replace {zone.public6} via {link.edge6.ip} dev {link.name} src {first.uplink.address6.ip}",
        ]
    checksummed = tuple(zone.uplink.name for zone in plan.zones)
    return Machine(plan.internet, _sysctls(forwarding=bool(others)), (), (), (), checksummed, tuple(commands), (), "")


def _to_others(plan: Plan, zone: Zone) -> Iterator[str]:
    """How an edge reaches the other zones, and `internet` by the address that is not on its own uplink."""
    link = zone.uplink
    networks = [network for other in plan.zones if other != zone for network in (other.public4, other.public6)]
    networks += [INTERNET4, INTERNET6] if link.address4 not in INTERNET4 else []
    for network in networks:
        via = link.address4.ip if network.version == 4 else link.address6.ip
        yield f"route replace {network} via {via} dev {link.edge_name}"


def _edge(plan: Plan, zone: Zone) -> Machine:
    ends = [(zone.uplink, plan.internet)] + [(link, node.namespace) for node in zone.nodes for link in node.links]
    commands = ["link set lo up", *_management(zone, zone.edge)]
    commands += _address("lo", IPv4Interface(zone.probe_source), IPv6Interface(zone.probe_source_ipv6))
    for link, _ in ends:
        commands += _address(link.edge_name, link.edge4, link.edge6)
    commands += _to_others(plan, zone)
    commands += [
        f"route replace unreachable {PRIVATE}",
        f"route replace unreachable default table {WAY_OUT} metric {LAST_RESORT}",
    ]
    return Machine(
        namespace=zone.edge.namespace,
        sysctls=_sysctls(forwarding=True),
        links=tuple(Veth(link.edge_name, link.name, namespace, link.mtu) for link, namespace in ends),
        devices=(),
        # The edge's own ICMP errors to a NAT port come back through a gateway with the edge's address as source.
        link_sysctls=tuple(
            (f"net.ipv4.conf.{link.edge_name}.accept_local", "1") for node in zone.gateways for link in node.links
        ),
        checksummed=tuple(link.edge_name for link, _ in ends),
        commands=tuple(commands),
        rules=(
            Rule(4, 98, 254, str(PRIVATE), str(PRIVATE)),
            Rule(4, 99, WAY_OUT, str(PRIVATE)),
        ),
        nft=_nft_edge(plan.management, zone.controllers, zone.uplink.edge_name),
    )


def _gateway(plan: Plan, zone: Zone, node: Node) -> Machine:
    public, private = node.links
    commands = [
        "link set lo up",
        *_management(zone, node),
        *_address(public.name, public.address4, public.address6),
        *_address(private.name, private.address4, private.address6),
        *_default(public),
        f"route replace {PRIVATE} via {private.edge4.ip} dev {private.name}",
    ]
    return Machine(
        namespace=node.namespace,
        sysctls=_sysctls(forwarding=True),
        links=(),
        devices=(),
        link_sysctls=(),
        checksummed=(public.name, private.name),
        commands=tuple(commands),
        rules=(),
        nft=_table(BASELINE_TABLE, _fabric_only(plan.management, zone.controllers)),
    )


def _hypervisor(plan: Plan, zone: Zone, node: Node) -> Machine:
    (link,) = node.links
    mac = vxlan_mac(node.endpoint)
    vxlan = (
        f"address {mac} mtu {FABRIC_MTU - VXLAN_OVERHEAD} "
        f"type vxlan id {VXLAN_ID} local {node.endpoint} dstport {VXLAN_PORT} nolearning"
    )
    commands = [
        "link set lo up",
        *_management(zone, node),
        *_address(link.name, link.address4, link.address6),
        *_default(link),
        f"link set {VXLAN_LINK} addrgenmode none",
        *_address(VXLAN_LINK, IPv6Interface((link_local(mac), 64))),
        f"route replace unreachable {PRIVATE}",
        # What lies in our own prefix and is no guest's: answered here, not sent back to the edge.
        *(f"route replace unreachable {prefix}" for prefix in node.prefixes if prefix.version == 6),
    ]
    private = str(PRIVATE)
    return Machine(
        namespace=node.namespace,
        sysctls=_sysctls(forwarding=True),
        links=(),
        devices=((VXLAN_LINK, vxlan),),
        link_sysctls=(),
        checksummed=(link.name,),
        commands=tuple(commands),
        # Neighbours talk directly by 10.x; anything else that a 10.x source sends leaves by the edge, or a neighbour's
        # public address would be reached with a 10.x source.
        rules=(
            Rule(4, 98, FORWARDING, private, private),
            Rule(4, 99, 254, private),
            Rule(4, 100, FORWARDING),
            Rule(6, 100, FORWARDING),
        ),
        nft=_table(
            BASELINE_TABLE, _fabric_only(plan.management, zone.controllers), _guest_chains(plan.management, zone)
        ),
    )


def _fabric_only(management: IPv4Network, controllers: IPv4Network) -> str:
    return f"""\
    chain host {{
        type filter hook input priority filter; policy accept;
        ip daddr {management} iifname != {{ "mgmt0", "lo" }} drop
        iifname "mgmt0" ip saddr != {controllers} drop
        ip saddr != {FABRIC4} iifname != "lo" tcp dport {{ {LOCAL_BGP_PORTS} }} drop
        ip saddr != {FABRIC4} iifname != "lo" udp dport {{ {LOCAL_BGP_PORTS}, {VXLAN_PORT} }} drop
        ip6 saddr != {FABRIC6} iifname != "lo" tcp dport {{ {LOCAL_BGP_PORTS} }} drop
        ip6 saddr != {FABRIC6} iifname != "lo" udp dport {{ {LOCAL_BGP_PORTS}, {VXLAN_PORT} }} drop
    }}
    chain management {{
        type filter hook forward priority filter; policy accept;
        iifname "mgmt0" drop
        oifname "mgmt0" drop
    }}"""


TCP_ACCEPTED = "tcp flags & (fin | syn | rst | ack) == syn | ack"


def _guest_chains(management: IPv4Network, zone: Zone) -> str:
    return f"""\
    chain guests_to_host {{
        type filter hook input priority filter + 1; policy accept;
        iifname "g*" jump guest_to_host
    }}
    chain guest_to_host {{
        ip daddr {GUEST_GATEWAY4} icmp type echo-request accept
        ip6 daddr {GUEST_GATEWAY6} meta l4proto ipv6-icmp accept
        ip6 daddr ff02::/16 icmpv6 type {{ nd-neighbor-solicit, nd-router-solicit }} accept
        drop
    }}
    chain guests_to_fabric {{
        type filter hook forward priority filter + 1; policy accept;
        iifname "g*" ip daddr {zone.probe_source} icmp type echo-reply accept
        iifname "g*" ip6 daddr {zone.probe_source_ipv6} icmpv6 type echo-reply accept
        iifname "g*" ip daddr {zone.probe_source} {TCP_ACCEPTED} accept
        iifname "g*" ip6 daddr {zone.probe_source_ipv6} {TCP_ACCEPTED} accept
        iifname "g*" ip daddr {{ {management}, {FABRIC4}, 169.254.0.0/16 }} drop
        iifname "g*" ip6 daddr {{ fd00::/8, fe80::/10 }} drop
    }}"""


def _table(name: str, *chains: str) -> str:
    """Replaces the whole table in one transaction."""
    body = "\n".join(chains)
    return f"table inet {name} {{ }}\ndelete table inet {name}\ntable inet {name} {{\n{body}\n}}\n"


def _nft_edge(management: IPv4Network, controllers: IPv4Network, uplink: str) -> str:
    inner = f"{{ {PRIVATE}, {management}, {FABRIC4}, 169.254.0.0/16 }}"
    chains = f"""\
    chain from_internet {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{uplink}" jump inner
    }}
    chain to_internet {{
        type filter hook postrouting priority filter; policy accept;
        oifname "{uplink}" jump inner
    }}
    chain inner {{
        ip saddr {inner} drop
        ip daddr {inner} drop
        ip6 saddr fd00::/8 drop
        ip6 daddr fd00::/8 drop
        udp dport {VXLAN_PORT} drop
    }}
    chain internet_to_edge {{
        type filter hook input priority filter + 1; policy accept;
        iifname "{uplink}" meta l4proto != {{ icmp, ipv6-icmp }} drop
    }}"""
    cut = """\
    set links { type ifname; }
    chain received { type filter hook prerouting priority -400; policy accept; iifname @links drop; }
    chain sent { type filter hook postrouting priority 400; policy accept; oifname @links drop; }"""
    return _table(BASELINE_TABLE, _fabric_only(management, controllers), chains) + _table(CUT_TABLE, cut)


def vxlan_mac(endpoint: IPv4Address) -> str:
    """The MAC of a hypervisor's VXLAN link: anyone can tell it from the endpoint, nobody needs to learn it."""
    return "06:76:" + ":".join(f"{byte:02x}" for byte in endpoint.packed)


def link_local(mac: str) -> IPv6Address:
    """The EUI-64 link-local address of `mac` (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    interface_id = bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface_id)
