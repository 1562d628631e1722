"""What every call keeps to: tokens, idempotency, revisions, dry runs, paging, closed filters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from common.db import Database
from services.ipam import app
from services.ipam.settings import Settings
from tests.functional.ledger import Api, Ledger, ok, problem
from tests.functional.tokens import Issuer

RESERVE = {"zone": "zone-a"}


def keyed(api: Api, body: Any, key: str) -> Any:
    return api.post("/flexible-ips", body, headers={"Idempotency-Key": key})


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_without_a_valid_token_nothing_is_answered(supplied: Ledger, issuer: Issuer, tmp_path: Any) -> None:
    stranger = Issuer.create(tmp_path, kid="test")
    for token in (
        "",
        "nonsense",
        stranger.token("rita", "red", "member"),
        issuer.token("rita", "red", "member", audience=["placement"]),
    ):
        api = Api(supplied.http, token, "red")
        supplied.refuses(partial(api.post, "/flexible-ips", RESERVE), 401, "auth.token_refused")


def test_every_operation_of_the_document_needs_a_token(supplied: Ledger) -> None:
    document = supplied.http.get("/openapi.json").json()
    seen = 0
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            assert described["operationId"][0].islower()
            url = path.format_map(Counter())  # every parameter is "0"
            assert problem(supplied.http.request(method.upper(), url)) == (401, "auth.token_refused"), (method, path)
            seen += 1
    assert seen >= 30


def test_a_token_may_come_as_openstack_clients_send_it(supplied: Ledger) -> None:
    answer = supplied.http.get("/ipam/v1/pools", headers={"X-Auth-Token": supplied.red.token})

    assert len(ok(answer)["items"]) == 4


# --- idempotency -----------------------------------------------------------------------------------------------------


def test_a_repeated_request_with_its_key_answers_the_same_and_takes_nothing_more(supplied: Ledger) -> None:
    first = keyed(supplied.red, RESERVE, "k1")
    before = supplied.contents()

    again = keyed(supplied.red, RESERVE, "k1")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"]
    assert supplied.contents() == before


def test_a_key_with_another_request_is_refused(supplied: Ledger) -> None:
    keyed(supplied.red, RESERVE, "k1")

    supplied.refuses(lambda: keyed(supplied.red, {**RESERVE, "name": "x"}, "k1"), 422, "idempotency.key_reused")


def test_a_key_is_a_projects_own_and_a_subjects_own(supplied: Ledger) -> None:
    mine = ok(keyed(supplied.red, RESERVE, "k1"))

    theirs = ok(keyed(supplied.blue, RESERVE, "k1"))
    colleagues = ok(keyed(supplied.api("ron", "red", "member"), RESERVE, "k1"))

    assert len({mine["address"], theirs["address"], colleagues["address"]}) == 3
    assert theirs["project"] == "blue"


def test_a_key_is_authorised_again_before_its_answer_is_repeated(supplied: Ledger) -> None:
    keyed(supplied.red, RESERVE, "k1")
    demoted = supplied.api("rita", "red", "reader")

    supplied.refuses(lambda: keyed(demoted, RESERVE, "k1"), 403, "auth.role_missing")


def test_a_refused_request_leaves_its_key_free(supplied: Ledger) -> None:
    ok(supplied.operator.put("/quotas/red/ipv4", {"limit": 0}))
    supplied.refuses(lambda: keyed(supplied.red, RESERVE, "k1"), 409, "ipam.quota.exceeded")
    ok(supplied.operator.put("/quotas/red/ipv4", {"limit": 1}))

    ok(keyed(supplied.red, RESERVE, "k1"))


def test_a_key_in_flight_is_said_to_be_so(supplied: Ledger) -> None:
    """The first request is held at the quota row that another transaction has locked."""
    ok(supplied.operator.put("/quotas/red/ipv4", {"limit": 5}))
    database = Database(supplied.database_url, lambda *_: None)
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.engine.connect() as other, ThreadPoolExecutor(1) as thread:
        other.execute(text("SELECT 1 FROM quota WHERE project = 'red' FOR UPDATE"))
        first = thread.submit(keyed, supplied.red, RESERVE, "k1")
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            while watch.execute(waits).scalar_one() == 0:
                assert not first.done()

        second = keyed(supplied.red, RESERVE, "k1")
        other.rollback()

        assert problem(second) == (409, "idempotency.in_flight")
        assert second.json()["retryable"] is True
        assert first.result().status_code == 201
    database.close()
    assert ok(keyed(supplied.red, RESERVE, "k1")) == first.result().json()


def test_many_at_once_with_one_key_take_one_address(supplied: Ledger) -> None:
    """N = 16."""
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: keyed(supplied.red, RESERVE, "k1"), range(16)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency.in_flight"}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(supplied.red.get("/flexible-ips")["items"]) == 1


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/pools/{}",
        "/pools/{}/prefixes",
        "/flexible-ips/{}",
        "/flexible-ips/{}/audit",
        "/targets/instance/{}",
        "/address-sets/instance/{}",
    ],
)
def test_what_is_no_id_cannot_be_asked_for_and_an_unknown_one_is_not_found(supplied: Ledger, path: str) -> None:
    assert problem(supplied.red.request("GET", path.format("web"))) == (422, "request.invalid")
    assert problem(supplied.red.request("GET", path.format(uuid4())))[0] == 404


# --- revisions and dry runs ------------------------------------------------------------------------------------------


def test_a_change_meant_for_another_revision_is_refused(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    path = f"/flexible-ips/{fip['id']}"
    etag = supplied.red.request("GET", path).headers["etag"]
    ok(supplied.red.patch(path, {"name": "new"}, headers={"If-Match": etag}))
    stale = {"headers": {"If-Match": etag}}

    for ask in (
        lambda: supplied.red.patch(path, {"name": "newer"}, **stale),
        lambda: supplied.red.delete(path, **stale),
        lambda: supplied.red.post(f"{path}:attach", {"target": web}, **stale),
        lambda: supplied.red.post(f"{path}:detach", {}, **stale),
        lambda: supplied.red.post(f"{path}:restore", {}, **stale),
    ):
        supplied.refuses(ask, 412, "revision.stale")
    supplied.refuses(lambda: supplied.red.delete(path, headers={"If-Match": "yesterday"}), 422, "request.header")

    now = supplied.red.request("GET", path).headers["etag"]
    ok(supplied.red.post(f"{path}:attach", {"target": web}, headers={"If-Match": now}))
    assert supplied.red.fip(fip["id"])["revision"] == 3


def test_pools_zones_quotas_and_targets_honour_their_revisions(supplied: Ledger) -> None:
    pool = supplied.operator.get("/pools")["items"][0]
    web = supplied.target("red")
    stale = {"headers": {"If-Match": '"77"'}}
    target = {"project": "red", "zone": "zone-a", "name": "web"}

    for ask in (
        lambda: supplied.operator.patch(f"/pools/{pool['id']}", {"quarantine_seconds": 1}, **stale),
        lambda: supplied.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": "198.19.0.0/24"}, **stale),
        lambda: supplied.operator.put("/zones/zone-a", {"region": "x"}, **stale),
        lambda: supplied.operator.put("/zones/zone-new", {"region": "x"}, **stale),
        lambda: supplied.operator.put("/quotas/red/ipv4", {"limit": 7}, **stale),
        lambda: supplied.operator.put("/quotas/nobody/ipv4", {"limit": 7}, **stale),
        lambda: supplied.service.put(f"/targets/instance/{web['id']}", target, **stale),
        lambda: supplied.service.delete(f"/targets/instance/{web['id']}", **stale),
    ):
        supplied.refuses(ask, 412, "revision.stale")
    changed = supplied.operator.patch(
        f"/pools/{pool['id']}", {"quarantine_seconds": 1}, headers={"If-Match": f'"{pool["revision"]}"'}
    )
    assert ok(changed)["revision"] == pool["revision"] + 1
    granted = supplied.operator.put("/quotas/red/ipv4", {"limit": 7})
    again = supplied.operator.put("/quotas/red/ipv4", {"limit": 8}, headers={"If-Match": granted.headers["etag"]})
    assert ok(again)["limit"] == 8


def test_a_dry_run_checks_everything_and_keeps_nothing(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    dry = {"params": {"validate_only": "true"}}
    before = supplied.contents()
    supplied.rung()

    for answer in (
        supplied.red.post("/flexible-ips", RESERVE, headers={"Idempotency-Key": "k1"}, **dry),
        supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": web}, **dry),
        supplied.red.delete(f"/flexible-ips/{fip['id']}", **dry),
        supplied.red.patch(f"/flexible-ips/{fip['id']}", {"name": "x"}, **dry),
        supplied.operator.post("/pools", {"name": "p", "zone": "zone-a", "family": "ipv4"}, **dry),
        supplied.service.delete(f"/targets/instance/{web['id']}", **dry),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["godwit-validate-only"] == "true"
    assert problem(supplied.red.post("/flexible-ips", {"zone": "nowhere"}, **dry)) == (404, "ipam.zone.unknown")

    assert supplied.contents() == before
    assert supplied.rung() == []


# --- lists -----------------------------------------------------------------------------------------------------------


def pages(api: Api, path: str, **params: Any) -> list[Any]:
    """All items, two a page; insists that only the last page is short."""
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, limit=2, **params, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == 2
        cursor = {"cursor": page["next_cursor"]}


def test_every_list_is_read_in_pages_without_gaps_or_repeats(supplied: Ledger) -> None:
    red, service = supplied.red, supplied.service
    targets = [supplied.target("red") for _ in range(5)]
    fips = [red.reserve() for _ in range(5)]
    supplied.blue.reserve()
    for fip, target in zip(fips, targets, strict=True):
        red.attach(fip, target)
    for number in range(5):
        ok(red.patch(f"/flexible-ips/{fips[0]['id']}", {"name": f"n{number}"}))
        supplied.zone(f"zone-{number}")
        ok(supplied.operator.put(f"/quotas/p{number}/ipv6", {"limit": 1}))
        supplied.pool(f"extra-{number}", f"198.19.{number}.0/24")

    assert [item["id"] for item in pages(red, "/flexible-ips")] == [fip["id"] for fip in fips]
    assert sorted(item["id"] for item in pages(red, "/targets")) == sorted(item["id"] for item in targets)
    assert [item["target"] for item in pages(service, "/address-sets:lagging")] == sorted(
        targets, key=lambda item: UUID(item["id"])
    )
    assert len(pages(red, "/zones")) == 7
    assert len(pages(red, "/pools")) == 9
    quotas = [(item["project"], item["family"]) for item in pages(supplied.operator, "/quotas")]
    assert quotas == sorted(quotas)
    assert len(quotas) == 7
    operations = pages(red, "/operations")
    assert [item["resource"].rpartition("/")[2] for item in operations] == [fip["id"] for fip in reversed(fips)]
    holdings = pages(red, "/holdings")
    assert len({(item["address"], item["since"]) for item in holdings}) == len(holdings) == 10
    audit = pages(red, f"/flexible-ips/{fips[0]['id']}/audit")
    assert [item["number"] for item in audit] == list(range(1, 8))


def test_a_list_is_narrowed_by_what_it_knows(supplied: Ledger) -> None:
    web = supplied.target("red")
    plain = supplied.red.reserve(name="plain", labels={"env": "dev"})
    held = supplied.red.reserve(labels={"env": "prod", "tier": "web"})
    six = supplied.red.reserve(family="ipv6")
    other = supplied.red.reserve(zone="zone-b")
    supplied.red.attach(held, web)

    def ids(**params: str) -> list[str]:
        return [item["id"] for item in supplied.red.get("/flexible-ips", **params)["items"]]

    assert ids(label="env=prod") == ids(label="tier=web") == [held["id"]]
    assert ids(label="env=") == ids(label="nothing=x") == []
    assert ids(family="ipv6") == [six["id"]]
    assert ids(zone="zone-b") == ids(pool="zone-b-v4") == [other["id"]]
    assert ids(name="plain") == ids(address=plain["address"]) == [plain["id"]]
    assert ids(address=six["address"]) == [six["id"]]
    assert ids(target=f"instance/{web['id']}") == ids(state="attaching") == [held["id"]]
    assert ids(ids=f"{six['id']},{other['id']}") == [six["id"], other["id"]]
    assert ids(zone="zone-a", family="ipv4", state="reserved") == [plain["id"]]
    assert supplied.blue.get("/flexible-ips", ids=six["id"])["items"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("zome=zone-a", "request.parameter"),
        ("zone=", "request.parameter"),
        ("zone=a&zone=b", "request.parameter"),
        ("state=gone", "request.invalid"),
        ("family=ipx", "request.invalid"),
        ("limit=0", "request.invalid"),
        ("limit=501", "request.invalid"),
        ("cursor=nonsense", "request.cursor"),
        ("cursor=WyJub25zZW5zZSJd", "request.cursor"),  # ["nonsense"]: not an id
        ("cursor=W10=", "request.cursor"),  # []
        ("label=env", "ipam.filter.malformed"),
        ("target=web", "ipam.filter.malformed"),
        ("ids=1,2", "ipam.filter.malformed"),
        ("address=nonsense", "ipam.address.malformed"),
    ],
)
def test_a_filter_that_is_not_understood_never_means_all(supplied: Ledger, query: str, code: str) -> None:
    assert problem(supplied.red.request("GET", f"/flexible-ips?{query}")) == (422, code)


def test_the_state_filter_says_what_the_resource_says(supplied: Ledger) -> None:
    """One address in each state; each filter finds exactly its own, and each is counted once."""
    web, other = supplied.target("red"), supplied.target("red")
    fips = [supplied.red.reserve() for _ in range(6)]
    for fip in fips[:3]:
        supplied.red.attach(fip, web)
    supplied.realize(web)
    ok(supplied.red.post(f"/flexible-ips/{fips[1]['id']}:move", {"from": web, "to": other}))
    ok(supplied.red.post(f"/flexible-ips/{fips[2]['id']}:detach", {}))
    supplied.red.attach(fips[3], other)
    ok(supplied.red.delete(f"/flexible-ips/{fips[4]['id']}"))

    states = {fip["id"]: supplied.red.fip(fip["id"])["state"] for fip in fips}

    assert list(states.values()) == ["attached", "moving", "detaching", "attaching", "quarantined", "reserved"]
    for fip_id, state in states.items():
        assert [item["id"] for item in supplied.red.get("/flexible-ips", state=state)["items"]] == [fip_id]
    counts = next(metric for metric in supplied.app.state.readings.collect() if metric.name == "godwit_flexible_ips")
    assert {sample.labels["state"]: sample.value for sample in counts.samples} == dict.fromkeys(states.values(), 1)


# --- the house -------------------------------------------------------------------------------------------------------


def test_a_dead_database_is_a_retryable_answer(issuer: Issuer, tmp_path: Any) -> None:
    from fastapi.testclient import TestClient

    settings = Settings(
        database_url=f"postgresql+psycopg://x@/x?host={tmp_path}",
        broker_url="memory://",
        issuer_keys=issuer.public_keys,
    )
    with TestClient(app.create(settings), raise_server_exceptions=False) as http:
        answer = Api(http, issuer.token("rita", "red", "member"), "red").post("/flexible-ips", RESERVE)

    assert problem(answer) == (503, "database.unavailable")
    assert (answer.json()["retryable"], answer.headers["retry-after"]) == (True, "1")


def test_importing_the_service_opens_nothing_and_knows_no_other_service() -> None:
    program = (
        "import sys, json, socket\n"
        "def refuse(*args, **kwargs): raise RuntimeError('opened at import')\n"
        "socket.socket.connect = socket.socket.bind = refuse\n"
        "import services.ipam.app, services.ipam.client\n"
        "print(json.dumps([m for m in sys.modules if m.startswith(('services.', 'dataplane'))]))"
    )

    loaded = json.loads(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)

    assert {name.split(".")[1] for name in loaded if name.startswith("services.")} == {"ipam"}
    assert not [name for name in loaded if name.startswith("dataplane")]


def test_an_operation_can_be_waited_for(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    operation = supplied.red.attach(fip, web)

    assert supplied.red.get(f"/operations/{operation['id']}", wait_s=0.2)["state"] == "pending"
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(supplied.red.get, f"/operations/{operation['id']}", wait_s=30)
        supplied.realize(web)
        assert waiting.result(timeout=10)["state"] == "succeeded"
    assert problem(supplied.red.request("GET", f"/operations/{operation['id']}?wait_s=31")) == (422, "request.invalid")
    assert problem(supplied.blue.request("GET", f"/operations/{operation['id']}?wait_s=5"))[0] == 404
    assert problem(supplied.red.request("GET", f"/operations/ipam-{uuid4()}")) == (404, "ipam.operation.unknown")
