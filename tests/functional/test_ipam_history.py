"""Who held an address at any time, and the chain of its changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from common.db import Database
from services.ipam import chain, model, wire
from tests.functional.ledger import Api, Ledger, ok, problem


def middle(holding: Any) -> str:
    """A moment within a closed holding."""
    since, until = datetime.fromisoformat(holding["since"]), datetime.fromisoformat(holding["until"])
    return (since + (until - since) / 2).isoformat()


def told(api: Api, **params: str) -> list[tuple[str, Any]]:
    return [(item["project"], item["target"]) for item in api.get("/holdings", **params)["items"]]


def test_every_moment_of_an_address_has_its_holder(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/32", quarantine_seconds=0)
    old, new = ledger.target("red"), ledger.target("red")
    fip = ledger.red.reserve()
    ledger.red.attach(fip, old)
    ledger.realize(old)
    ok(ledger.red.post(f"/flexible-ips/{fip['id']}:move", {"from": old, "to": new}))
    # Until its nodes have withdrawn it, the old target holds it.
    assert told(ledger.red, address="198.18.0.8")[0] == ("red", old)
    ledger.realize(old)
    ledger.realize(new)
    ok(ledger.red.post(f"/flexible-ips/{fip['id']}:detach", {}))
    assert told(ledger.red, address="198.18.0.8")[0] == ("red", new)
    ledger.realize(new)
    ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))
    theirs = ledger.blue.reserve()

    holdings = ledger.operator.get("/holdings", address="198.18.0.8")["items"]

    assert [(item["project"], item["target"]) for item in holdings] == [
        ("blue", None),
        ("red", None),
        ("red", new),
        ("red", old),
        ("red", None),
    ]
    assert holdings[0]["until"] is None
    for later, earlier in pairwise(holdings[1:]):
        assert later["since"] == earlier["until"]
    for item in holdings[1:]:
        assert told(ledger.operator, address="198.18.0.8", at=middle(item)) == [(item["project"], item["target"])]
    before = (datetime.fromisoformat(holdings[-1]["since"]) - timedelta(seconds=1)).isoformat()
    assert told(ledger.operator, address="198.18.0.8", at=before) == []

    assert told(ledger.blue, address="198.18.0.8") == [("blue", None)]
    assert ("blue", None) not in told(ledger.red, address="198.18.0.8")
    assert told(ledger.blue, at=middle(holdings[3])) == []
    assert ledger.blue.get("/holdings")["items"][0]["address"] == theirs["address"]


def test_an_address_within_an_ipv6_prefix_finds_its_holder(supplied: Ledger) -> None:
    fip = supplied.red.reserve(family="ipv6")
    supplied.red.reserve(family="ipv6")

    found = supplied.red.get("/holdings", address=fip["interface_id"])["items"]

    assert [item["address"] for item in found] == [fip["address"]]


def test_a_moment_without_a_time_zone_is_refused(supplied: Ledger) -> None:
    answer = supplied.red.request("GET", "/holdings?at=2026-01-01T00:00:00")

    assert problem(answer) == (422, "ipam.filter.malformed")


def test_restoring_leaves_the_rest_between_without_a_holder(supplied: Ledger) -> None:
    fip = supplied.red.reserve()
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))
    ok(supplied.red.post(f"/flexible-ips/{fip['id']}:restore"))

    now, earlier = supplied.red.get("/holdings", address=fip["address"])["items"]

    assert now["until"] is None
    assert earlier["until"] <= now["since"]


def test_the_chain_of_an_address_holds_across_its_holders(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "198.18.0.8/32", quarantine_seconds=0)
    web = ledger.target("red")
    fip = ledger.red.reserve(name="web")
    ledger.red.attach(fip, web)
    ok(ledger.red.post(f"/flexible-ips/{fip['id']}:detach", {}))
    ledger.realize(web)
    mine = ledger.red.get(f"/flexible-ips/{fip['id']}/audit")["items"]
    ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))
    theirs = ledger.blue.reserve()

    last = ledger.blue.get(f"/flexible-ips/{theirs['id']}/audit")["items"]

    assert [(item["number"], item["action"], item["actor"]) for item in mine] == [
        (1, "reserve", "rita"),
        (2, "attach", "rita"),
        (3, "detach", "rita"),
        (4, "withdrawn", "placement"),
    ]
    assert mine[1]["before"]["target"] is None
    assert mine[1]["after"]["target"] == f"instance/{web['id']}"
    assert [(item["number"], item["actor"]) for item in last] == [(6, "bob")]
    assert all(item["request_id"] for item in mine)
    assert problem(ledger.blue.request("GET", f"/flexible-ips/{fip['id']}/audit"))[0] == 404
    assert chain.broken_at(_records(ledger)) is None


def test_a_record_altered_in_the_database_breaks_the_chain(supplied: Ledger) -> None:
    fip = supplied.red.reserve()
    for name in ("a", "b", "c"):
        ok(supplied.red.patch(f"/flexible-ips/{fip['id']}", {"name": name}))
    assert chain.broken_at(_records(supplied)) is None

    _execute(supplied, "UPDATE audit SET actor = 'nobody' WHERE number = 2")

    assert chain.broken_at(_records(supplied)) == 2


def test_the_database_itself_refuses_two_holders_at_once(supplied: Ledger) -> None:
    supplied.red.reserve()

    with pytest.raises(IntegrityError, match="holding_one_holder"):
        _execute(
            supplied,
            "INSERT INTO holding SELECT gen_random_uuid(), address, gen_random_uuid(), 'blue', NULL, NULL, held_during"
            " FROM holding",
        )
    with pytest.raises(IntegrityError, match="flexible_ip_address_key"):
        _execute(
            supplied,
            "INSERT INTO flexible_ip SELECT gen_random_uuid(), 'blue', zone, pool_id, NULL, NULL, family, kind,"
            " address, interface_id, name, labels, protected, NULL, NULL, 1, created_at, updated_at FROM flexible_ip",
        )


def _records(ledger: Ledger) -> list[dict[str, Any]]:
    """The chain of the one address there is, as it lies in the database."""
    database = Database(ledger.database_url, lambda *_: None)
    with database.transaction() as tx:
        rows = tx.session.query(model.Audit).order_by(model.Audit.number).all()
        records = [
            {name: getattr(row, name) for name in wire.AuditRecord.model_fields if name != "address"}
            | {"address": row.address}
            for row in rows
        ]
    database.close()
    return records


def _execute(ledger: Ledger, statement: str) -> None:
    database = Database(ledger.database_url, lambda *_: None)
    try:
        with database.transaction() as tx:
            tx.session.execute(text(statement))
    finally:
        database.close()
