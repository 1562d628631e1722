"""Addresses on targets: what a project can do with them, and what the nodes' reports complete."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.errors import NotFound
from services.ipam import wire
from tests.functional.ledger import Api, Ledger, ok, problem, ref


def move(api: Api, fip: Any, old: Any, new: Any) -> Any:
    return api.post(f"/flexible-ips/{fip['id']}:move", {"from": old, "to": new})


def detach(api: Api, fip: Any, **body: Any) -> Any:
    return api.post(f"/flexible-ips/{fip['id']}:detach", body)


def attached(ledger: Ledger, target: dict[str, str], family: str = "ipv4") -> Any:
    """An address of red's that `target` holds and its nodes have read back."""
    fip = ledger.red.reserve(family=family)
    ledger.red.attach(fip, target)
    ledger.realize(target)
    ledger.rung()
    return fip


# --- attach ----------------------------------------------------------------------------------------------------------


def test_an_address_is_attached_only_when_the_nodes_have_read_it_back(supplied: Ledger) -> None:
    web = supplied.target("red")
    fip = supplied.red.reserve()
    supplied.rung()

    operation = supplied.red.attach(fip, web)

    assert supplied.rung() == [("ledger.address_set", ("instance", web["id"]))]
    assert supplied.red.fip(fip["id"])["state"] == "attaching"
    assert operation["state"] == "pending"
    assert operation["resource"] == f"/ipam/v1/flexible-ips/{fip['id']}"
    shown = supplied.address_set(web)
    assert (shown["revision"], shown["realized_revision"]) == (1, 0)
    assert [item["prefix"] for item in shown["addresses"]] == [f"{fip['address']}/32"]

    supplied.realize(web)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    assert problem(supplied.blue.request("GET", f"/operations/{operation['id']}")) == (404, "ipam.operation.unknown")


def test_an_address_set_lists_both_families_in_the_order_they_came(supplied: Ledger) -> None:
    web = supplied.target("red")
    first, second, third = supplied.red.reserve(), supplied.red.reserve(family="ipv6"), supplied.red.reserve()
    for fip in (third, second, first):
        supplied.red.attach(fip, web)

    shown = supplied.address_set(web)

    assert shown["revision"] == 3
    assert [(item["flexible_ip"], item["prefix"], item["host"]) for item in shown["addresses"]] == [
        (third["id"], f"{third['address']}/32", f"{third['address']}/32"),
        (second["id"], second["address"], f"{second['interface_id']}/64"),
        (first["id"], f"{first['address']}/32", f"{first['address']}/32"),
    ]
    assert supplied.red.get(f"/address-sets/instance/{web['id']}") == shown
    assert problem(supplied.blue.request("GET", f"/address-sets/instance/{web['id']}")) == (404, "ipam.target.unknown")


def test_attaching_again_to_the_same_target_answers_the_same_operation(supplied: Ledger) -> None:
    web = supplied.target("red")
    fip = supplied.red.reserve()
    first = supplied.red.attach(fip, web)
    before = supplied.contents()

    assert supplied.red.attach(fip, web) == first
    assert supplied.contents() == before

    supplied.realize(web)
    again = supplied.red.attach(fip, web)
    assert (again["id"], again["state"]) == (first["id"], "succeeded")
    assert supplied.address_set(web)["revision"] == 1


def test_what_cannot_be_attached_is_refused_and_changes_nothing(supplied: Ledger) -> None:
    fip, theirs = supplied.red.reserve(), supplied.blue.reserve()
    mine, foreign = supplied.target("red"), supplied.target("blue")
    elsewhere, full = supplied.target("red", zone="zone-b"), supplied.target("red", limit_ipv4=0)
    missing = {"kind": "instance", "id": str(uuid4())}

    for target, status, code in (
        (missing, 404, "ipam.target.unknown"),
        (foreign, 404, "ipam.target.unknown"),
        ({**mine, "kind": "load-balancer"}, 404, "ipam.target.unknown"),
        (elsewhere, 409, "ipam.target.zone_mismatch"),
        (full, 409, "ipam.target.limit"),
    ):
        supplied.refuses(
            partial(supplied.red.post, f"/flexible-ips/{fip['id']}:attach", {"target": target}),
            status,
            code,
        )
    supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{theirs['id']}:attach", {"target": mine}),
        404,
        "ipam.flexible_ip.unknown",
    )
    # Who sees all projects still cannot tie one project's address to another's target.
    supplied.refuses(
        lambda: supplied.service.post(f"/flexible-ips/{theirs['id']}:attach", {"target": mine}),
        404,
        "ipam.target.unknown",
    )


def test_an_address_held_elsewhere_is_refused_and_its_holder_named(supplied: Ledger) -> None:
    web, other = supplied.target("red"), supplied.target("red")
    fip = attached(supplied, web)

    told = supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": other}),
        409,
        "ipam.flexible_ip.already_attached",
    )

    assert web["id"] in told


def test_a_released_address_cannot_be_attached(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))

    supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": web}),
        409,
        "ipam.flexible_ip.quarantined",
    )


def test_a_limit_is_per_family_and_counts_what_waits(supplied: Ledger) -> None:
    old, web = supplied.target("red"), supplied.target("red", limit_ipv4=1, limit_ipv6=1)
    coming = attached(supplied, old)
    ok(move(supplied.red, coming, old, web))

    another = supplied.red.reserve()
    supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{another['id']}:attach", {"target": web}), 409, "ipam.target.limit"
    )
    supplied.red.attach(supplied.red.reserve(family="ipv6"), web)

    ok(
        supplied.service.put(
            f"/targets/instance/{web['id']}", {"project": "red", "zone": "zone-a", "name": "web", "limit_ipv4": 2}
        )
    )
    supplied.red.attach(another, web)


def test_an_address_that_leaves_makes_room_at_once(supplied: Ledger) -> None:
    """So that a target with room for one can change its address in one step of its nodes."""
    web = supplied.target("red", limit_ipv4=1)
    fip = attached(supplied, web)
    ok(detach(supplied.red, fip))

    supplied.red.attach(supplied.red.reserve(), web)

    assert supplied.address_set(web)["revision"] == 3
    assert len(supplied.address_set(web)["addresses"]) == 1


def test_two_targets_race_for_an_address_and_one_gets_it(supplied: Ledger) -> None:
    """N = 16 requests at once."""
    fip = supplied.red.reserve()
    targets = [supplied.target("red") for _ in range(16)]

    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda t: supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": t}), targets)
        )

    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 15}
    assert sum(len(supplied.address_set(target)["addresses"]) for target in targets) == 1


def test_the_limit_holds_when_addresses_race_for_one_target(supplied: Ledger) -> None:
    """N = 12 requests at once for 5 places."""
    web = supplied.target("red")
    fips = [supplied.red.reserve() for _ in range(12)]

    with ThreadPoolExecutor(12) as threads:
        answers = list(
            threads.map(lambda fip: supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": web}), fips)
        )

    assert Counter(answer.status_code for answer in answers) == {202: 5, 409: 7}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"ipam.target.limit"}


# --- detach ----------------------------------------------------------------------------------------------------------


def test_a_detached_address_is_free_of_its_target_only_when_its_withdrawal_is_realised(supplied: Ledger) -> None:
    web = supplied.target("red")
    fip = attached(supplied, web)

    operation = ok(detach(supplied.red, fip, **{"from": web}))

    assert supplied.rung() == [("ledger.address_set", ("instance", web["id"]))]
    assert supplied.address_set(web)["addresses"] == []
    assert supplied.red.fip(fip["id"])["state"] == "detaching"
    supplied.refuses(lambda: supplied.red.delete(f"/flexible-ips/{fip['id']}"), 409, "ipam.flexible_ip.attached")
    assert ok(detach(supplied.red, fip))["id"] == operation["id"]

    supplied.realize(web)

    assert supplied.red.fip(fip["id"])["state"] == "reserved"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))


def test_an_address_that_is_leaving_cannot_be_attached_yet(supplied: Ledger) -> None:
    web, other = supplied.target("red"), supplied.target("red")
    fip = attached(supplied, web)
    ok(detach(supplied.red, fip))

    for target in (web, other):
        supplied.refuses(
            partial(supplied.red.post, f"/flexible-ips/{fip['id']}:attach", {"target": target}),
            409,
            "ipam.flexible_ip.in_transition",
        )


def test_a_detach_that_names_another_holder_is_refused(supplied: Ledger) -> None:
    web, other = supplied.target("red"), supplied.target("red")
    fip, idle = attached(supplied, web), supplied.red.reserve()

    supplied.refuses(lambda: detach(supplied.red, fip, **{"from": other}), 409, "ipam.flexible_ip.not_attached_there")
    supplied.refuses(lambda: detach(supplied.red, idle, **{"from": web}), 409, "ipam.flexible_ip.not_attached_there")
    supplied.refuses(lambda: detach(supplied.red, idle), 409, "ipam.flexible_ip.not_attached")
    supplied.refuses(lambda: detach(supplied.blue, fip), 404, "ipam.flexible_ip.unknown")


def test_an_attached_address_is_not_released(supplied: Ledger) -> None:
    fip = attached(supplied, supplied.target("red"))

    supplied.refuses(lambda: supplied.red.delete(f"/flexible-ips/{fip['id']}"), 409, "ipam.flexible_ip.attached")


def test_a_detach_ends_the_attach_that_was_still_going_on(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    attach = supplied.red.attach(fip, web)

    detaching = ok(detach(supplied.red, fip))

    superseded = supplied.red.operation(attach)
    assert (superseded["state"], superseded["error"]["code"]) == ("failed", "ipam.operation.superseded")
    supplied.realize(web, 1)
    assert supplied.red.fip(fip["id"])["state"] == "detaching"
    supplied.realize(web, 2)
    assert supplied.red.operation(detaching)["state"] == "succeeded"


# --- move ------------------------------------------------------------------------------------------------------------


def test_a_move_lets_the_new_target_have_it_only_after_the_old_ones_withdrawal(supplied: Ledger) -> None:
    old, new = supplied.target("red"), supplied.target("red")
    fip = attached(supplied, old)

    operation = ok(move(supplied.red, fip, old, new))

    assert operation["state"] == "waiting"
    assert operation["waiting_for"]["code"] == "ipam.withdrawal.unrealised"
    assert supplied.rung() == [("ledger.address_set", ("instance", old["id"]))]
    assert supplied.address_set(old)["addresses"] == []
    assert supplied.address_set(new) == {**supplied.address_set(new), "addresses": [], "revision": 0}
    moving = supplied.red.fip(fip["id"])
    assert (moving["state"], moving["next_attachment"]["target"]) == ("moving", new)

    supplied.realize(old)

    assert supplied.rung() == [("ledger.address_set", ("instance", new["id"]))]
    assert [item["flexible_ip"] for item in supplied.address_set(new)["addresses"]] == [fip["id"]]
    assert supplied.red.fip(fip["id"])["state"] == "attaching"
    assert supplied.red.operation(operation)["state"] == "running"

    supplied.realize(new)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    assert problem(supplied.blue.request("GET", f"/flexible-ips/{fip['id']}")) == (404, "ipam.flexible_ip.unknown")


def test_an_older_report_lets_nobody_have_the_address(supplied: Ledger) -> None:
    old, new = supplied.target("red"), supplied.target("red")
    fip = attached(supplied, old)
    ok(move(supplied.red, fip, old, new))

    supplied.realize(old, 1)

    assert supplied.address_set(new)["addresses"] == []
    assert supplied.red.fip(fip["id"])["state"] == "moving"


def test_a_move_that_cannot_be_is_refused_and_changes_nothing(supplied: Ledger) -> None:
    old, new = supplied.target("red"), supplied.target("red")
    foreign, elsewhere = supplied.target("blue"), supplied.target("red", zone="zone-b")
    full = supplied.target("red", limit_ipv4=0)
    fip, idle = attached(supplied, old), supplied.red.reserve()

    for source, to, status, code in (
        (new, old, 409, "ipam.flexible_ip.not_attached_there"),
        (old, foreign, 404, "ipam.target.unknown"),
        (old, {**new, "id": str(uuid4())}, 404, "ipam.target.unknown"),
        (old, elsewhere, 409, "ipam.target.zone_mismatch"),
        (old, full, 409, "ipam.target.limit"),
        (old, old, 409, "ipam.flexible_ip.already_attached"),
    ):
        supplied.refuses(partial(move, supplied.red, fip, source, to), status, code)
    supplied.refuses(lambda: move(supplied.red, idle, old, new), 409, "ipam.flexible_ip.not_attached_there")
    supplied.refuses(lambda: move(supplied.blue, fip, old, new), 404, "ipam.flexible_ip.unknown")
    supplied.refuses(lambda: supplied.red.post(f"/flexible-ips/{fip['id']}:move", {"to": new}), 422, "request.invalid")


def test_a_move_asked_for_again_answers_the_same_operation_and_another_is_refused(supplied: Ledger) -> None:
    old, new, third = (supplied.target("red") for _ in range(3))
    fip = attached(supplied, old)
    operation = ok(move(supplied.red, fip, old, new))

    assert ok(move(supplied.red, fip, old, new)) == operation
    supplied.refuses(lambda: move(supplied.red, fip, old, third), 409, "ipam.flexible_ip.in_transition")
    supplied.refuses(lambda: detach(supplied.red, fip), 409, "ipam.flexible_ip.in_transition")


def test_addresses_that_change_places_get_there(supplied: Ledger) -> None:
    """N = 10 rounds of two opposite moves, their reports at once: nothing hangs, fails or gets lost."""
    left, right = supplied.target("red", limit_ipv4=2), supplied.target("red", limit_ipv4=2)
    one, two = attached(supplied, left), attached(supplied, right)

    for _ in range(10):
        with ThreadPoolExecutor(4) as threads:
            moves = list(
                threads.map(lambda args: ok(move(supplied.red, *args)), [(one, left, right), (two, right, left)])
            )
            list(threads.map(supplied.realize, [left, right, left, right]))
        supplied.realize(left)
        supplied.realize(right)
        assert [supplied.red.operation(item)["state"] for item in moves] == ["succeeded", "succeeded"]
        one, two = two, one

    assert {supplied.red.fip(fip["id"])["state"] for fip in (one, two)} == {"attached"}


# --- reports ---------------------------------------------------------------------------------------------------------


def test_reports_only_rise_and_never_run_ahead(supplied: Ledger) -> None:
    web = supplied.target("red")
    attached(supplied, web)
    fip = supplied.red.reserve()
    supplied.red.attach(fip, web)
    path = f"/address-sets/instance/{web['id']}/realized"

    supplied.refuses(
        lambda: supplied.service.put(path, {"realized_revision": 3}), 422, "ipam.address_set.revision_unknown"
    )
    supplied.realize(web, 2)
    late = supplied.realize(web, 1)

    assert late["realized_revision"] == 2
    assert supplied.red.fip(fip["id"])["state"] == "attached"


def test_only_the_service_of_the_kind_registers_reports_and_deletes(supplied: Ledger) -> None:
    web = supplied.target("red")
    other = supplied.api("balancer", "", "service", kinds=("load-balancer",))
    body = {"project": "red", "zone": "zone-a", "name": "web"}
    path = f"/targets/instance/{web['id']}"

    for ask in (
        lambda api: api.put(path, body),
        lambda api: api.delete(path),
        lambda api: api.put(f"/address-sets/instance/{web['id']}/realized", {"realized_revision": 0}),
    ):
        supplied.refuses(partial(ask, other), 403, "ipam.target.kind_not_yours")
        for api in (supplied.red, supplied.blue, supplied.operator):
            supplied.refuses(partial(ask, api), 403, "auth.role_missing")


def test_what_keeps_the_nodes_is_shown_on_the_operation_until_it_is_over(supplied: Ledger) -> None:
    web, fip = supplied.target("red"), supplied.red.reserve()
    operation = supplied.red.attach(fip, web)
    why = {"code": "node.unreachable", "text": "hv-1 does not answer", "unblock": "start it"}
    report = {"waiting_for": why}
    path = f"/address-sets/instance/{web['id']}/realized"

    ok(supplied.service.put(path, report))

    shown = supplied.red.operation(operation)
    assert shown["state"] == "waiting"
    waiting = shown["waiting_for"]
    assert {name: waiting[name] for name in why} == why

    ok(supplied.service.put(path, report))
    assert supplied.red.operation(operation)["waiting_for"]["since"] == waiting["since"]

    supplied.realize(web)
    assert (supplied.red.operation(operation)["state"], supplied.red.operation(operation)["waiting_for"]) == (
        "succeeded",
        None,
    )


def test_lagging_targets_are_those_with_something_unrealised(supplied: Ledger) -> None:
    done, behind = supplied.target("red"), supplied.target("blue")
    attached(supplied, done)
    supplied.blue.attach(supplied.blue.reserve(), behind)

    assert [item.target for item in supplied.client().lagging("instance")] == [ref(behind)]
    assert list(supplied.client().lagging("load-balancer")) == []
    assert problem(supplied.red.request("GET", "/address-sets:lagging")) == (403, "auth.role_missing")


# --- targets ---------------------------------------------------------------------------------------------------------


def test_a_target_keeps_its_project_and_zone(supplied: Ledger) -> None:
    web = supplied.target("red")
    body = {"project": "red", "zone": "zone-a", "name": "web"}
    path = f"/targets/instance/{web['id']}"
    before = supplied.contents()

    assert ok(supplied.service.put(path, body))["revision"] == 1
    assert supplied.contents() == before
    assert ok(supplied.service.put(path, {**body, "limit_ipv4": 1}))["revision"] == 2
    for change in ({"project": "blue"}, {"zone": "zone-b"}):
        supplied.refuses(
            partial(supplied.service.put, path, {**body, **change}),
            409,
            "ipam.target.immutable",
        )
    supplied.refuses(
        lambda: supplied.service.put(f"/targets/instance/{uuid4()}", {**body, "zone": "nowhere"}),
        404,
        "ipam.zone.unknown",
    )
    assert [item["id"] for item in supplied.red.get("/targets")["items"]] == [web["id"]]
    assert supplied.blue.get("/targets")["items"] == []
    assert problem(supplied.blue.request("GET", path)) == (404, "ipam.target.unknown")


def test_deleting_a_target_takes_everything_off_it_at_once(supplied: Ledger) -> None:
    """Held, still coming, leaving, and waiting for it: each ends as it should."""
    web, other = supplied.target("red"), supplied.target("red")
    held, leaving, moving = (attached(supplied, web) for _ in range(3))
    detaching = ok(detach(supplied.red, leaving))
    going = ok(move(supplied.red, moving, web, other))
    coming = supplied.red.reserve()
    attaching = supplied.red.attach(coming, web)
    waiting = attached(supplied, other)
    awaited = ok(move(supplied.red, waiting, other, web))
    supplied.rung()

    supplied.client().delete_target("instance", UUID(web["id"]))

    for fip in (held, leaving, coming):
        assert supplied.red.fip(fip["id"])["state"] == "reserved"
    assert supplied.red.operation(detaching)["state"] == "succeeded"
    for operation in (attaching, awaited):
        failed = supplied.red.operation(operation)
        assert (failed["state"], failed["error"]["code"]) == ("failed", "ipam.target.deleted")
    assert supplied.red.fip(moving["id"])["state"] == "attaching"
    assert supplied.red.fip(moving["id"])["attachment"]["target"] == other
    assert supplied.rung() == [("ledger.address_set", ("instance", other["id"]))]
    assert supplied.red.fip(waiting["id"])["state"] == "detaching"

    supplied.realize(other)

    assert supplied.red.fip(waiting["id"])["state"] == "reserved"
    assert supplied.red.operation(going)["state"] == "succeeded"
    assert problem(supplied.red.request("GET", f"/targets/instance/{web['id']}")) == (404, "ipam.target.unknown")
    supplied.client().delete_target("instance", UUID(web["id"]))


# --- the client ------------------------------------------------------------------------------------------------------


def test_the_client_speaks_for_placement(supplied: Ledger) -> None:
    client = supplied.client()
    web = uuid4()
    client.register_target("instance", web, wire.TargetPut(project="red", zone="zone-a", name="web"))
    fip = client.reserve(wire.FlexibleIPReserve(zone="zone-a", project="red"), idempotency_key="k1")
    assert client.reserve(wire.FlexibleIPReserve(zone="zone-a", project="red"), idempotency_key="k1") == fip
    to_web = wire.Attach(target=wire.TargetRef(kind="instance", id=web))

    operation = client.attach(fip.id, to_web, idempotency_key="k2")
    assert client.attach(fip.id, to_web, idempotency_key="k2") == operation
    assert operation.kind == "flexible_ip.attach"
    answer = client.report_realized("instance", web, wire.Realized(realized_revision=1))

    assert answer == client.address_set("instance", web)
    assert [(item.id, item.state) for item in client.flexible_ips([fip.id, uuid4()])] == [
        (fip.id, wire.FlexibleIPState.ATTACHED)
    ]
    assert {pool.family for pool in client.pools("zone-a")} == {wire.Family.IPV4, wire.Family.IPV6}
    assert client.put_zone("zone-c", wire.ZonePut(region="region-1")).name == "zone-c"
    with pytest.raises(NotFound) as missing:
        client.address_set("instance", uuid4())
    assert missing.value.code == "ipam.target.unknown"
