"""What a trace finds, by code: facts in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_interface
from pathlib import Path
from uuid import UUID

import pytest

from services.netagent import wire
from services.netagent.wire import Row, Rows, Table
from services.placement.trace.facts import Claim, Held, Intent, Node, Port, Reality
from services.placement.trace.judge import CODES, Direction, Nature
from services.placement.trace.way import Trace, Verdict, trace

EDGE, GATEWAY, HOST, OTHER, PORT = (UUID(int=number) for number in range(1, 6))
PUBLIC, PRIVATE, OWN = (IPv4Network(text) for text in ("198.18.0.7/32", "10.1.0.2/32", "10.1.0.0/24"))
LINK, MAC = "g000000000000", "06:00:00:00:00:07"

Facts = tuple[Intent, Reality]


def node(of: UUID, name: str, role: str, endpoint: str, *entries: wire.Entry) -> Node:
    return Node(of, name, role, f"https://{name}", frozenset({endpoint}), applied=5, entries=entries)


def same(table: Table, **fields: str) -> Row:
    return Row(table=table, wanted=fields, seen=fields)


def on_link(address: IPv4Network, **rows: Row) -> dict[str, Row]:
    return {
        "leg": same(Table.LEG, link=LINK, state="active"),
        "guard_port": same(Table.GUARD_PORT, link=LINK, mac=MAC),
        "guard": same(Table.GUARD_ADDRESS, link=LINK, prefix=str(address)),
        "forward": same(Table.FORWARD, prefix=str(address), link=LINK, mac=MAC),
        "guest": same(Table.GUEST_ADDRESS, guest="0", address=str(address)),
        **rows,
    }


def told(rows: Mapping[str, Row], generation: int = 5) -> Rows:
    return Rows(epoch=1, generation=generation, rows=list(rows.values()))


def routed() -> Facts:
    """A routed port whose address is as it should be."""
    leg = wire.Port(PORT, bytes(6), wire.PortState.ACTIVE, "web")
    address = wire.Address(PUBLIC, PORT, ip_interface(str(PUBLIC)), sequence=3)
    nodes = {
        EDGE: node(EDGE, "edge", "edge", "172.31.0.1"),
        GATEWAY: node(GATEWAY, "gateway-1", "gateway", "172.31.0.2"),
        HOST: node(HOST, "hypervisor-1", "hypervisor", "172.31.0.3", leg, address),
    }
    port = Port(PORT, "web", "routed", HOST)
    anchor = same(Table.ANCHOR, prefix=str(PUBLIC), sequence="3")
    rows = {EDGE: told({}), GATEWAY: told({}), HOST: told(on_link(PUBLIC, anchor=anchor))}
    intent = Intent(PUBLIC, "zone-1", Held("attached"), None, port, nodes)
    return intent, Reality({EDGE: {PUBLIC: ["172.31.0.3"]}}, rows)


def behind_nat() -> Facts:
    """A port behind the central NAT."""
    leg = wire.Port(PORT, bytes(6), wire.PortState.ACTIVE, "web")
    private = wire.Address(PRIVATE, PORT, ip_interface(str(PRIVATE)))
    public_ip, private_ip = IPv4Address("198.18.0.7"), IPv4Address("10.1.0.2")
    mapping = wire.Inbound(public_ip, private_ip), wire.Outbound(private_ip, public_ip)
    intent, _ = routed()
    nodes = {
        EDGE: intent.nodes[EDGE],
        GATEWAY: replace(intent.nodes[GATEWAY], entries=mapping),
        HOST: replace(intent.nodes[HOST], entries=(leg, private)),
    }
    fields = {"public": "198.18.0.7", "private": "10.1.0.2"}
    rows = {
        EDGE: told({}),
        GATEWAY: told({"in": same(Table.INBOUND, **fields), "out": same(Table.OUTBOUND, **fields)}),
        HOST: told(on_link(PRIVATE, own=same(Table.ANCHOR, prefix=str(OWN), sequence="1"))),
    }
    intent = replace(
        intent,
        port=Port(PORT, "web", "nat", HOST),
        nodes=nodes,
        private=(PRIVATE,),
        homes={PRIVATE: HOST},
        covering=(OWN,),
    )
    return intent, Reality({EDGE: {PUBLIC: ["172.31.0.2"], PRIVATE: ["172.31.0.3"]}}, rows)


def codes(facts: Facts) -> list[str]:
    return [finding.code for finding in trace(*facts).findings]


def lost(facts: Facts, at: UUID, *tables: Table, seen: dict[str, str] | None = None) -> Facts:
    """Rows of a node are gone, or are `seen` to be otherwise."""
    intent, reality = facts
    rows = [
        row.model_copy(update={"seen": None if seen is None else {**(row.wanted or {}), **seen}})
        if row.table in tables
        else row
        for row in reality.rows[at].rows
    ]
    changed = reality.rows[at].model_copy(update={"rows": rows})
    return intent, replace(reality, rows={**reality.rows, at: changed})


def found(facts: Facts, at: UUID, table: Table, **seen: str) -> Facts:
    """A row that nobody asked for."""
    intent, reality = facts
    row = Row(table=table, wanted=None, seen=seen)
    held = reality.rows.get(at, told({}))
    return intent, replace(reality, rows={**reality.rows, at: held.model_copy(update={"rows": [*held.rows, row]})})


def sent(facts: Facts, *hops: str) -> Facts:
    intent, reality = facts
    other = node(OTHER, "hypervisor-2", "hypervisor", "172.31.0.4")
    routes = {EDGE: {**reality.routes[EDGE], PUBLIC: list(hops)}}
    return intent, replace(reality, routes=routes, passers_by={OTHER: other})


def with_node(facts: Facts, at: UUID, **changes: object) -> Facts:
    intent, reality = facts
    return replace(intent, nodes={**intent.nodes, at: replace(intent.nodes[at], **changes)}), reality  # type: ignore[arg-type]


def held(facts: Facts, state: str, **more: str) -> Facts:
    return replace(facts[0], ledger=Held(state, **more)), facts[1]


def silent(facts: Facts, at: UUID) -> Facts:
    intent, reality = facts
    rows = {one: said for one, said in reality.rows.items() if one != at}
    routes = {one: said for one, said in reality.routes.items() if one != at}
    return intent, replace(reality, rows=rows, routes=routes, silent={at: "timed out"})


def unattached(facts: Facts) -> Facts:
    """Nobody has it, and nobody is to hold anything of it."""
    nodes = {one: replace(known, entries=()) for one, known in facts[0].nodes.items() if one != HOST}
    rows = {one: told({}) for one in nodes}
    return replace(facts[0], port=None, nodes=nodes), Reality({EDGE: {PUBLIC: ["172.31.0.2"]}}, rows)


CASES: list[tuple[str, Callable[[], Facts], list[str]]] = [
    ("routed and well", routed, []),
    ("behind the NAT and well", behind_nat, []),
    ("no route", lambda: lost(routed(), HOST, Table.FORWARD), ["route.missing"]),
    ("no neighbour", lambda: lost(routed(), HOST, Table.FORWARD, seen={"mac": ""}), ["route.missing"]),
    ("not announced", lambda: lost(sent(routed()), HOST, Table.ANCHOR), ["route.missing"]),
    (
        "not announced, so by the pool",
        lambda: lost(sent(routed(), "172.31.0.2"), HOST, Table.ANCHOR),
        ["route.missing"],
    ),
    ("own prefix not announced", lambda: lost(behind_nat(), HOST, Table.ANCHOR), ["route.missing"]),
    (
        "other sequence",
        lambda: found(lost(routed(), HOST, Table.ANCHOR), HOST, Table.ANCHOR, prefix=str(PUBLIC), sequence="9"),
        ["sequence.wrong"],
    ),
    (
        "two sequences",
        lambda: found(routed(), HOST, Table.ANCHOR, prefix=str(PUBLIC), sequence="9"),
        ["sequence.wrong"],
    ),
    ("guard closed", lambda: lost(routed(), HOST, Table.GUARD_PORT), ["guard.closed"]),
    ("program gone", lambda: lost(routed(), HOST, Table.GUARD_PORT, Table.GUARD_ADDRESS), ["guard.closed"]),
    ("link gone, and all with it", lambda: lost(routed(), HOST, *set(Table) - {Table.ANCHOR}), ["link.down"]),
    ("link down", lambda: lost(routed(), HOST, Table.LEG, seen={"state": "unsound"}), ["link.down"]),
    ("guest without address", lambda: lost(routed(), HOST, Table.GUEST_ADDRESS), ["guest.unconfigured"]),
    (
        "mapped elsewhere",
        lambda: lost(behind_nat(), GATEWAY, Table.INBOUND, seen={"private": "10.9.9.9"}),
        ["nat.stale"],
    ),
    (
        "sent out as another",
        lambda: lost(behind_nat(), GATEWAY, Table.OUTBOUND, seen={"public": "198.18.9.9"}),
        ["nat.stale"],
    ),
    (
        "mapping left over",
        lambda: found(routed(), GATEWAY, Table.INBOUND, public="198.18.0.7", private="10.9.9.9"),
        ["nat.stale"],
    ),
    ("shared", lambda: sent(routed(), "172.31.0.3", "172.31.0.4"), ["announcer.second"]),
    ("stolen", lambda: sent(routed(), "172.31.0.4"), ["announcer.second"]),
    ("stolen by a stranger", lambda: sent(routed(), "203.0.113.1"), ["announcer.second"]),
    ("edge knows nothing", lambda: sent(routed()), ["edge.no_route"]),
    ("edge sends it by the pool", lambda: sent(routed(), "172.31.0.2"), ["edge.no_route"]),
    ("discarded", lambda: found(routed(), EDGE, Table.BLACKHOLE, prefix=str(PUBLIC), neighbour="None"), ["edge.apart"]),
    (
        "link held down",
        lambda: found(routed(), EDGE, Table.FENCE, neighbour="172.31.0.3", closed="True"),
        ["edge.apart"],
    ),
    ("another's link held down", lambda: found(routed(), EDGE, Table.FENCE, neighbour="172.31.0.9", closed="True"), []),
    ("free", lambda: (replace((f := unattached(routed()))[0], ledger=None), f[1]), ["address.free"]),
    ("reserved", lambda: held(unattached(routed()), "reserved"), ["address.reserved"]),
    ("resting", lambda: held(unattached(routed()), "quarantined", quarantined_until="noon"), ["address.quarantined"]),
    (
        "reserved and announced",
        lambda: held(sent(unattached(routed()), "172.31.0.4"), "reserved"),
        ["announcer.second", "address.reserved"],
    ),
    ("attaching", lambda: held(routed(), "attaching"), ["address.changing"]),
    ("frozen", lambda: held(routed(), "attached", frozen_since="noon"), ["address.frozen"]),
    (
        "archived",
        lambda: (replace((f := unattached(routed()))[0], port=Port(PORT, "web", "routed", None)), f[1]),
        ["address.archived"],
    ),
    (
        "moving",
        lambda: (
            replace(
                (f := routed())[0],
                port=Port(PORT, "web", "routed", HOST, Claim("live", "announce", "placement-1", None)),
            ),
            f[1],
        ),
        ["port.claimed"],
    ),
    ("fenced", lambda: with_node(sent(routed()), HOST, fence=True, fenced=True), ["node.fenced"]),
    (
        "fenced and silent",
        lambda: silent(with_node(sent(routed()), HOST, fence=True, fenced=True), HOST),
        ["node.fenced"],
    ),
    (
        "fenced from its node",
        lambda: (replace((f := routed())[0], fenced_from=frozenset({HOST})), f[1]),
        ["address.fenced"],
    ),
    ("behind", lambda: with_node(sent(routed()), HOST, behind=True), ["agent.behind"]),
    ("has lost what it confirmed", lambda: with_node(routed(), HOST, applied=9), ["agent.behind"]),
    ("refuses", lambda: with_node(routed(), HOST, behind=True, failure="no room"), ["agent.failing"]),
    ("silent", lambda: silent(routed(), HOST), ["agent.silent"]),
    ("an uninvolved gateway is silent", lambda: silent(routed(), GATEWAY), []),
    ("edge silent", lambda: silent(routed(), EDGE), ["agent.silent"]),
    ("a table is unreadable", lambda: unreadable(routed()), ["agent.unreadable"]),
    ("ledger silent", lambda: (replace((f := routed())[0], ledger=None, silent="timed out"), f[1]), ["ledger.silent"]),
]


def unreadable(facts: Facts) -> Facts:
    intent, reality = lost(facts, HOST, Table.FORWARD)
    rows = [
        row.model_copy(update={"unreadable": "no"}) if row.table is Table.FORWARD else row
        for row in reality.rows[HOST].rows
    ]
    return intent, replace(reality, rows={**reality.rows, HOST: reality.rows[HOST].model_copy(update={"rows": rows})})


@pytest.mark.parametrize(("facts", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_found(facts: Callable[[], Facts], expected: list[str]) -> None:
    assert codes(facts()) == expected


def test_every_code_has_a_case() -> None:
    assert {code for _, _, expected in CASES for code in expected} == set(CODES)


def test_every_code_has_its_line_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "trace.md").read_text()
    for code, (nature, _) in CODES.items():
        assert f"| `{code}` | {nature} |" in manual, code


def test_at_each_step_of_a_move_either_end_may_get_it() -> None:
    intent, reality = routed()
    claim = Claim("live", "announce", "placement-1", "BGP converges")
    coming = wire.Address(PUBLIC, PORT, ip_interface(str(PUBLIC)), sequence=4)
    other = node(OTHER, "hypervisor-2", "hypervisor", "172.31.0.4", coming)
    moving = replace(intent, port=Port(PORT, "web", "routed", HOST, claim), nodes={**intent.nodes, OTHER: other})

    for hop in ("172.31.0.3", "172.31.0.4"):
        assert codes((moving, replace(reality, routes={EDGE: {PUBLIC: [hop]}}))) == ["port.claimed"]
    shared = replace(reality, routes={EDGE: {PUBLIC: ["172.31.0.3", "172.31.0.4"]}})
    assert codes((moving, shared)) == ["announcer.second", "port.claimed"], "never both"


@pytest.mark.parametrize(
    ("facts", "verdict", "inbound", "outbound"),
    [
        (routed, Verdict.AS_ASKED, True, True),
        (behind_nat, Verdict.AS_ASKED, True, True),
        (lambda: lost(routed(), HOST, Table.FORWARD), Verdict.DIFFERS, False, True),
        (lambda: lost(behind_nat(), GATEWAY, Table.OUTBOUND), Verdict.DIFFERS, True, False),
        (lambda: held(unattached(routed()), "reserved"), Verdict.NOT_SERVED, False, False),
        (lambda: held(routed(), "attaching"), Verdict.CHANGING, True, True),
        (lambda: silent(routed(), HOST), Verdict.UNKNOWN, None, None),
    ],
)
def test_what_it_comes_to(
    facts: Callable[[], Facts], verdict: Verdict, inbound: bool | None, outbound: bool | None
) -> None:
    judged: Trace = trace(*facts())

    assert (judged.verdict, judged.inbound.arrives, judged.outbound.arrives) == (verdict, inbound, outbound)


def test_the_way_is_told_place_by_place_and_ends_where_packets_do() -> None:
    assert trace(*behind_nat()).inbound.places == ("internet", "edge", "gateway-1", "hypervisor-1", "web")
    assert trace(*behind_nat()).outbound.places == ("web", "hypervisor-1", "gateway-1", "edge", "internet")
    assert trace(*lost(routed(), HOST, Table.LEG)).inbound.places == ("internet", "edge", "hypervisor-1")
    assert trace(*sent(routed(), "172.31.0.4")).inbound.places == ("internet", "edge")


def test_a_remedy_names_where_it_is_to_be_done() -> None:
    (finding,) = trace(*lost(routed(), HOST, Table.LEG)).findings
    assert (finding.nature, finding.stops) == (Nature.DRIFT, frozenset(Direction))
    assert "godwit node show hypervisor-1" in finding.remedy
