"""The controller's API: what it refuses changes nothing and has a stable code; projects do not see each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from services.placement.model import Base
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok, problem


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


WEB = {"name": "web", "zone": "zone-a", "flavor": "small"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"zone": "zone-x"}, 404, "placement.zone.unknown"),
        ({"flavor": "huge"}, 404, "placement.flavor.unknown"),
        ({"name": "gateway-1"}, 422, "placement.instance.name_reserved"),
        ({"name": "Not A Name"}, 422, "request.invalid"),
        ({"colour": "blue"}, 422, "request.invalid"),
        ({"addresses": [str(uuid4())]}, 409, "placement.instance.address"),
        ({"mode": "nat", "allocate": ["ipv6"]}, 409, "placement.instance.address"),
        ({"mode": "isolated", "allocate": ["ipv4"]}, 409, "placement.instance.address"),
        ({"hypervisor": "hypervisor-1"}, 422, "placement.instance.hypervisor"),
    ],
)
def test_an_instance_that_cannot_be_is_refused_and_nothing_changes(
    cloud: Controller, body: dict[str, Any], status: int, code: str
) -> None:
    before = (cloud.contents(), cloud.ledger.contents())
    assert problem(cloud.post("/instances", WEB | body)) == (status, code)
    assert (cloud.contents(), cloud.ledger.contents()) == before


def test_a_foreign_address_answers_like_one_that_does_not_exist(cloud: Controller) -> None:
    foreign = cloud.ledger.blue.reserve()
    missing = str(uuid4())
    refused = cloud.post("/instances", WEB | {"addresses": [foreign["id"]]})
    unknown = cloud.post("/instances", WEB | {"addresses": [missing]})
    assert problem(refused) == problem(unknown) == (409, "placement.instance.address")
    assert refused.json()["detail"].replace(foreign["id"], missing) == unknown.json()["detail"]


def test_a_hypervisor_that_is_unknown_full_or_disabled_is_refused(cloud: Controller) -> None:
    big = {"name": "big", "vcpus": 4, "memory_mb": 512, "disk_gb": 0}
    ok(cloud.request("operator", "POST", "/flavors", json=big))
    cloud.instance("first", "operator", flavor="big", hypervisor="hypervisor-1")
    before = cloud.contents()
    for hypervisor, refusal in (
        ("hypervisor-1", (409, "placement.node.full")),
        ("hypervisor-9", (404, "placement.node.unknown")),
        ("gateway-1", (404, "placement.node.unknown")),
    ):
        assert problem(cloud.post("/instances", WEB | {"hypervisor": hypervisor}, "operator")) == refusal
    assert cloud.contents() == before
    node = next(n for n in cloud.get("/nodes", role="hypervisor")["items"] if n["name"] == "hypervisor-2")
    ok(cloud.request("operator", "PATCH", f"/nodes/{node['id']}", json={"admin_state": "disabled"}))
    refused = cloud.post("/instances", WEB | {"hypervisor": "hypervisor-2"}, "operator")
    assert problem(refused) == (409, "placement.node.unsuitable")


def test_when_every_hypervisor_is_full_the_zone_is_and_an_instance_deleted_makes_room(cloud: Controller) -> None:
    for number in range(12):
        cloud.instance(f"web-{number}")
    assert problem(cloud.post("/instances", WEB)) == (409, "placement.capacity.exhausted")
    (victim,) = cloud.get("/instances", name="web-7")["items"]
    ok(cloud.request("red", "DELETE", f"/instances/{victim['id']}"))
    cloud.settle()
    assert cloud.instance("web")["hypervisor"] == victim["hypervisor"]


def test_instances_spread_over_the_hypervisors(cloud: Controller) -> None:
    placed = {cloud.instance(f"web-{number}")["hypervisor"] for number in range(3)}
    assert placed == {"hypervisor-1", "hypervisor-2", "hypervisor-3"}


def test_what_an_instances_state_does_not_allow_is_refused(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    path = f"/instances/{web['id']}"
    before = cloud.contents()
    assert problem(cloud.post(f"{path}:start", who="operator")) == (409, "placement.instance.state")
    same = cloud.post(f"{path}:move", {"to": web["hypervisor"]}, "operator")
    assert problem(same) == (409, "placement.instance.same_hypervisor")
    assert problem(cloud.post(f"{path}:move", {"to": "gateway-1"}, "operator")) == (404, "placement.node.unknown")
    assert problem(cloud.post(f"{path}:move", {}, "red")) == (403, "auth.role_missing")
    assert problem(cloud.post("/instances", WEB)) == (409, "placement.instance.name_taken")
    assert cloud.contents() == before
    ok(cloud.post(f"{path}:stop"))
    assert problem(cloud.post(f"{path}:stop")) == (409, "placement.instance.busy")


def test_an_instance_of_another_project_does_not_exist(cloud: Controller) -> None:
    web = cloud.instance("web", "blue")
    path = f"/instances/{web['id']}"
    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", ":stop"), ("POST", ":start")):
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        foreign = cloud.request("red", method, path + suffix, **body)
        missing = cloud.request("red", method, f"/instances/{uuid4()}{suffix}", **body)
        assert problem(foreign) == problem(missing) == (404, "placement.instance.unknown")
    assert cloud.get("/instances", "red")["items"] == []
    assert cloud.get("/operations", "red")["items"] == []
    operation = cloud.get("/operations", "blue")["items"][0]
    assert problem(cloud.request("red", "GET", f"/operations/{operation['id']}"))[0] == 404


def test_a_stale_etag_is_refused_and_a_fresh_one_taken(cloud: Controller) -> None:
    web = cloud.instance("web")
    path = f"/instances/{web['id']}"
    etag = cloud.request("red", "GET", path).headers["ETag"]
    stale = cloud.post(f"{path}:stop", headers={"If-Match": '"1"'})
    assert problem(stale) == (412, "revision.stale")
    assert cloud.post(f"{path}:stop", headers={"If-Match": etag}).status_code == 202


def test_a_repeated_creation_answers_the_same_and_creates_nothing_more(cloud: Controller) -> None:
    fip = cloud.ledger.red.reserve()
    body = WEB | {"addresses": [fip["id"]]}
    first = cloud.post("/instances", body, headers={"Idempotency-Key": "k"})
    cloud.settle()
    again = cloud.post("/instances", body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(cloud.get("/instances", "red")["items"]) == 1
    other = cloud.post("/instances", WEB | {"name": "other"}, headers={"Idempotency-Key": "k"})
    assert problem(other) == (422, "idempotency.key_reused")


def test_validate_only_checks_everything_and_keeps_nothing(cloud: Controller) -> None:
    before = (cloud.contents(), cloud.ledger.contents())
    assert cloud.request("red", "POST", "/instances", json=WEB, params={"validate_only": "true"}).status_code == 200
    refused = cloud.request("red", "POST", "/instances", json=WEB | {"flavor": "x"}, params={"validate_only": "true"})
    assert problem(refused) == (404, "placement.flavor.unknown")
    assert (cloud.contents(), cloud.ledger.contents()) == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"endpoint": "nowhere"}, 422, "placement.node.invalid"),
        ({"private_prefix": "192.168.0.0/24"}, 422, "placement.node.invalid"),
        ({"private_prefix": "10.21.0.128/25"}, 409, "placement.node.prefix_overlap"),
        ({"legacy_prefix": "2001:db8:21:8000::/49"}, 409, "placement.node.prefix_overlap"),
        ({"name": "hypervisor-1"}, 409, "placement.node.taken"),
        ({"endpoint": "172.31.21.2"}, 409, "placement.node.taken"),
        ({"zone": "zone-x"}, 404, "placement.zone.unknown"),
        ({"role": "gateway", "private_prefix": "10.99.0.0/24"}, 422, "placement.node.invalid"),
    ],
)
def test_a_node_that_contradicts_another_is_refused(
    cloud: Controller, body: dict[str, Any], status: int, code: str
) -> None:
    node = {
        "name": "hypervisor-9",
        "zone": "zone-a",
        "role": "hypervisor",
        "agent_url": "https://172.30.0.99:8443",
        "endpoint": "172.31.99.2",
    }
    before = cloud.contents()
    assert problem(cloud.request("operator", "PUT", f"/nodes/{uuid4()}", json=node | body)) == (status, code)
    assert cloud.contents() == before


def test_lists_are_paged_in_a_stable_order_and_strict_about_their_parameters(cloud: Controller) -> None:
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        cloud.instance(name)
    seen, cursor = [], None
    while True:
        page = cloud.get("/instances", "red", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names
    for query in ("colour=blue", "name=", "name=a&name=b"):
        assert problem(cloud.request("red", "GET", f"/instances?{query}")) == (422, "request.parameter")
    of_another_list = "WyJ6b25lLWEiXQ=="  # ["zone-a"]
    for cursor in ("zzz", of_another_list):
        assert problem(cloud.request("red", "GET", f"/instances?cursor={cursor}")) == (422, "request.cursor")


def test_a_request_without_a_token_is_refused(cloud: Controller) -> None:
    answer = cloud.http.get("/placement/v1/instances")
    assert problem(answer) == (401, "auth.token_refused")
    assert problem(cloud.http.get("/placement/v1/instances", headers={"X-Auth-Token": "x"}))[0] == 401


def test_the_migrations_make_what_the_models_say(placement_database: str) -> None:
    engine = create_engine(placement_database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()
