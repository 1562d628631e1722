"""Zones, pools, prefixes and quotas."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.functional.ledger import Ledger, ok, problem


@pytest.fixture
def pool(ledger: Ledger) -> Any:
    """An IPv4 pool with one prefix."""
    ledger.zone()
    return ledger.pool("public", "198.18.16.0/24")


def test_a_pool_is_seen_by_every_project_with_its_prefixes(ledger: Ledger, pool: Any) -> None:
    for project in (ledger.red, ledger.blue):
        listed = project.get("/pools", zone="zone-a")["items"]
        assert [item["name"] for item in listed] == ["public"]
        assert [prefix["cidr"] for prefix in listed[0]["prefixes"]] == ["198.18.16.0/24"]
        assert project.get(f"/pools/{pool['id']}/prefixes")["items"] == listed[0]["prefixes"]


@pytest.mark.parametrize("cidr", ["198.18.16.0/24", "198.18.16.128/25", "198.18.0.0/16", "198.18.16.7/32"])
def test_overlapping_prefixes_are_refused(ledger: Ledger, pool: Any, cidr: str) -> None:
    other = ledger.pool("other", "198.19.0.0/24")

    for target in (pool, other):
        told = ledger.refuses(
            partial(ledger.operator.post, f"/pools/{target['id']}/prefixes", {"cidr": cidr}),
            409,
            "ipam.prefix.overlap",
        )
        assert "198.18.16.0/24" in told


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("198.18.17.1/24", "ipam.prefix.malformed"),
        ("198.18.17.0", "ipam.prefix.malformed"),
        ("2001:db8::/48", "ipam.prefix.family"),
        ("0.0.0.0/1", "ipam.prefix.length"),
    ],
)
def test_a_prefix_that_does_not_fit_is_refused(ledger: Ledger, pool: Any, cidr: str, code: str) -> None:
    ledger.refuses(lambda: ledger.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": cidr}), 422, code)


def test_adjacent_prefixes_are_no_overlap_and_placement_is_told(ledger: Ledger, pool: Any) -> None:
    ledger.rung()

    ok(ledger.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": "198.18.17.0/24"}))

    assert ledger.rung() == [("ledger.pools", ())]
    assert len(ledger.operator.get(f"/pools/{pool['id']}")["prefixes"]) == 2


def test_only_an_operator_makes_pools(ledger: Ledger, pool: Any) -> None:
    body = {"name": "mine", "zone": "zone-a", "family": "ipv4"}
    for caller in (ledger.red, ledger.blue, ledger.service):
        ledger.refuses(partial(caller.post, "/pools", body), 403, "auth.role_missing")
        ledger.refuses(
            partial(caller.post, f"/pools/{pool['id']}/prefixes", {"cidr": "198.19.0.0/24"}),
            403,
            "auth.role_missing",
        )


def test_a_pool_needs_its_zone_and_a_name_of_its_own(ledger: Ledger, pool: Any) -> None:
    body = {"name": pool["name"], "zone": "zone-a", "family": "ipv4"}

    ledger.refuses(lambda: ledger.operator.post("/pools", body), 409, "ipam.pool.exists")
    ledger.refuses(lambda: ledger.operator.post("/pools", {**body, "zone": "nowhere"}), 404, "ipam.zone.unknown")
    ledger.refuses(
        lambda: ledger.operator.post("/pools", {**body, "name": "x", "prefix_length": 30}),
        422,
        "ipam.pool.prefix_length",
    )
    ledger.refuses(lambda: ledger.operator.post("/pools", {**body, "surprise": 1}), 422, "request.invalid")


def test_unknown_zones_pools_and_prefixes_are_not_found(ledger: Ledger, pool: Any) -> None:
    assert problem(ledger.red.request("GET", "/zones/nowhere")) == (404, "ipam.zone.unknown")
    assert problem(ledger.red.request("GET", f"/pools/{uuid4()}")) == (404, "ipam.pool.unknown")
    assert problem(ledger.red.request("GET", "/pools/nothing")) == (422, "request.invalid")  # no id
    ledger.refuses(
        lambda: ledger.operator.delete(f"/pools/{pool['id']}/prefixes/{pool['id']}"), 404, "ipam.prefix.unknown"
    )


def test_a_zone_put_again_changes_and_only_a_change_raises_its_revision(ledger: Ledger) -> None:
    first = ok(ledger.service.put("/zones/zone-a", {"region": "north"}))
    again = ok(ledger.operator.put("/zones/zone-a", {"region": "north"}))
    changed = ok(ledger.operator.put("/zones/zone-a", {"region": "north", "accepts_regional": True}))

    assert (first["revision"], again["revision"], changed["revision"]) == (1, 1, 2)
    assert ledger.red.get("/zones")["items"] == [changed]
    ledger.refuses(lambda: ledger.red.put("/zones/zone-a", {"region": "south"}), 403, "auth.role_missing")
    ledger.refuses(lambda: ledger.service.put("/zones/Not_A_Name", {"region": "south"}), 422, "request.invalid")


def test_a_prefix_goes_only_when_nobody_holds_or_may_restore_an_address_of_it(ledger: Ledger, pool: Any) -> None:
    prefix = pool["prefixes"][0]
    fip = ledger.red.reserve()

    def delete() -> Any:
        return ledger.operator.delete(f"/pools/{pool['id']}/prefixes/{prefix['id']}")

    ledger.refuses(delete, 409, "ipam.prefix.in_use")
    ok(ledger.red.delete(f"/flexible-ips/{fip['id']}"))
    ledger.refuses(delete, 409, "ipam.prefix.in_use")

    empty = ledger.pool("empty", "198.18.20.0/24")
    ok(ledger.operator.delete(f"/pools/{empty['id']}/prefixes/{empty['prefixes'][0]['id']}"))

    assert ledger.operator.get(f"/pools/{empty['id']}")["prefixes"] == []
    assert problem(ledger.red.post("/flexible-ips", {"zone": "zone-a", "pool": "empty"})) == (
        409,
        "ipam.pool.exhausted",
    )


@pytest.mark.usefixtures("pool")
def test_a_quota_is_per_project_and_family_and_counts_what_is_held(ledger: Ledger) -> None:
    ledger.pool("public-v6", "2001:db8:16::/48")
    ok(ledger.operator.put("/quotas/red/ipv4", {"limit": 2}))
    held = [ledger.red.reserve() for _ in range(2)]

    def one_more() -> Any:
        return ledger.red.post("/flexible-ips", {"zone": "zone-a"})

    ledger.refuses(one_more, 409, "ipam.quota.exceeded")
    ledger.red.reserve(family="ipv6")
    ledger.blue.reserve()
    assert ledger.red.get("/quotas")["items"][0] == {
        "project": "red",
        "family": "ipv4",
        "limit": 2,
        "used": 2,
        "revision": 1,
    }
    assert {item["project"] for item in ledger.blue.get("/quotas")["items"]} == {"blue"}

    ok(ledger.red.delete(f"/flexible-ips/{held[0]['id']}"))
    ok(one_more())
    ledger.refuses(lambda: ledger.red.post(f"/flexible-ips/{held[0]['id']}:restore"), 409, "ipam.quota.exceeded")
    ledger.refuses(lambda: ledger.red.put("/quotas/red/ipv4", {"limit": 99}), 403, "auth.role_missing")
