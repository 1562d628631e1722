"""Modes of a port: which a zone's stack has, and what each asks for. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NAT, HOSTNAT, ROUTED, ISOLATED = "nat", "hostnat", "routed", "isolated"


@dataclass(frozen=True, slots=True)
class Mode:
    """`node_bound`: its guest has a 10.x and a legacy IPv6, of a node's prefixes. `rebinds`: new ones on each node."""

    limit_ipv4: int  # flexible addresses per port
    limit_ipv6: int
    node_bound: bool
    rebinds: bool

    @property
    def limits(self) -> tuple[int, int]:
        """What the ledger is told of it."""
        return self.limit_ipv4, self.limit_ipv6


MODES = {
    NAT: Mode(limit_ipv4=1, limit_ipv6=0, node_bound=True, rebinds=True),
    HOSTNAT: Mode(limit_ipv4=1, limit_ipv6=0, node_bound=True, rebinds=False),
    ROUTED: Mode(limit_ipv4=5, limit_ipv6=5, node_bound=False, rebinds=False),
    ISOLATED: Mode(limit_ipv4=0, limit_ipv6=0, node_bound=False, rebinds=False),
}
OF_STACK = {  # what instances can be made with; the first is what a new instance gets
    "nat": (NAT, ISOLATED),
    "dual": (ROUTED, NAT, ISOLATED),
    "routed": (ROUTED, ISOLATED),
}


def at_start(mode: str, stack: str, families: Collection[int], *, gives_up_ipv4: bool) -> str:
    """The mode in which a port starts: one that was converted takes its addresses itself, if its owner loses nothing.

    `families`: IP versions of its flexible addresses. `gives_up_ipv4`: its owner agrees to lose a 10.x that is the only
    IPv4 address it has.
    """
    if mode != HOSTNAT or stack == "nat" or not (4 in families or gives_up_ipv4):
        return mode
    return ROUTED if families else ISOLATED
