"""Reserving and releasing addresses, alone and in a crowd."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from common.db import Database
from services.ipam import wire
from services.ipam.service import supply as supply_service
from services.ipam.store import supply
from tests.functional.ledger import Ledger, ok, problem

CLIENTS = 32


def in_a_crowd(clients: int, ask: Callable[[int], Any]) -> list[Any]:
    """Ask from `clients` threads at once; the answers."""
    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(ask, range(clients)))


def test_a_project_reserves_lists_and_reads_its_addresses_and_no_others(supplied: Ledger) -> None:
    mine, theirs = supplied.red.reserve(name="web", labels={"env": "prod"}), supplied.blue.reserve()

    assert mine["state"] == "reserved"
    assert mine["project"] == "red"
    assert mine["address"] != theirs["address"]
    assert supplied.red.get("/flexible-ips")["items"] == [mine]
    assert supplied.blue.get("/flexible-ips")["items"] == [theirs]
    assert len(supplied.operator.get("/flexible-ips")["items"]) == 2
    assert supplied.operator.get("/flexible-ips", project="blue")["items"] == [theirs]
    for verb, path in (("GET", ""), ("DELETE", ""), ("POST", ":restore")):
        supplied.refuses(
            partial(supplied.blue.request, verb, f"/flexible-ips/{mine['id']}{path}"),
            404,
            "ipam.flexible_ip.unknown",
        )
    supplied.refuses(
        lambda: supplied.blue.patch(f"/flexible-ips/{mine['id']}", {"name": "stolen"}), 404, "ipam.flexible_ip.unknown"
    )
    assert problem(supplied.red.request("GET", "/flexible-ips", params={"project": "blue"})) == (
        403,
        "ipam.project.not_yours",
    )


def test_a_foreign_and_a_missing_address_answer_alike(supplied: Ledger) -> None:
    theirs = supplied.blue.reserve()
    missing = UUID(int=1)

    answers = [supplied.red.request("GET", f"/flexible-ips/{item}").json() for item in (theirs["id"], missing)]

    for answer, item in zip(answers, (theirs["id"], missing), strict=True):
        del answer["request_id"]
        answer["detail"] = answer["detail"].replace(str(item), "…")
    assert answers[0] == answers[1]


def test_an_address_asked_for_by_name_is_given_once(supplied: Ledger) -> None:
    fip = supplied.red.reserve(address="198.18.16.200")
    assert fip["address"] == "198.18.16.200"
    assert fip["pool"] == "zone-a-v4"

    for project in (supplied.blue, supplied.red):
        supplied.refuses(
            partial(project.post, "/flexible-ips", {"zone": "zone-a", "address": "198.18.16.200"}),
            409,
            "ipam.address.taken",
        )
    everything = [supplied.red.reserve()["address"] for _ in range(20)]
    assert "198.18.16.200" not in everything


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"zone": "zone-a", "address": "203.0.113.1"}, 422, "ipam.address.outside_pool"),
        ({"zone": "zone-a", "address": "198.18.17.1"}, 422, "ipam.address.outside_pool"),  # zone-b's
        ({"zone": "zone-a", "pool": "zone-a-v4", "address": "203.0.113.1"}, 422, "ipam.address.outside_pool"),
        ({"zone": "zone-a", "address": "198.18.16.999"}, 422, "ipam.address.malformed"),
        ({"zone": "zone-a", "address": "2001:db8:16::/64"}, 422, "ipam.address.malformed"),
        ({"zone": "zone-a", "family": "ipv6", "address": "2001:db8:16::1"}, 422, "ipam.address.malformed"),
        ({"zone": "zone-a", "family": "ipv6", "address": "2001:db8:99::/64"}, 422, "ipam.address.outside_pool"),
        ({"zone": "nowhere"}, 404, "ipam.zone.unknown"),
        ({"zone": "zone-a", "pool": "nothing"}, 404, "ipam.pool.unknown"),
        ({"zone": "zone-a", "pool": "zone-b-v4"}, 404, "ipam.pool.unknown"),
        ({"zone": "zone-a", "project": "blue"}, 403, "ipam.project.not_yours"),
        ({"zone": "zone-a", "colour": "red"}, 422, "request.invalid"),
        ({}, 422, "request.invalid"),
    ],
)
def test_what_cannot_be_reserved_is_refused_and_changes_nothing(
    supplied: Ledger, body: dict[str, str], status: int, code: str
) -> None:
    supplied.refuses(lambda: supplied.red.post("/flexible-ips", body), status, code)


def test_a_service_reserves_on_behalf_of_a_project(supplied: Ledger) -> None:
    fip = supplied.client().reserve(wire.FlexibleIPReserve(zone="zone-a", project="red"))

    assert supplied.red.fip(str(fip.id))["project"] == "red"
    assert problem(supplied.blue.request("GET", f"/flexible-ips/{fip.id}"))[0] == 404


def test_readers_only_read(supplied: Ledger) -> None:
    fip = supplied.red.reserve()
    reader = supplied.api("rob", "red", "reader")

    assert reader.fip(fip["id"]) == fip
    supplied.refuses(lambda: reader.post("/flexible-ips", {"zone": "zone-a"}), 403, "auth.role_missing")
    supplied.refuses(lambda: reader.delete(f"/flexible-ips/{fip['id']}"), 403, "auth.role_missing")


def test_every_address_of_a_prefix_is_given_and_then_the_pool_is_exhausted(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/29")

    given = [ledger.red.reserve()["address"] for _ in range(8)]

    assert given == [f"198.18.0.{n}" for n in range(8, 16)]
    told = ledger.refuses(lambda: ledger.blue.post("/flexible-ips", {"zone": "zone-a"}), 409, "ipam.pool.exhausted")
    assert "tiny" in told


def test_the_next_pool_of_the_zone_is_used_when_the_first_is_empty(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("first", "198.18.0.8/32")
    ledger.pool("second", "198.18.0.9/32")

    assert [ledger.red.reserve()["pool"] for _ in range(2)] == ["first", "second"]
    assert problem(ledger.red.post("/flexible-ips", {"zone": "zone-a", "pool": "first"}))[1] == "ipam.pool.exhausted"


# --- release and quarantine ------------------------------------------------------------------------------------------


def test_a_released_address_rests_and_only_its_previous_project_sees_and_restores_it(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/32")
    fip = ledger.red.reserve(name="web")

    released = ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))

    assert released["state"] == "quarantined"
    rests = datetime.fromisoformat(released["quarantined_until"]) - datetime.now(UTC)
    assert timedelta(seconds=290) < rests <= timedelta(seconds=300)
    ledger.refuses(lambda: ledger.blue.post("/flexible-ips", {"zone": "zone-a"}), 409, "ipam.pool.exhausted")
    told = ledger.refuses(
        lambda: ledger.blue.post("/flexible-ips", {"zone": "zone-a", "address": "198.18.0.8"}),
        409,
        "ipam.address.quarantined",
    )
    assert released["quarantined_until"][:16] in told
    assert ledger.red.get("/flexible-ips", state="quarantined")["items"] == [released]
    assert ledger.blue.get("/flexible-ips")["items"] == []
    ledger.refuses(lambda: ledger.blue.post(f"/flexible-ips/{fip['id']}:restore"), 404, "ipam.flexible_ip.unknown")
    ledger.refuses(
        lambda: ledger.red.patch(f"/flexible-ips/{fip['id']}", {"name": "x"}), 409, "ipam.flexible_ip.quarantined"
    )

    restored = ok(ledger.red.post(f"/flexible-ips/{fip['id']}:restore"))

    assert (restored["state"], restored["name"], restored["address"]) == ("reserved", "web", "198.18.0.8")
    assert restored["quarantined_until"] is None
    ledger.refuses(lambda: ledger.red.post(f"/flexible-ips/{fip['id']}:restore"), 409, "ipam.flexible_ip.not_released")


def test_releasing_again_changes_nothing(supplied: Ledger) -> None:
    fip = supplied.red.reserve()
    first = ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))
    before = supplied.contents()

    assert ok(supplied.red.delete(f"/flexible-ips/{fip['id']}")) == first
    assert supplied.contents() == before


def test_after_its_quarantine_an_address_is_anybodys_and_its_former_id_is_gone(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/32", quarantine_seconds=0)
    fip = ledger.red.reserve()
    ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))

    theirs = ledger.blue.reserve()

    assert theirs["address"] == fip["address"]
    assert theirs["id"] != fip["id"]
    ledger.refuses(lambda: ledger.red.post(f"/flexible-ips/{fip['id']}:restore"), 404, "ipam.flexible_ip.unknown")
    assert ledger.red.get("/flexible-ips")["items"] == []


def test_addresses_are_given_again_in_the_order_they_were_released(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/30", quarantine_seconds=0)
    held = [ledger.red.reserve() for _ in range(4)]
    order = [held[2], held[0], held[3], held[1]]

    for fip in order:
        ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))

    assert [ledger.red.reserve()["address"] for _ in range(4)] == [fip["address"] for fip in order]


def test_a_protected_address_is_not_released(supplied: Ledger) -> None:
    fip = supplied.red.reserve()
    ok(supplied.red.patch(f"/flexible-ips/{fip['id']}", {"protected": True}))

    supplied.refuses(lambda: supplied.red.delete(f"/flexible-ips/{fip['id']}"), 409, "ipam.flexible_ip.protected")

    ok(supplied.red.patch(f"/flexible-ips/{fip['id']}", {"protected": False}))
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))


def test_an_update_changes_what_it_names_and_leaves_the_rest(supplied: Ledger) -> None:
    fip = supplied.red.reserve(name="web", labels={"env": "prod"})

    renamed = ok(supplied.red.patch(f"/flexible-ips/{fip['id']}", {"name": "db"}))
    assert (renamed["name"], renamed["labels"], renamed["revision"]) == ("db", {"env": "prod"}, 2)

    cleared = ok(supplied.red.patch(f"/flexible-ips/{fip['id']}", {"labels": {}, "name": None}))
    assert (cleared["name"], cleared["labels"]) == (None, {})


# --- IPv6 ------------------------------------------------------------------------------------------------------------


def test_ipv6_is_a_prefix_with_an_address_of_its_own_in_it(supplied: Ledger) -> None:
    fip = supplied.red.reserve(family="ipv6")

    prefix = ipaddress.IPv6Network(fip["address"])
    assert prefix.prefixlen == 64
    assert prefix.subnet_of(ipaddress.IPv6Network("2001:db8:16::/48"))
    assert ipaddress.IPv6Address(fip["interface_id"]) in prefix
    assert supplied.red.fip(fip["id"])["interface_id"] == fip["interface_id"]


def test_ipv6_starts_at_random(supplied: Ledger) -> None:
    drawn = [int(ipaddress.IPv6Network(supplied.red.reserve(family="ipv6")["address"])[0]) for _ in range(8)]

    assert len(set(drawn)) == 8
    assert drawn != sorted(drawn)  # by chance once in 40,320


def test_ipv6_no_row_is_written_for_what_nobody_holds(supplied: Ledger) -> None:
    supplied.red.reserve(family="ipv6")

    rows = [row for row in supplied.contents()["supply"] if "2001:db8" in row]
    assert len(rows) == 1


def test_ipv6_a_small_prefix_is_given_to_the_last_one_and_then_rests_alike(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "2001:db8::/60", quarantine_seconds=300)

    held = [ledger.red.reserve(family="ipv6") for _ in range(16)]

    assert len({fip["address"] for fip in held}) == 16
    body = {"zone": "zone-a", "family": "ipv6"}
    ledger.refuses(lambda: ledger.blue.post("/flexible-ips", body), 409, "ipam.pool.exhausted")
    ok(ledger.red.delete(f"/flexible-ips/{held[5]['id']}"))
    ledger.refuses(lambda: ledger.blue.post("/flexible-ips", body), 409, "ipam.pool.exhausted")
    ledger.refuses(
        lambda: ledger.blue.post("/flexible-ips", {**body, "address": held[5]["address"]}),
        409,
        "ipam.address.quarantined",
    )
    ledger.refuses(
        lambda: ledger.blue.post("/flexible-ips", {**body, "address": held[6]["address"]}), 409, "ipam.address.taken"
    )


def test_ipv6_a_prefix_asked_for_by_name(supplied: Ledger) -> None:
    assert supplied.red.reserve(family="ipv6", address="2001:db8:16:abc::")["address"] == "2001:db8:16:abc::/64"


# --- in a crowd ------------------------------------------------------------------------------------------------------


def test_32_clients_empty_a_prefix_and_each_address_goes_to_one(ledger: Ledger) -> None:
    """N = 288 requests for 256 addresses: all are given, none twice, and 32 are told that the pool is exhausted."""
    ledger.zone()
    ledger.pool("public", "198.18.0.0/24")
    ok(ledger.operator.put("/quotas/red/ipv4", {"limit": 1000}))
    ok(ledger.operator.put("/quotas/blue/ipv4", {"limit": 1000}))
    projects = [ledger.red, ledger.blue]

    def ask(client: int) -> list[Any]:
        return [projects[client % 2].post("/flexible-ips", {"zone": "zone-a"}) for _ in range(9)]

    answers = [answer for some in in_a_crowd(CLIENTS, ask) for answer in some]

    given = [answer.json()["address"] for answer in answers if answer.status_code == 201]
    assert sorted(given) == sorted(f"198.18.0.{n}" for n in range(256))
    assert Counter(answer.json()["code"] for answer in answers if answer.status_code != 201) == {
        "ipam.pool.exhausted": 32
    }


def test_32_clients_cross_the_border_between_seeded_blocks(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """N = 128 requests for a /25 seeded 16 at a time: all 128 addresses are given, none twice."""
    monkeypatch.setattr(supply_service, "SEED_BLOCK", 16)
    ledger.zone()
    ledger.pool("public", "198.18.0.0/25")
    ok(ledger.operator.put("/quotas/red/ipv4", {"limit": 1000}))
    assert len(ledger.contents()["supply"]) == 16

    answers = in_a_crowd(CLIENTS, lambda _: [ledger.red.reserve()["address"] for _ in range(4)])

    assert sorted(address for some in answers for address in some) == sorted(f"198.18.0.{n}" for n in range(128))


def test_32_clients_take_ipv6_prefixes_from_a_small_pool(ledger: Ledger) -> None:
    """N = 64 requests for 64 prefixes: all are given, none twice."""
    ledger.zone()
    ledger.pool("public", "2001:db8::/58")

    answers = in_a_crowd(CLIENTS, lambda _: [ledger.red.reserve(family="ipv6")["address"] for _ in range(2)])

    assert len({address for some in answers for address in some}) == 64


def test_32_clients_ask_for_the_same_address_and_one_gets_it(supplied: Ledger) -> None:
    body = {"zone": "zone-a", "address": "198.18.16.77"}

    answers = in_a_crowd(CLIENTS, lambda _: supplied.red.post("/flexible-ips", body))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CLIENTS - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"ipam.address.taken"}


def test_an_address_that_another_request_gives_up_is_waited_for(ledger: Ledger) -> None:
    ledger.zone()
    pool = ledger.pool("tiny", "198.18.0.8/32")
    database = Database(ledger.database_url, lambda *_: None)
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    with database.engine.connect() as other, ThreadPoolExecutor(1) as thread:
        other.execute(supply.claim_statement(UUID(pool["id"])))
        asked = thread.submit(ledger.red.reserve)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            while watch.execute(waits).scalar_one() == 0:
                assert not asked.done()
        other.rollback()

        assert asked.result()["address"] == "198.18.0.8"
    database.close()


def test_16_clients_reserve_and_release_and_nothing_is_lost(ledger: Ledger) -> None:
    """N = 160 cycles on 8 addresses without quarantine; the history's constraint refuses two holders at once."""
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/29", quarantine_seconds=0)

    def cycle(_client: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        for _ in range(10):
            answer = ledger.red.post("/flexible-ips", {"zone": "zone-a"})
            if answer.status_code == 201:
                answer = ledger.red.delete(f"/flexible-ips/{answer.json()['id']}")
                seen["cycle"] += ok(answer)["state"] == "quarantined"
            else:
                seen[problem(answer)[1]] += 1
        return seen

    seen = sum(in_a_crowd(16, cycle), Counter[str]())

    assert set(seen) <= {"cycle", "ipam.pool.exhausted"}
    assert seen.total() == 160
    assert [item["used"] for item in ledger.red.get("/quotas")["items"]] == [0]
    assert len([ledger.red.reserve() for _ in range(8)]) == 8


def test_the_quota_holds_in_a_crowd(supplied: Ledger) -> None:
    ok(supplied.operator.put("/quotas/red/ipv4", {"limit": 5}))

    answers = in_a_crowd(CLIENTS, lambda _: supplied.red.post("/flexible-ips", {"zone": "zone-a"}))

    assert Counter(answer.status_code for answer in answers) == {201: 5, 409: CLIENTS - 5}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"ipam.quota.exceeded"}


def test_claiming_walks_the_queues_index_and_no_further(ledger: Ledger) -> None:
    ledger.zone()
    pool = ledger.pool("public", "198.18.0.0/16")
    database = Database(ledger.database_url, lambda *_: None)
    with database.transaction() as tx:
        tx.session.execute(
            text(
                "INSERT INTO supply (address, pool_id, prefix_id, free, available_at)"
                " SELECT set_masklen('198.18.0.0'::inet + n, 32), :pool, :prefix, n % 10 = 0,"
                "        CASE WHEN n % 20 = 0 THEN now() + interval '1 hour' ELSE '2000-01-01' END"
                " FROM generate_series(1024, 40000) n"
            ),
            {"pool": pool["id"], "prefix": pool["prefixes"][0]["id"]},
        )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE supply"))
    statement = supply.claim_statement(UUID(pool["id"]))
    sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    with database.transaction() as tx:
        plan = tx.session.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")).scalar_one()
        tx.session.rollback()
    database.close()

    nodes = list(_nodes(plan[0]["Plan"]))
    scans = [node for node in nodes if node.get("Relation Name") == "supply" and "Scan" in node["Node Type"]]
    assert {node["Index Name"] for node in scans} == {"supply_queue_idx", "supply_pkey"}, json.dumps(plan, indent=1)
    assert "Sort" not in {node["Node Type"] for node in nodes}
    queue = next(node for node in scans if node["Index Name"] == "supply_queue_idx")
    assert queue["Actual Rows"] == 1
    assert "available_at" in queue["Index Cond"]
    assert queue.get("Rows Removed by Filter", 0) == 0


def _nodes(plan: dict[str, Any]) -> Any:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
