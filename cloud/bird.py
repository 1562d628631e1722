"""BIRD 2 configuration of each node. Pure.

The agents never talk BGP: a daemon learns the announcement table of its node's kernel and tells the edge, which
reflects. Each line below was missed once, and seen to matter:

- `preference 200` on learned routes: by default 10, which loses to BGP's 100, so a newer sequence is never announced.
- the metric becomes the local preference: the newest holder wins everywhere in the fabric.
- `next hop self` at the reflector: a hypervisor cannot resolve another's link address.
- `direct`: else BFD is multihop and ignores the interface's timers.
- `graceful restart` in BGP and in the kernel protocols, and `bird -R` on a restart: else routes vanish meanwhile.
- `scan time 1` of the device protocol: BIRD 2.0.12 sleeps up to 3 s with events pending that a timer raised, so the end
  of a recovery reaches the kernel 6 s late; a timer each second wakes it.
- `netlink rx buffer`: else 10,000 routes overrun the socket and wait for a scan.
"""

from __future__ import annotations

from pathlib import Path

from cloud.plan import (
    ANNOUNCEMENTS,
    INTERNET6,
    PRIVATE,
    ROUTING_DOMAIN,
    WAY_OUT,
    Link,
    Node,
    Plan,
    Role,
    Zone,
)

WAY_OUT_COMMUNITY = f"({ROUTING_DOMAIN}, {WAY_OUT})"  # marks a gateway's default route for 10.x sources
RECOVERY_S = 6  # after a restart: how long routes in the kernel are kept for neighbours that have not come back


def configuration(plan: Plan, node: Node) -> str:
    """The configuration file of the node's daemon."""
    zone = plan.zone(node.zone)
    if node.role is Role.EDGE:
        return _edge(zone)
    return _gateway(zone, node) if node.role is Role.GATEWAY else _hypervisor(node)


def _common(router_id: object) -> str:
    return f"""\
log stderr {{ info, warning, error, fatal, bug, remote, auth }};
router id {router_id};
graceful restart wait {RECOVERY_S};

protocol device {{ scan time 1; }}
protocol bfd {{
    interface "*" {{ min rx interval 50 ms; min tx interval 50 ms; idle tx interval 1 s; multiplier 3; }};
}}

template bgp fabric {{
    direct;
    ttl security on;
    graceful restart on;
    graceful restart time 30;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
}}
"""


def _learned(family: int) -> str:
    """The announcement table, and its way into the main one."""
    return f"""
ipv{family} table announced{family};
protocol kernel learn{family} {{
    kernel table {ANNOUNCEMENTS};
    learn;
    persist;
    graceful restart on;
    netlink rx buffer 67108864;
    scan time 10;
    ipv{family} {{ table announced{family}; preference 200; import all; export none; }};
}}
protocol pipe sequence{family} {{
    table announced{family};
    peer table master{family};
    import none;
    export filter {{ bgp_local_pref = krt_metric; accept; }};
}}
"""


def _installed(family: int, *, table: str = "", kernel_table: int | None = None) -> str:
    """BGP's routes into the kernel; all else in the kernel is somebody else's."""
    name = table or f"master{family}"
    return f"""
protocol kernel install_{name} {{
    {f"kernel table {kernel_table};" if kernel_table else ""}
    persist;
    graceful restart on;
    netlink rx buffer 67108864;
    merge paths on limit 64;
    scan time 20;
    ipv{family} {{ table {name}; import none; export where source = RTS_BGP; }};
}}
"""


def _neighbour(link: Link) -> str:
    return (
        f"    local {link.address4.ip} as {ROUTING_DOMAIN};\n"
        f'    neighbor {link.edge4.ip} as {ROUTING_DOMAIN};\n    interface "{link.name}";\n'
    )


def _hypervisor(node: Node) -> str:
    (link,) = node.links
    channels = "\n".join(
        f"    ipv{family} {{ import all; export where source != RTS_BGP;{extra} }};"
        for family, extra in ((4, ""), (6, f" next hop address {link.address6.ip};"))
    )
    return (
        _common(node.endpoint)
        + "".join(_learned(family) + _installed(family) for family in (4, 6))
        + f"""
protocol bgp edge from fabric {{
{_neighbour(link)}    bfd graceful;
{channels}
}}
"""
    )


def _gateway(zone: Zone, node: Node) -> str:
    """Announces its pools on the public side, and on the private side the way out, as long as it announces a pool."""
    public, private = node.links
    ready = "".join(
        f"protocol static way_out_{number} {{\n"
        f"    ipv4 {{ table way_out; }};\n"
        f"    igp table ready;\n"
        f"    route 0.0.0.0/0 recursive {prefix[1]};\n"
        "}\n"
        for number, prefix in enumerate((pool for pool in node.prefixes if pool.version == 4), 1)
    )
    return (
        _common(node.endpoint)
        + _learned(4)
        + f"""
protocol bgp edge_public from fabric {{
{_neighbour(public)}    bfd;
    ipv4 {{ import none; export where source != RTS_BGP && net ~ [ {zone.public4}+ ]; }};
}}

# `prohibit` marks a default whose pool is announced; one whose pool is not resolves to nothing and is `unreachable`.
ipv4 table ready;
ipv4 table way_out;
protocol pipe pools_ready {{
    table announced4;
    peer table ready;
    import none;
    export filter {{ dest = RTD_PROHIBIT; accept; }};
}}
{ready}protocol bgp edge_private from fabric {{
{_neighbour(private)}    bfd;
    ipv4 {{
        table way_out;
        import none;
        export filter {{
            if dest != RTD_PROHIBIT then reject;
            bgp_community.add({WAY_OUT_COMMUNITY});
            accept;
        }};
    }};
}}
"""
    )


def _edge(zone: Zone) -> str:
    sessions = "".join(_edge_gateway(zone, node) for node in zone.gateways)
    sessions += "".join(_edge_hypervisor(zone, node) for node in zone.hypervisors)
    return (
        _common(zone.edge.endpoint)
        + f"\nipv4 table nat;\n{_installed(4)}{_installed(6)}{_installed(4, table='nat', kernel_table=WAY_OUT)}"
        + """
template bgp node from fabric {
    rr client;
}
"""
        + sessions
    )


def _session(name: str, link: Link, bfd: str, body: str) -> str:
    return f"""
protocol bgp {name} from node {{
    local {link.edge4.ip} as {ROUTING_DOMAIN};
    neighbor {link.address4.ip} as {ROUTING_DOMAIN};
    interface "{link.edge_name}";
    {bfd};
{body}}}
"""


def _edge_gateway(zone: Zone, node: Node) -> str:
    public, private = node.links
    pools = f"    ipv4 {{ import where net ~ [ {zone.public4}+ ]; export none; }};\n"
    default = f"""\
    ipv4 {{
        table nat;
        import where net = 0.0.0.0/0 && {WAY_OUT_COMMUNITY} ~ bgp_community;
        export none;
    }};
"""
    return _session(f"gateway_{node.index}_public", public, "bfd", pools) + _session(
        f"gateway_{node.index}_private", private, "bfd", default
    )


def _edge_hypervisor(zone: Zone, node: Node) -> str:
    """A hypervisor may announce its own prefixes, and single ones of its zone's pools or moved with a guest."""
    (link,) = node.links
    own = {family: [str(p) for p in node.prefixes if p.version == family] for family in (4, 6)}
    four = ", ".join([*own[4], f"{zone.public4}{{32,32}}", f"{PRIVATE}{{32,32}}"])
    six = ", ".join([*own[6], f"{zone.public6}{{56,128}}"])
    body = f"""\
    ipv4 {{
        next hop self;
        import where net ~ [ {four} ];
        export where source = RTS_BGP;
    }};
    ipv6 {{
        next hop self;
        next hop address {link.edge6.ip};
        import where net ~ [ {six} ] && net !~ [ {INTERNET6.supernet(new_prefix=48)}+ ];
        export where source = RTS_BGP;
    }};
"""
    return _session(f"hypervisor_{node.index}", link, "bfd graceful", body)


RECOVER = ("-R",)  # what a restarted daemon is given: it keeps the kernel's routes until its neighbours are back


def command(configuration_file: Path, control_socket: Path) -> list[str]:
    """How to start it, in the foreground, in its node's namespace."""
    return ["bird", "-f", "-c", str(configuration_file), "-s", str(control_socket)]
