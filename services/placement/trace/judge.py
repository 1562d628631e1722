"""What stands between an address and its guest: drift, states that explain themselves, and what is not known. Pure.

A drift is a row of a kernel, or a route of an edge, that is not what was asked for. What follows from another finding
is not told beside it: a link that is down takes its routes, its guard and its guest's addresses with it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.netagent.wire import Row, Table
from services.placement.trace.facts import Intent, Node, Prefix, Reality, field_of, prefix_of


class Nature(enum.StrEnum):
    """`drift`: reality is not what was asked for. `state`: it is, or is on its way. `unknown`: who knows is silent."""

    DRIFT = "drift"
    STATE = "state"
    UNKNOWN = "unknown"


class Direction(enum.StrEnum):
    IN = "in"
    OUT = "out"


BOTH = frozenset(Direction)
INWARDS, OUTWARDS, NEITHER = frozenset({Direction.IN}), frozenset({Direction.OUT}), frozenset[Direction]()

REPAIRED = "its agent puts it right at its next comparison, within seconds; if it stays, `godwit node show {}` says why"

CODES: Mapping[str, tuple[Nature, str]] = {
    "route.missing": (Nature.DRIFT, REPAIRED),
    "nat.stale": (Nature.DRIFT, REPAIRED),
    "sequence.wrong": (Nature.DRIFT, REPAIRED),
    "guard.closed": (Nature.DRIFT, REPAIRED),
    "link.down": (Nature.DRIFT, REPAIRED),
    "guest.unconfigured": (Nature.DRIFT, REPAIRED),
    "edge.apart": (Nature.DRIFT, REPAIRED),
    "announcer.second": (
        Nature.DRIFT,
        "have {} withdraw it: an agent does that with what bears its mark; if it cannot be reached, fence the node",
    ),
    "edge.no_route": (Nature.DRIFT, "look at the routing daemon of {}, and at its session with the edge"),
    "address.free": (Nature.STATE, "reserve and attach it"),
    "address.reserved": (Nature.STATE, "attach it to an instance"),
    "address.quarantined": (Nature.STATE, "wait until it has rested, or restore it"),
    "address.changing": (Nature.STATE, "`godwit operation list` shows what its Operation waits for"),
    "address.archived": (Nature.STATE, "start the instance"),
    "address.frozen": (Nature.STATE, "find out why it went to and fro, then `godwit ip thaw`"),
    "address.fenced": (Nature.STATE, "it is let in again once {} has withdrawn it"),
    "node.fenced": (
        Nature.STATE,
        "evacuate it, or unfence it when it is sound; `godwit node show {}` has the evidence",
    ),
    "port.claimed": (Nature.STATE, "`godwit operation watch {}`"),
    "agent.behind": (Nature.STATE, "wait for {}; if it does not answer, find out why, or fence it"),
    "agent.failing": (Nature.STATE, "`godwit node show {}` tells what it refuses; mend that, it is tried again"),
    "agent.silent": (
        Nature.UNKNOWN,
        "see whether {} and its agent run, and the management network reaches it",
    ),
    "agent.unreadable": (Nature.UNKNOWN, "look at the log of the agent of {}"),
    "ledger.silent": (Nature.UNKNOWN, "see whether the ledger runs"),
}
"""Nature and remedy of each; a remedy names the place, or the Operation."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know of an address. `stops`: the directions in which packets do not get through for it."""

    code: str
    place: str
    text: str
    remedy: str
    stops: frozenset[Direction] = NEITHER

    @property
    def nature(self) -> Nature:
        return CODES[self.code][0]


def finding(
    code: str, place: str, text: str, stops: frozenset[Direction] = NEITHER, about: str | None = None
) -> Finding:
    return Finding(code, place, text, CODES[code][1].format(about or place), stops)


def findings(intent: Intent, reality: Reality) -> list[Finding]:
    """All there is to know, drift first."""
    found = [*_rows(intent, reality), *_edges(intent, reality), *_states(intent, reality), *_silence(intent, reality)]
    natures = list(Nature)
    return sorted(dict.fromkeys(found), key=lambda one: natures.index(one.nature))


# --- rows of nodes ---------------------------------------------------------------------------------------------------


def _rows(intent: Intent, reality: Reality) -> Iterator[Finding]:
    for node in intent.nodes.values():
        if node.role == "hypervisor":
            yield from _hypervisor(intent, reality, node)
        elif node.role == "gateway":
            yield from (_nat(node, row) for row in reality.of(node.id, Table.INBOUND, Table.OUTBOUND) if _differs(row))
            yield from _announcements(intent, reality, node)
        else:
            yield from _apart(intent, reality, node)
        for row in reality.rows[node.id].rows if node.id in reality.rows else ():
            if row.unreadable:
                yield finding("agent.unreadable", node.name, f"its table {row.table} cannot be read: {row.unreadable}")


def _differs(row: Row) -> bool:
    return row.unreadable is None and row.wanted != row.seen


def _hypervisor(intent: Intent, reality: Reality, node: Node) -> Iterator[Finding]:
    """What hangs on a link is not looked at while the link is down."""
    yield from _announcements(intent, reality, node)
    links = [row for row in reality.of(node.id, Table.LEG) if _differs(row) and row.wanted]
    if links:
        yield from (_link(node, row) for row in links)
        return
    guards = [r for r in reality.of(node.id, Table.GUARD_PORT, Table.GUARD_ADDRESS) if _differs(r) and r.wanted]
    if guards:
        link = field_of(guards[0], "link")
        what = ", ".join(sorted({prefix_of(row) or "the link itself" for row in guards}))
        yield finding("guard.closed", node.name, f"the guard of {link} has no row in force for {what}", BOTH)
    else:
        yield from (_nat(node, row) for row in reality.of(node.id, Table.HOST_NAT) if _differs(row))
    for row in reality.of(node.id, Table.FORWARD, Table.FALLBACK):
        if _differs(row) and row.wanted:
            yield _route(node, row)
    for row in reality.of(node.id, Table.GUEST_ADDRESS):
        if _differs(row) and row.wanted:
            text = f"the guest does not have {field_of(row, 'address')} on its link"
            yield finding("guest.unconfigured", node.name, text, BOTH)


def _link(node: Node, row: Row) -> Finding:
    link = field_of(row, "link")
    if row.seen is None:
        return finding("link.down", node.name, f"the guest's link {link} is not there", BOTH)
    wanted, seen = row.wanted or {}, row.seen
    other = ", ".join(f"{name} {seen[name]} instead of {wanted[name]}" for name in seen if seen[name] != wanted[name])
    return finding("link.down", node.name, f"the guest's link {link} is not as asked for: {other}", BOTH)


def _route(node: Node, row: Row) -> Finding:
    prefix = prefix_of(row)
    if row.table is Table.FALLBACK:
        text = f"it has no way to {field_of(row, 'peer')} for {prefix}, should the guest's link lose its carrier"
        return finding("route.missing", node.name, text)
    link = (row.wanted or {}).get("link")
    if row.seen is None:
        return finding("route.missing", node.name, f"it has no route to {prefix} by {link}", INWARDS)
    seen = f"by {row.seen['link']} to {row.seen['mac'] or 'no neighbour'}"
    wanted = f"by {link} to {(row.wanted or {})['mac']}"
    return finding("route.missing", node.name, f"its route to {prefix} leads {seen}, not {wanted}", INWARDS)


def _nat(node: Node, row: Row) -> Finding:
    match row.table:
        case Table.INBOUND:
            what, stops = f"{field_of(row, 'public')}", INWARDS
        case Table.OUTBOUND:
            what, stops = f"what comes from {field_of(row, 'private')}", OUTWARDS
        case _:
            what, stops = f"what passes {field_of(row, 'link')}", BOTH
    text = f"{what} is rewritten to {rewritten(row.table, row.seen)}, not to {rewritten(row.table, row.wanted)}"
    return finding("nat.stale", node.name, text, stops if row.wanted else NEITHER)


def rewritten(table: Table, row: Mapping[str, str] | None) -> str:
    """What a row of a NAT table makes of a packet, in words."""
    if row is None:
        return "nothing"
    if table is not Table.HOST_NAT:
        return row["private" if table is Table.INBOUND else "public"]
    ways = " and ".join(way for way in ("inbound", "outbound") if row[way] == "True") or "neither way"
    return f"{row['public']} for {row['private']}, {ways}"


def _apart(intent: Intent, reality: Reality, edge: Node) -> Iterator[Finding]:
    """Whom and what an edge holds apart."""
    concerned = {one for node in intent.nodes.values() if intent.concerns(node) for one in node.known_by}
    for row in reality.of(edge.id, Table.FENCE, Table.BLACKHOLE):
        neighbour = field_of(row, "neighbour")
        if not _differs(row) or (row.table is Table.FENCE and neighbour not in concerned):
            continue
        what = f"the node at {neighbour}"
        if row.table is Table.BLACKHOLE:
            what = f"{field_of(row, 'prefix')} from {'every node' if neighbour == 'None' else what}"
        if row.wanted is None:
            yield finding("edge.apart", edge.name, f"it discards {what}, and nobody asks for it", BOTH)
        else:
            yield finding("edge.apart", edge.name, f"it does not hold apart {what}, as it is to")


def _announcements(intent: Intent, reality: Reality, node: Node) -> Iterator[Finding]:
    """Rows of the announcement table: each prefix once, with its sequence."""
    rows: dict[str, list[Row]] = {}
    for row in reality.of(node.id, Table.ANCHOR):
        rows.setdefault(field_of(row, "prefix") or "", []).append(row)
    for prefix, found in rows.items():
        wanted = {field_of(row, "sequence") for row in found if row.wanted}
        seen = {field_of(row, "sequence") for row in found if row.seen}
        if not wanted or wanted == seen or any(row.unreadable for row in found):
            continue  # one that nobody asks for is told where an edge goes by it
        if not seen:
            alone = prefix == str(intent.prefix) or not intent.announcers(intent.prefix)
            stops = INWARDS if alone and node.role == "hypervisor" else NEITHER  # gateways stand in for each other
            yield finding("route.missing", node.name, f"it does not announce {prefix}", stops)
        else:
            text = f"it announces {prefix} with sequence {_list(seen)}, not {_list(wanted)}"
            yield finding("sequence.wrong", node.name, text)


def _list(names: set[str | None]) -> str:
    return " and ".join(sorted(str(name) for name in names))


# --- edges -----------------------------------------------------------------------------------------------------------


def expected(intent: Intent, prefix: Prefix) -> tuple[set[UUID], bool]:
    """The nodes that an edge may send a prefix to, and whether it must send it to one of them.

    While a port is being changed both ends may get it; so may a node that has not withdrawn it yet.
    """
    changing = intent.port is not None and intent.port.claim is not None
    may = {node.id for node in intent.nodes.values() if node.behind or (changing and node.entries)}
    to = set(intent.announcers(prefix))
    if not to and prefix in intent.homes and (intent.ledger is None or intent.seats()):
        to = {intent.homes[prefix]}
    if not to:  # gateways announce the pools, whoever holds what of them
        may |= {node.id for node in intent.of_role("gateway")}
        to = {node.id for node in intent.mapping()} if prefix == intent.prefix else set()
    sound = any(not (intent.nodes[one].fenced or intent.nodes[one].behind) for one in to)
    return may | to, sound and not changing


def _edges(intent: Intent, reality: Reality) -> Iterator[Finding]:
    for edge in intent.of_role("edge"):
        for prefix in dict.fromkeys((intent.prefix, *intent.mapped_to())):
            hops = reality.routes.get(edge.id, {}).get(prefix)
            if hops is not None:
                yield from _edge(intent, reality, edge, prefix, hops)


def _edge(intent: Intent, reality: Reality, edge: Node, prefix: Prefix, hops: Sequence[str]) -> Iterator[Finding]:
    allowed, must = expected(intent, prefix)
    holder = ", ".join(sorted(_name(intent, reality, one) for one in allowed & intent.holders(prefix)))
    rightly = [hop for hop in hops if sent_to(intent, reality, hop) & allowed]
    second = [hop for hop in hops if hop not in rightly and _own_route(intent, reality, prefix, hop)]
    if len(rightly) > 1 and intent.announcers(prefix):
        second = second or rightly
    sends = (
        f"it sends {prefix} to {', '.join(who(intent, reality, hop) for hop in hops)}" if hops else "it has no route"
    )
    if second:
        text = f"{sends}; {holder or 'nobody'} alone is to have it"
        yield finding("announcer.second", edge.name, text, INWARDS, about=who(intent, reality, second[0]))
    elif must and not rightly and not _withheld(reality, prefix, allowed):
        yield finding("edge.no_route", edge.name, f"{sends}; {holder} is to have {prefix}", INWARDS, about=holder)


def sent_to(intent: Intent, reality: Reality, hop: str) -> set[UUID]:
    """The node that a next hop is an address of; none: it is no node of ours."""
    return {node.id for node in (*intent.nodes.values(), *reality.passers_by.values()) if hop in node.known_by}


def _own_route(intent: Intent, reality: Reality, prefix: Prefix, hop: str) -> bool:
    """Whether an edge goes there by a route of the prefix's own, not by one that covers it; unknown counts as that."""
    return not any(
        node in reality.rows
        and not any(row.seen and prefix_of(row) == str(prefix) for row in reality.of(node, Table.ANCHOR))
        for node in sent_to(intent, reality, hop)
    )


def _withheld(reality: Reality, prefix: Prefix, by: set[UUID]) -> bool:
    """Whether who is to announce a prefix does not: that is told of the node."""
    anchors = [row for node in by for row in reality.of(node, Table.ANCHOR) if prefix_of(row) == str(prefix)]
    return any(row.wanted for row in anchors) and not any(row.seen for row in anchors)


def _name(intent: Intent, reality: Reality, node: UUID) -> str:
    known = intent.nodes.get(node) or reality.passers_by.get(node)
    return known.name if known else str(node)


def who(intent: Intent, reality: Reality, hop: str) -> str:
    """The name behind a next hop."""
    names = sorted(_name(intent, reality, node) for node in sent_to(intent, reality, hop))
    return names[0] if names else f"{hop}, which is no node of ours"


# --- states ----------------------------------------------------------------------------------------------------------


def _states(intent: Intent, reality: Reality) -> Iterator[Finding]:
    yield from _ledger(intent)
    port = intent.port
    if port is not None and port.claim is not None:
        claim = port.claim
        waits = f"; it waits: {claim.waits}" if claim.waits else ""
        text = f"{port.name} is in the middle of a {claim.kind}, at {claim.step}{waits}"
        yield finding("port.claimed", "controller", text, about=claim.operation)
    elif port is not None and port.node is None:
        text = f"{port.name} is archived: the address stays attached, and nobody announces it"
        yield finding("address.archived", "controller", text, BOTH)
    for node in intent.nodes.values():
        yield from _node(intent, reality, node)


def _ledger(intent: Intent) -> Iterator[Finding]:
    held = intent.ledger
    if held is None:
        if intent.silent:
            yield finding("ledger.silent", "ledger", intent.silent)
        elif intent.port is None:
            yield finding("address.free", "ledger", f"nobody holds {intent.prefix}", BOTH)
        return
    match held.state:
        case "reserved":
            yield finding("address.reserved", "ledger", f"{intent.prefix} is attached to nothing", BOTH)
        case "quarantined":
            text = f"{intent.prefix} was released and rests until {held.quarantined_until}"
            yield finding("address.quarantined", "ledger", text, BOTH)
        case "attached":
            pass
        case state:
            yield finding("address.changing", "ledger", f"{intent.prefix} is {state}: not all of it is read back yet")
    if held.frozen_since:
        text = f"the flap guard holds it where it is since {held.frozen_since}"
        yield finding("address.frozen", "ledger", text)


def _node(intent: Intent, reality: Reality, node: Node) -> Iterator[Finding]:
    if node.fence and intent.concerns(node):
        holds = node.id in {seat.id for seat in intent.seats()}
        text = f"{node.name} is {'held apart by the edges' if node.fenced else 'to be held apart'}"
        yield finding("node.fenced", node.name, text, BOTH if holds and node.fenced else NEITHER)
    if node.id in intent.fenced_from:
        yield finding("address.fenced", node.name, f"the edges hold {intent.prefix} apart from {node.name}")
    if node.failure:
        yield finding("agent.failing", node.name, f"it does not take what it is sent: {node.failure}")
    elif node.behind and not node.fenced:
        yield finding("agent.behind", node.name, f"{node.name} has not read back all that it is to hold, or withdraw")
    rows = reality.rows.get(node.id)
    if rows is not None and rows.generation < node.applied and not node.behind:
        text = f"{node.name} is at generation {rows.generation}, and had confirmed {node.applied}"
        yield finding("agent.behind", node.name, text)


def _silence(intent: Intent, reality: Reality) -> Iterator[Finding]:
    for node_id, why in reality.silent.items():
        node = intent.nodes.get(node_id) or reality.passers_by.get(node_id)
        if node is not None and not node.fenced and (intent.concerns(node) or node_id in reality.passers_by):
            yield finding("agent.silent", node.name, f"what {node.name} holds is not known: {why}")
