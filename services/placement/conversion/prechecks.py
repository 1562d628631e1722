"""What stands against converting a port, and what its owner should know. Pure: what is seen in, findings out.

A check belongs to a stage. For the fabric's an unknown blocks; for the guest's it is a warning that the owner accepts.
A check whose driver does not exist here (packet filters) finds nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.placement.conversion.steps import Reason

HOSTNAT_TRAIT = "CUSTOM_HOSTNAT"
"""What a hypervisor needs to run both stacks, as OpenStack names traits of a site's own."""


class Effect(enum.StrEnum):
    BLOCKS = "blocks"
    WARNS = "warns"


class PartOf(enum.StrEnum):
    """The stage that a check belongs to: the fabric's, without a restart, or the guest's own."""

    FABRIC = "fabric"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something seen, and what follows from it."""

    part_of: PartOf
    effect: Effect
    reason: Reason


@dataclass(frozen=True, slots=True)
class Host:
    """A port's hypervisor as it was last seen. `stale`: why it is not known what it holds."""

    name: str
    hostnat: bool
    stale: str | None
    room: int | None  # for how many more guests' links its tables have room; None: it could not be asked


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a port when it is checked. None: it could not be asked."""

    host: Host | None  # None: the port is archived
    public_ipv4: int
    public_ipv6: int
    reverse_path: Mapping[str, Mapping[str, str] | None]  # by edge: each link's reverse path filter
    private_peers: Sequence[str] | None  # addresses of 10.x that the guest has lately talked with


def findings(seen: Seen) -> list[Finding]:
    """All that is found, blockers first."""
    return [*(_blocks(reason) for reason in _fabric(seen)), *_guest(seen)]


def blockers(found: Sequence[Finding]) -> tuple[Reason, ...]:
    return tuple(finding.reason for finding in found if finding.effect is Effect.BLOCKS)


def _blocks(reason: Reason) -> Finding:
    return Finding(PartOf.FABRIC, Effect.BLOCKS, reason)


def _fabric(seen: Seen) -> list[Reason]:
    found = []
    if seen.host is not None and not seen.host.hostnat:
        text = f"{seen.host.name} cannot rewrite at the guest's link (trait {HOSTNAT_TRAIT})"
        found.append(Reason("precheck.hostnat", text, "upgrade it, or move the instance to one that can"))
    if seen.host is not None and seen.host.stale:
        found.append(Reason("precheck.stale", seen.host.stale, "mend the hypervisor's agent"))
    if seen.host is not None and seen.host.room is None:
        text = f"{seen.host.name} does not say whether its tables have room"
        found.append(Reason("precheck.capacity", text, "mend the hypervisor's agent"))
    elif seen.host is not None and seen.host.room == 0:
        found.append(
            Reason("precheck.capacity", f"the tables of {seen.host.name} are full", "move instances elsewhere")
        )
    if seen.public_ipv4 > 1:
        text = f"{seen.public_ipv4} public IPv4 addresses; rewriting at its own link takes one"
        found.append(Reason("precheck.addresses", text, "detach the others until the guest has its addresses itself"))
    for edge, links in seen.reverse_path.items():
        if links is None:
            text = f"{edge} does not say how it filters by reverse path"
            found.append(Reason("precheck.reverse_path", text, "mend the edge's agent"))
        elif strict := sorted(link for link, filtering in links.items() if filtering == "strict"):
            text = f"{edge} filters strictly by reverse path on {', '.join(strict)}: packets are lost on the way"
            found.append(Reason("precheck.reverse_path", text, "set rp_filter to 2 (loose) or 0 on these links"))
    return found


def _guest(seen: Seen) -> list[Finding]:
    found = []
    if seen.private_peers is None:
        text = "its hypervisor could not be asked for the 10.x peers it talks with"
        found.append(Reason("precheck.peers", text, "ask again, or accept that such connections end at the seal"))
    elif seen.private_peers:
        text = f"it talks with {', '.join(seen.private_peers[:5])} by its 10.x address"
        found.append(Reason("precheck.peers", text, "let it use the public addresses; its 10.x ends at the seal"))
    if not seen.public_ipv4:
        text = "it has no public IPv4 address: without its 10.x it has no IPv4 at all"
        found.append(Reason("precheck.no_ipv4", text, "attach one, or let its owner accept that"))
    return [Finding(PartOf.GUEST, Effect.WARNS, reason) for reason in found]
