"""Where packets for and from an address go, step by step, and what that comes to. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.netagent.wire import Row, Table
from services.placement.trace.facts import Intent, Node, Prefix, Reality, prefix_of
from services.placement.trace.judge import Direction, Finding, Nature, expected, findings, rewritten, sent_to, who


class Part(enum.StrEnum):
    """What is passed on the way."""

    LEDGER = "ledger"
    CONTROLLER = "controller"
    AGENT = "agent"
    APART = "apart"
    EDGE_ROUTE = "edge_route"
    NAT_IN = "nat_in"
    NAT_OUT = "nat_out"
    ANNOUNCEMENT = "announcement"
    ROUTE = "route"
    FALLBACK = "fallback"
    HOSTNAT = "hostnat"
    GUARD = "guard"
    LINK = "link"
    GUEST = "guest"


PARTS = {
    Table.INBOUND: Part.NAT_IN,
    Table.OUTBOUND: Part.NAT_OUT,
    Table.ANCHOR: Part.ANNOUNCEMENT,
    Table.HOST_NAT: Part.HOSTNAT,
    Table.FORWARD: Part.ROUTE,
    Table.FALLBACK: Part.FALLBACK,
    Table.GUARD_PORT: Part.GUARD,
    Table.GUARD_ADDRESS: Part.GUARD,
    Table.LEG: Part.LINK,
    Table.GUEST_ADDRESS: Part.GUEST,
    Table.FENCE: Part.APART,
    Table.BLACKHOLE: Part.APART,
}
INWARDS = (
    Table.ANCHOR,
    Table.HOST_NAT,
    Table.FORWARD,
    Table.FALLBACK,
    Table.GUARD_PORT,
    Table.GUARD_ADDRESS,
    Table.LEG,
    Table.GUEST_ADDRESS,
)
OUTWARDS = (Table.GUEST_ADDRESS, Table.LEG, Table.GUARD_PORT, Table.GUARD_ADDRESS, Table.HOST_NAT)


SHOWN = {
    Table.INBOUND: "{public} → {private}",
    Table.OUTBOUND: "{private} → {public}",
    Table.ANCHOR: "{prefix}, sequence {sequence}",
    Table.FORWARD: "{prefix} by {link} to {mac}",
    Table.FALLBACK: "{prefix} by {peer}",
    Table.GUARD_PORT: "{link} open for {mac}",
    Table.GUARD_ADDRESS: "{link} open for {prefix}",
    Table.LEG: "{link} {state}",
    Table.GUEST_ADDRESS: "has {address}",
    Table.FENCE: "the node at {neighbour}",
    Table.BLACKHOLE: "{prefix} from {neighbour}",
}


class Verdict(enum.StrEnum):
    """What it comes to. `differs`: a kernel holds, or an edge does, something else than was asked for."""

    AS_ASKED = "as_asked"
    DIFFERS = "differs"
    CHANGING = "changing"
    NOT_SERVED = "not_served"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a packet meets. `agrees` is null where one of the two is not known, or nothing is to be had."""

    direction: Direction | None  # None: both
    place: str
    part: Part
    asked: str | None
    seen: str | None
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Way:
    """The places a packet passes, as things are. `arrives` is None where that is not known."""

    places: tuple[str, ...]
    arrives: bool | None


@dataclass(frozen=True, slots=True)
class Trace:
    """One address, in both directions."""

    intent: Intent
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    inbound: Way
    outbound: Way
    verdict: Verdict
    summary: str


def trace(intent: Intent, reality: Reality) -> Trace:
    """Judge one address; `reality` may tell of others too."""
    reality = reality.about({intent.prefix, *intent.private, *intent.covering})
    found = findings(intent, reality)
    inbound, outbound = (_way(intent, reality, found, direction) for direction in Direction)
    verdict = _verdict(found, inbound)
    steps = (*_known(intent), *_inwards(intent, reality), *_outwards(intent, reality))
    return Trace(intent, steps, tuple(found), inbound, outbound, verdict, _summary(found, verdict, inbound))


def _verdict(found: Sequence[Finding], inbound: Way) -> Verdict:
    natures = {one.nature for one in found}
    if Nature.DRIFT in natures:
        return Verdict.DIFFERS
    if any(Direction.IN in one.stops for one in found):
        return Verdict.NOT_SERVED
    if Nature.UNKNOWN in natures:
        return Verdict.UNKNOWN
    if {"port.claimed", "address.changing", "agent.behind", "agent.failing"} & {one.code for one in found}:
        return Verdict.CHANGING
    return Verdict.AS_ASKED if inbound.arrives else Verdict.NOT_SERVED


def _summary(found: Sequence[Finding], verdict: Verdict, inbound: Way) -> str:
    if verdict is Verdict.AS_ASKED:
        return f"as asked: {' → '.join(inbound.places)}"
    decisive = [one for one in found if one.nature is Nature.DRIFT or Direction.IN in one.stops] or found
    said = {
        Verdict.DIFFERS: "not as asked",
        Verdict.CHANGING: "being changed",
        Verdict.NOT_SERVED: "served by nobody",
        Verdict.UNKNOWN: "not known",
    }[verdict]
    return ": ".join([said, *(f"{one.place}: {one.text}" for one in decisive[:1])])


# --- steps -----------------------------------------------------------------------------------------------------------


def _known(intent: Intent) -> Iterator[Step]:
    held, port = intent.ledger, intent.port
    said = held.state if held else intent.silent or ("bound to its node" if port else "held by nobody")
    yield Step(None, "ledger", Part.LEDGER, None, said, None)
    if port is not None:
        node = intent.nodes.get(port.node) if port.node else None
        where = f"on {node.name}" if node else "archived"
        claim = f", {port.claim.kind} at {port.claim.step}" if port.claim else ""
        sequence = max(intent.announcers(intent.prefix).values(), default=0)
        announced = f", sequence {sequence}" if sequence else ""
        text = f"{port.name} {where}, {port.mode}{announced}{claim}"
        yield Step(None, "controller", Part.CONTROLLER, None, text, None)


def _inwards(intent: Intent, reality: Reality) -> Iterator[Step]:
    yield from _edges(intent, reality, intent.prefix)
    for gateway in intent.of_role("gateway"):
        yield from _of_node(reality, gateway, Direction.IN, (Table.INBOUND,))
    for private in sorted(intent.mapped_to(), key=str):
        yield from _edges(intent, reality, private)
    for node in intent.of_role("hypervisor"):
        yield from _of_node(reality, node, Direction.IN, INWARDS)


def _outwards(intent: Intent, reality: Reality) -> Iterator[Step]:
    for node in intent.of_role("hypervisor"):
        yield from _of_node(reality, node, Direction.OUT, OUTWARDS)
    for gateway in intent.of_role("gateway"):
        yield from _of_node(reality, gateway, Direction.OUT, (Table.OUTBOUND,))


def _edges(intent: Intent, reality: Reality, prefix: Prefix) -> Iterator[Step]:
    allowed, must = expected(intent, prefix)
    asked = ", ".join(sorted(node.name for node in intent.nodes.values() if node.id in allowed)) if must else None
    for edge in intent.of_role("edge"):
        if prefix == intent.prefix:
            yield from _of_node(reality, edge, Direction.IN, (Table.FENCE, Table.BLACKHOLE))
        hops = reality.routes.get(edge.id, {}).get(prefix)
        if hops is not None:
            seen = ", ".join(who(intent, reality, hop) for hop in hops) or None
            rightly = [hop for hop in hops if sent_to(intent, reality, hop) & allowed]
            alone = len(hops) == 1 or not intent.announcers(prefix)
            agrees = len(rightly) == len(hops) and (alone if hops else not must)
            yield Step(Direction.IN, edge.name, Part.EDGE_ROUTE, asked, seen, agrees)


def _of_node(reality: Reality, node: Node, direction: Direction, tables: Sequence[Table]) -> Iterator[Step]:
    if node.id in reality.silent and (node.entries or node.role == "edge"):
        yield Step(direction, node.name, Part.AGENT, None, None, None)
    for row in sorted(reality.of(node.id, *tables), key=lambda row: (tables.index(row.table), str(prefix_of(row)))):
        agrees = None if row.unreadable else row.wanted == row.seen
        asked, seen = _described(row, row.wanted), _described(row, row.seen)
        yield Step(direction, node.name, PARTS[row.table], asked, seen, agrees)


def _described(row: Row, fields: Mapping[str, str] | None) -> str | None:
    """One state of a row, in a few words."""
    if fields is None:
        return None
    return rewritten(row.table, fields) if row.table is Table.HOST_NAT else SHOWN[row.table].format_map(fields)


# --- ways ------------------------------------------------------------------------------------------------------------


def _way(intent: Intent, reality: Reality, found: Sequence[Finding], direction: Direction) -> Way:
    stopped = [one.place for one in found if direction in one.stops]
    places = _in_places(intent, reality) if direction is Direction.IN else _out_places(intent)
    if stopped or intent.port is None or not _passes(intent, reality, direction):
        ends = next((number for number, place in enumerate(places) if set(place.split(", ")) & set(stopped)), None)
        return Way(tuple(places[: ends + 1] if ends is not None else places[:1]), False)
    unknown = any(one.nature is Nature.UNKNOWN and one.place != "ledger" for one in found)
    return Way(tuple(places), None if unknown else True)


def _passes(intent: Intent, reality: Reality, direction: Direction) -> bool:
    """Whether it is there yet: at a hypervisor's link, and inwards where an edge sends it.

    Who is silent may have it.
    """
    table = Table.FORWARD if direction is Direction.IN else Table.GUARD_ADDRESS
    hosts = [node.id for node in intent.of_role("hypervisor")]
    held = any(row.seen for host in hosts for row in reality.of(host, table)) or any(h in reality.silent for h in hosts)
    hops = [hop for routes in reality.routes.values() for hop in routes.get(intent.prefix, ())]
    sent = any(sent_to(intent, reality, hop) & intent.holders(intent.prefix) for hop in hops)
    return held and (sent or not reality.routes or direction is Direction.OUT)


def _in_places(intent: Intent, reality: Reality) -> list[str]:
    edges = ", ".join(edge.name for edge in intent.of_role("edge")) or "edge"
    places = ["internet", edges]
    for prefix in (intent.prefix, *sorted(intent.mapped_to(), key=str)):
        hops = [hop for routes in reality.routes.values() for hop in routes.get(prefix, ())]
        if hops:
            places.append(", ".join(dict.fromkeys(who(intent, reality, hop) for hop in hops)))
    return [*places, intent.port.name] if intent.port else places


def _out_places(intent: Intent) -> list[str]:
    seats = [node.name for node in intent.seats()]
    gateways = [node.name for node in intent.mapping()]
    edges = [edge.name for edge in intent.of_role("edge")]
    name = [intent.port.name] if intent.port else []
    return [", ".join(part) for part in (name, seats, gateways, edges, ["internet"]) if part]
