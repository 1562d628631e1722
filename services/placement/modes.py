"""Modes of a port: which a zone's stack has, and what each asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NAT, ROUTED, ISOLATED = "nat", "routed", "isolated"


@dataclass(frozen=True, slots=True)
class Mode:
    """`announces`: its hypervisor announces each flexible IP. `node_bound`: it has a 10.x and a legacy IPv6."""

    limit_ipv4: int  # flexible addresses per port
    limit_ipv6: int
    announces: bool
    node_bound: bool


MODES = {
    NAT: Mode(limit_ipv4=1, limit_ipv6=0, announces=False, node_bound=True),
    ROUTED: Mode(limit_ipv4=5, limit_ipv6=5, announces=True, node_bound=False),
    ISOLATED: Mode(limit_ipv4=0, limit_ipv6=0, announces=False, node_bound=False),
}
OF_STACK = {  # the first is what a new instance gets
    "nat": (NAT, ISOLATED),
    "dual": (ROUTED, NAT, ISOLATED),
    "routed": (ROUTED, ISOLATED),
}
