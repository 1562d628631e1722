"""Legacy IPv6 prefixes that a conversion makes flexible IPs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import chain as joined
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from common.db import Database
from services.ipam import chain, wire
from tests.functional.ledger import Ledger, ok, ref

LEGACY = "2001:db8:a:1::/64"

Item = dict[str, Any]


def nat_port(ledger: Ledger, project: str = "red") -> dict[str, str]:
    """A target as placement registers a port behind the NAT: no room for flexible IPv6."""
    return ledger.target(project, limit_ipv4=1, limit_ipv6=0)


def item(target: dict[str, str], prefix: str = LEGACY, project: str = "red", **more: str) -> Item:
    return {"prefix": prefix, "project": project, "target": target, **more}


def ask(ledger: Ledger, *items: Item, zone: str = "zone-a", **more: Any) -> Any:
    return ledger.service.post("/flexible-ips:adopt", {"zone": zone, "prefixes": list(items)}, **more)


def adopt(ledger: Ledger, *items: Item) -> list[Any]:
    adopted: list[Any] = ok(ask(ledger, *items))["items"]
    return adopted


def test_an_adopted_prefix_is_its_projects_on_its_target_as_the_guest_has_it(supplied: Ledger) -> None:
    web = nat_port(supplied)
    supplied.rung()

    (fip,) = adopt(supplied, item(web, "2001:0DB8:a:1::/64", name="web"))

    assert supplied.rung() == [("ledger.address_set", ("instance", web["id"]))]
    assert supplied.red.fip(fip["id"]) == fip
    assert (fip["project"], fip["zone"], fip["pool"], fip["carried"]) == ("red", "zone-a", None, True)
    assert (fip["address"], fip["interface_id"], fip["name"]) == (LEGACY, "2001:db8:a:1::1", "web")
    assert (fip["state"], fip["attachment"]["target"]) == ("attaching", web)
    shown = supplied.address_set(web)
    assert shown["revision"] == 1
    assert shown["addresses"] == [
        {
            "flexible_ip": fip["id"],
            "prefix": LEGACY,
            "host": "2001:db8:a:1::1/64",
            "role": None,
            "carried": True,
            "candidates": [],
            "health_check": None,
        }
    ]
    (operation,) = supplied.red.get("/operations")["items"]
    assert (operation["kind"], operation["state"]) == ("flexible_ip.adopt", "pending")

    supplied.realize(web)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    assert supplied.red.get("/flexible-ips", zone="zone-a", family="ipv6")["items"][0]["id"] == fip["id"]
    assert supplied.red.get("/flexible-ips", zone="zone-b")["items"] == []


def test_history_and_audit_begin_with_the_adoption(supplied: Ledger) -> None:
    web = nat_port(supplied)
    (fip,) = adopt(supplied, item(web))
    supplied.realize(web)
    ok(supplied.red.post(f"/flexible-ips/{fip['id']}:detach"))
    supplied.realize(web)
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))

    records = supplied.red.get(f"/flexible-ips/{fip['id']}/audit")["items"]
    assert [(one["action"], one["actor"]) for one in records] == [
        ("adopt", "placement"),
        ("detach", "rita"),
        ("withdrawn", "placement"),
        ("release", "rita"),
    ]
    assert (records[0]["before"], records[0]["after"]["target"]) == (None, f"instance/{web['id']}")
    assert chain.broken_at({**one, "at": datetime.fromisoformat(one["at"])} for one in records) is None
    holders = [one["target"] for one in supplied.red.get("/holdings", address="2001:db8:a:1::1")["items"]]
    assert holders == [None, web]


def test_adopting_again_changes_nothing(supplied: Ledger) -> None:
    web, db = nat_port(supplied), nat_port(supplied, "blue")
    first = adopt(supplied, item(web))
    before = supplied.contents()
    supplied.rung()

    assert adopt(supplied, item(web, name="another")) == first
    assert (supplied.contents(), supplied.rung()) == (before, [])

    both = adopt(supplied, item(db, "2001:db8:a:2::/64", "blue"), item(web))
    assert (both[1], both[0]["project"]) == (first[0], "blue")
    assert supplied.address_set(web)["revision"] == 1


def test_what_its_owner_did_since_stays(supplied: Ledger) -> None:
    web, other = nat_port(supplied), nat_port(supplied)
    (fip,) = adopt(supplied, item(web))
    supplied.realize(web)
    path = f"/flexible-ips/{fip['id']}"

    ok(supplied.red.post(f"{path}:move", {"from": web, "to": other}))
    supplied.realize(web)
    supplied.realize(other)
    (moved,) = adopt(supplied, item(web))
    assert (moved["id"], moved["state"], moved["attachment"]["target"]) == (fip["id"], "attached", other)

    ok(supplied.red.post(f"{path}:detach"))
    supplied.realize(other)
    assert adopt(supplied, item(web))[0]["state"] == "reserved"

    ok(supplied.red.delete(path))
    assert adopt(supplied, item(web))[0]["state"] == "quarantined"

    ok(supplied.red.post(f"{path}:restore"))
    ok(supplied.service.delete(f"/targets/instance/{web['id']}"))
    assert adopt(supplied, item(web))[0]["state"] == "reserved"


def test_two_that_adopt_the_same_at_once_adopt_it_once(supplied: Ledger) -> None:
    """N = 8 requests for the same 20 prefixes, in different orders."""
    items = [item(nat_port(supplied), f"2001:db8:a:{n:x}::/64") for n in range(20)]
    orders = [items[n:] + items[:n] for n in range(8)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda order: adopt(supplied, *order), orders))

    assert len({one["id"] for one in joined.from_iterable(answers)}) == 20
    assert len(supplied.red.get("/flexible-ips")["items"]) == 20
    assert {supplied.address_set(one["target"])["revision"] for one in items} == {1}


def test_of_those_who_claim_one_prefix_at_once_one_gets_it_and_the_others_are_told(supplied: Ledger) -> None:
    """N = 16 requests, each for another target."""
    items = [item(nat_port(supplied)) for _ in range(16)]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(partial(ask, supplied), items))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 15}
    refused = {(one.json()["code"], one.json()["detail"]) for one in answers if one.is_error}
    assert refused == {("ipam.prefix.overlap", f"{LEGACY} overlaps {LEGACY}, which is carried")}


def test_a_pool_and_an_adoption_that_want_one_prefix_at_once_do_not_both_get_it(supplied: Ledger) -> None:
    """N = 8 prefixes, each wanted by both."""
    pool = supplied.pool("more", "2001:db8:b::/64")
    prefixes = [f"2001:db8:a:{n:x}::/64" for n in range(8)]
    web = nat_port(supplied)

    def want(prefix: str) -> Counter[int]:
        with ThreadPoolExecutor(2) as threads:
            one = threads.submit(ask, supplied, item(web, prefix))
            other = threads.submit(supplied.operator.post, f"/pools/{pool['id']}/prefixes", {"cidr": prefix})
        return Counter(answer.result().status_code // 100 for answer in (one, other))

    assert [want(prefix) for prefix in prefixes] == [{2: 1, 4: 1}] * 8


def test_no_quota_is_used(supplied: Ledger) -> None:
    ok(supplied.operator.put("/quotas/red/ipv6", {"limit": 0}))
    web = nat_port(supplied)
    (fip,) = adopt(supplied, item(web))
    supplied.realize(web)
    path = f"/flexible-ips/{fip['id']}"
    ok(supplied.red.post(f"{path}:detach"))
    supplied.realize(web)
    ok(supplied.red.delete(path))
    ok(supplied.red.post(f"{path}:restore"))

    (quota,) = supplied.red.get("/quotas")["items"]
    assert (quota["family"], quota["used"]) == ("ipv6", 0)


def test_no_limit_counts_it(supplied: Ledger) -> None:
    web, nat = supplied.target("red", limit_ipv6=1), nat_port(supplied)
    (fip, _) = adopt(supplied, item(web), item(web, "2001:db8:a:2::/64"))
    supplied.red.attach(supplied.red.reserve(family="ipv6"), web)
    one_more = supplied.red.reserve(family="ipv6")
    supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{one_more['id']}:attach", {"target": web}), 409, "ipam.target.limit"
    )
    supplied.realize(web)

    ok(supplied.red.post(f"/flexible-ips/{fip['id']}:move", {"from": web, "to": nat}))
    supplied.realize(web)

    assert [one["carried"] for one in supplied.address_set(nat)["addresses"]] == [True]
    assert [one["carried"] for one in supplied.address_set(web)["addresses"]] == [True, False]


@pytest.mark.parametrize(
    ("prefix", "other"),
    [
        ("2001:db8:16:5::/64", "2001:db8:16::/48"),  # within a pool's
        ("2001:db8:16::/48", "2001:db8:16::/48"),
        (LEGACY, LEGACY),  # another target's
        ("2001:db8:a::/48", LEGACY),
    ],
)
def test_what_overlaps_is_refused_and_both_are_named(supplied: Ledger, prefix: str, other: str) -> None:
    web, db = nat_port(supplied), nat_port(supplied)
    adopt(supplied, item(web))

    told = supplied.refuses(
        lambda: ask(supplied, item(db, "2001:db8:c::/64"), item(db, prefix)), 409, "ipam.prefix.overlap"
    )

    assert told.startswith(f"{prefix} overlaps {other}")


def test_a_pool_does_not_take_what_is_carried(supplied: Ledger) -> None:
    adopt(supplied, item(nat_port(supplied)))
    pool = supplied.pool("more", "2001:db8:b::/48")

    told = supplied.refuses(
        lambda: supplied.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": "2001:db8:a::/48"}),
        409,
        "ipam.prefix.overlap",
    )

    assert LEGACY in told
    assert "2001:db8:a::/48" in told


def test_a_request_that_overlaps_itself_is_refused(supplied: Ledger) -> None:
    web = nat_port(supplied)

    for prefix in (LEGACY, "2001:db8:a::/56"):
        told = supplied.refuses(
            partial(ask, supplied, item(web), item(web, "2001:db8:b::/64"), item(web, prefix)),
            409,
            "ipam.prefix.overlap",
        )
        assert LEGACY in told
        assert prefix in told


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"prefix": "198.18.40.7/32"}, 422, "ipam.prefix.family"),
        ({"prefix": "2001:db8:a:1::/65"}, 422, "ipam.prefix.length"),
        ({"prefix": "2001:db8:a:1::1/128"}, 422, "ipam.prefix.length"),
        ({"prefix": "2001:db8::/47"}, 422, "ipam.prefix.length"),
        ({"prefix": "2001:db8:a:1::1/64"}, 422, "ipam.prefix.malformed"),
        ({"prefix": "fe80:0:0:1::/64"}, 422, "ipam.prefix.malformed"),
        ({"project": "blue"}, 404, "ipam.target.unknown"),
        ({"target": {"kind": "instance", "id": str(uuid4())}}, 404, "ipam.target.unknown"),
        ({"target": {"kind": "load-balancer", "id": str(uuid4())}}, 403, "ipam.target.kind_not_yours"),
        ({"colour": "red"}, 422, "request.invalid"),
    ],
)
def test_one_item_that_does_not_fit_refuses_all(supplied: Ledger, change: Item, status: int, code: str) -> None:
    web = nat_port(supplied)

    supplied.refuses(lambda: ask(supplied, item(web, "2001:db8:c::/64"), {**item(web), **change}), status, code)


def test_the_zone_is_the_targets(supplied: Ledger) -> None:
    web = nat_port(supplied)

    supplied.refuses(lambda: ask(supplied, item(web), zone="zone-b"), 409, "ipam.target.zone_mismatch")
    supplied.refuses(lambda: ask(supplied, item(web), zone="nowhere"), 404, "ipam.zone.unknown")


def test_a_request_holds_1_to_500_prefixes(supplied: Ledger) -> None:
    web = nat_port(supplied)
    many = [item(web, f"2001:db8:a:{n:x}::/64") for n in range(1, 502)]

    supplied.refuses(lambda: ask(supplied), 422, "request.invalid")
    supplied.refuses(lambda: ask(supplied, *many), 422, "request.invalid")
    adopted = supplied.client().adopt(
        "zone-a",
        [wire.CarriedPrefix(prefix=one["prefix"], project="red", target=ref(web)) for one in many[:500]],
    )

    assert [fip.address for fip in adopted] == [one["prefix"] for one in many[:500]]
    assert supplied.address_set(web)["revision"] == 500


def test_only_a_service_adopts(supplied: Ledger) -> None:
    body = {"zone": "zone-a", "prefixes": [item(nat_port(supplied))]}

    for caller in (supplied.red, supplied.operator):
        supplied.refuses(partial(caller.post, "/flexible-ips:adopt", body), 403, "auth.role_missing")


def test_a_dry_run_adopts_nothing(supplied: Ledger) -> None:
    web = nat_port(supplied)
    before = supplied.contents()

    answer = ask(supplied, item(web), params={"validate_only": "true"})

    assert ok(answer)["items"][0]["address"] == LEGACY
    assert supplied.contents() == before


def released(ledger: Ledger) -> tuple[dict[str, str], str]:
    """A target, and the path of the prefix it had and its owner gave back."""
    web = nat_port(ledger)
    (fip,) = adopt(ledger, item(web))
    ok(ledger.red.post(f"/flexible-ips/{fip['id']}:detach"))
    ledger.realize(web)
    path = f"/flexible-ips/{fip['id']}"
    ok(ledger.red.delete(path))
    return web, path


def rest_is_over(ledger: Ledger) -> None:
    """As after the quarantine."""
    database = Database(ledger.database_url, lambda *_: None)
    with database.transaction() as tx:
        for column in ("supply SET available_at", "flexible_ip SET quarantined_until"):
            tx.session.execute(text(f"UPDATE {column} = now() WHERE address = '{LEGACY}'"))
    database.close()


def test_released_it_rests_and_can_be_restored(supplied: Ledger) -> None:
    web, path = released(supplied)
    other = nat_port(supplied, "blue")
    assert supplied.red.get(path)["quarantined_until"] is not None
    supplied.refuses(lambda: ask(supplied, item(other, project="blue")), 409, "ipam.prefix.overlap")

    restored = ok(supplied.red.post(f"{path}:restore"))

    assert (restored["state"], restored["carried"]) == ("reserved", True)
    supplied.red.attach(restored, web)
    assert [one["host"] for one in supplied.address_set(web)["addresses"]] == ["2001:db8:a:1::1/64"]


def test_after_its_rest_it_is_gone_and_in_no_pools_supply(ledger: Ledger) -> None:
    ledger.zone()
    ledger.pool("tiny", "2001:db8:1::/64")
    ledger.blue.reserve(family="ipv6")
    _, path = released(ledger)
    rest_is_over(ledger)

    ledger.refuses(lambda: ledger.red.post(f"{path}:restore"), 404, "ipam.flexible_ip.unknown")
    body = {"zone": "zone-a", "family": "ipv6"}
    ledger.refuses(lambda: ledger.red.post("/flexible-ips", body), 409, "ipam.pool.exhausted")
    ledger.refuses(
        lambda: ledger.red.post("/flexible-ips", {**body, "address": LEGACY}), 422, "ipam.address.outside_pool"
    )


def test_what_is_gone_is_free_to_be_adopted_or_to_join_a_pool(supplied: Ledger) -> None:
    _, path = released(supplied)
    rest_is_over(supplied)

    (again,) = adopt(supplied, item(nat_port(supplied, "blue"), project="blue"))
    assert path != f"/flexible-ips/{again['id']}"
    ok(supplied.service.delete(f"/targets/instance/{again['attachment']['target']['id']}"))
    ok(supplied.blue.delete(f"/flexible-ips/{again['id']}"))
    rest_is_over(supplied)

    supplied.pool("more", "2001:db8:a::/48")
    assert supplied.red.reserve(family="ipv6", address=LEGACY)["pool"] == "more"
