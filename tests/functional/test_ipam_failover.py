"""Failover addresses, swaps, and how long nobody has an address that moves."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from common.db import Database
from services.ipam import wire
from services.ipam.model import FlexibleIP
from tests.functional.ledger import Api, Ledger, ok

CHECK = {"protocol": "icmp", "interval_ms": 100, "threshold": 3, "hold_down_s": 0}
START = datetime(2026, 1, 1, tzinfo=UTC)


def candidates(api: Api, fip: Any, *targets: Any) -> Any:
    listed = [{"target": target, "priority": 200 - number} for number, target in enumerate(targets)]
    return api.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed})


def failover(api: Api, fip: Any, **body: Any) -> Any:
    return api.post(f"/flexible-ips/{fip['id']}:failover", body)


def failed(ledger: Ledger, fip: Any, holder: Any, **body: Any) -> Any:
    """As placement asks when a check found `holder` down."""
    return failover(ledger.service, fip, **{"from": holder, "cause": "health", **body})


def check(api: Api, fip: Any, **spec: Any) -> Any:
    return api.put(f"/flexible-ips/{fip['id']}/health-check", {**CHECK, **spec})


def swap(api: Api, first: Any, its: Any, second: Any, others: Any) -> Any:
    sides = [{"flexible_ip": fip["id"], "target": target} for fip, target in ((first, its), (second, others))]
    return api.post("/flexible-ips:swap", dict(zip(("first", "second"), sides, strict=True)))


def held(ledger: Ledger, target: Any, family: str = "ipv4", kind: str = "standard") -> Any:
    fip = ledger.red.reserve(family=family, kind=kind)
    ledger.red.attach(fip, target)
    ledger.realize(target)
    ledger.rung()
    return fip


def guarded(ledger: Ledger, *targets: Any, family: str = "ipv4") -> Any:
    """A failover address of red's on the first of its candidates `targets`."""
    fip = ledger.red.reserve(family=family, kind="failover")
    ok(candidates(ledger.red, fip, *targets))
    ledger.red.attach(fip, targets[0])
    ledger.realize(targets[0])
    ledger.rung()
    return fip


def arrived(ledger: Ledger, old: Any, new: Any, operation: Any) -> None:
    ledger.realize(old)
    ledger.realize(new)
    assert ledger.red.operation(operation)["state"] == "succeeded"


def report(ledger: Ledger, target: Any, at: datetime) -> None:
    revision = ledger.address_set(target)["revision"]
    body = {"realized_revision": revision, "realized_at": at.isoformat()}
    ok(ledger.service.put(f"/address-sets/{target['kind']}/{target['id']}/realized", body))


# --- candidates ------------------------------------------------------------------------------------------------------


def test_a_failover_address_shows_its_candidates_the_best_first_and_which_is_active(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = supplied.red.reserve(kind="failover")
    assert (fip["kind"], fip["candidates"], fip["health_check"], fip["frozen_since"]) == ("failover", [], None, None)
    listed = [{"target": one, "priority": 10}, {"target": two, "priority": 20}]

    shown = ok(supplied.red.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed}))

    assert [(item["target"], item["priority"], item["active"]) for item in shown["candidates"]] == [
        (two, 20, False),
        (one, 10, False),
    ]
    supplied.red.attach(fip, one)
    for read in (supplied.red.fip(fip["id"]), supplied.red.get("/flexible-ips")["items"][0]):
        assert [item["active"] for item in read["candidates"]] == [False, True]
    before = supplied.contents()
    ok(supplied.red.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed}))
    assert supplied.contents() == before


def test_who_gets_a_failover_address_becomes_a_candidate(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = held(supplied, one, kind="failover")
    assert [item["target"] for item in supplied.red.fip(fip["id"])["candidates"]] == [one]

    operation = ok(supplied.red.post(f"/flexible-ips/{fip['id']}:move", {"from": one, "to": two}))
    arrived(supplied, one, two, operation)

    shown = supplied.red.fip(fip["id"])["candidates"]
    assert {item["target"]["id"]: item["active"] for item in shown} == {one["id"]: False, two["id"]: True}


def test_candidates_that_cannot_be_are_refused_and_nothing_changes(supplied: Ledger) -> None:
    one, two, full = supplied.target("red"), supplied.target("red"), supplied.target("red", limit_ipv4=0)
    elsewhere, foreign = supplied.target("red", zone="zone-b"), supplied.target("blue")
    fip, standard = guarded(supplied, one, two), held(supplied, one)

    for targets, status, code in (
        ((one, elsewhere), 409, "ipam.target.zone_mismatch"),
        ((one, foreign), 404, "ipam.target.unknown"),
        ((one, {**two, "id": str(uuid4())}), 404, "ipam.target.unknown"),
        ((one, full), 409, "ipam.target.limit"),
        ((two,), 409, "ipam.failover.active_candidate"),
        ((one, one), 422, "ipam.failover.candidate_twice"),
        ((), 422, "request.invalid"),
        ((one, *(supplied.target("red") for _ in range(10))), 422, "request.invalid"),
    ):
        supplied.refuses(partial(candidates, supplied.red, fip, *targets), status, code)
    supplied.refuses(partial(candidates, supplied.red, standard, one), 409, "ipam.flexible_ip.not_failover")
    supplied.refuses(partial(candidates, supplied.blue, fip, one), 404, "ipam.flexible_ip.unknown")


def test_a_candidate_keeps_room_for_the_address(supplied: Ledger) -> None:
    one, spare = supplied.target("red"), supplied.target("red", limit_ipv4=1, limit_ipv6=1)
    fip = guarded(supplied, one, spare)
    another = supplied.red.reserve()
    attach = partial(supplied.red.post, f"/flexible-ips/{another['id']}:attach", {"target": spare})

    supplied.refuses(attach, 409, "ipam.target.limit")
    supplied.red.attach(supplied.red.reserve(family="ipv6"), spare)

    ok(candidates(supplied.red, fip, one))
    ok(attach())


def test_an_eleventh_target_is_no_candidate_by_being_attached_to(supplied: Ledger) -> None:
    fip = supplied.red.reserve(kind="failover")
    ok(candidates(supplied.red, fip, *(supplied.target("red") for _ in range(10))))
    other = supplied.target("red")

    supplied.refuses(
        lambda: supplied.red.post(f"/flexible-ips/{fip['id']}:attach", {"target": other}),
        409,
        "ipam.failover.candidates_full",
    )


def test_a_deleted_target_is_no_candidate_any_more(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)

    supplied.client().delete_target("instance", UUID(two["id"]))

    assert [item["target"] for item in supplied.red.fip(fip["id"])["candidates"]] == [one]
    supplied.refuses(lambda: failover(supplied.red, fip), 409, "ipam.failover.no_candidate")
    last = supplied.red.get(f"/flexible-ips/{fip['id']}/audit")["items"][-1]
    assert (last["action"], list(last["after"]["candidates"])) == ("candidate.deleted", [f"instance/{one['id']}"])


def test_a_released_failover_address_keeps_no_room_and_no_check(supplied: Ledger) -> None:
    spare, fip = supplied.target("red", limit_ipv4=1), supplied.red.reserve(kind="failover")
    ok(candidates(supplied.red, fip, spare))
    ok(check(supplied.red, fip))

    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}"))
    supplied.red.attach(supplied.red.reserve(), spare)

    restored = ok(supplied.red.post(f"/flexible-ips/{fip['id']}:restore"))
    assert (restored["kind"], restored["candidates"], restored["health_check"]) == ("failover", [], None)


# --- failing over ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_failover_breaks_before_it_makes(supplied: Ledger, family: str) -> None:
    one, two, three = (supplied.target("red") for _ in range(3))
    fip = guarded(supplied, one, two, three, family=family)

    operation = ok(failover(supplied.red, fip))

    assert (operation["kind"], operation["state"]) == ("flexible_ip.failover", "waiting")
    assert operation["waiting_for"]["code"] == "ipam.withdrawal.unrealised"
    assert supplied.rung() == [("ledger.address_set", ("instance", one["id"]))]
    assert supplied.address_set(one)["addresses"] == supplied.address_set(two)["addresses"] == []
    shown = supplied.red.fip(fip["id"])
    assert (shown["state"], shown["next_attachment"]["target"]) == ("moving", two)
    assert [item["active"] for item in shown["candidates"]] == [False, True, False]

    supplied.realize(one)
    assert supplied.rung() == [("ledger.address_set", ("instance", two["id"]))]
    supplied.realize(two)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    history = supplied.red.get("/holdings", address=fip["address"])["items"]
    assert [item["target"] for item in history] == [two, one, None]
    actions = [item["action"] for item in supplied.red.get(f"/flexible-ips/{fip['id']}/audit")["items"]]
    assert actions == ["reserve", "candidates", "attach", "failover.person", "withdrawn"]


def test_what_the_withdrawal_waits_for_is_told(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    operation = ok(failover(supplied.red, guarded(supplied, one, two)))
    why = {"code": "node.unreachable", "text": "hv-1 does not answer", "unblock": "fence it"}

    ok(supplied.service.put(f"/address-sets/instance/{one['id']}/realized", {"waiting_for": why}))

    waiting = supplied.red.operation(operation)["waiting_for"]
    assert {name: waiting[name] for name in why} == why


def test_a_failover_goes_where_it_is_told(supplied: Ledger) -> None:
    one, two, three = (supplied.target("red") for _ in range(3))
    fip = guarded(supplied, one, two, three)

    arrived(supplied, one, three, ok(failover(supplied.red, fip, to=three, **{"from": one})))
    arrived(supplied, three, one, ok(failover(supplied.red, fip)))  # the best of the others

    assert supplied.red.fip(fip["id"])["attachment"]["target"] == one


def test_a_failover_that_cannot_be_is_refused_and_nothing_changes(supplied: Ledger) -> None:
    one, two, other = (supplied.target("red") for _ in range(3))
    fip, standard, idle = guarded(supplied, one, two), held(supplied, one), supplied.red.reserve(kind="failover")
    alone = held(supplied, one, kind="failover")

    for api, address, body, status, code in (
        (supplied.red, fip, {"to": other}, 409, "ipam.failover.not_candidate"),
        (supplied.red, fip, {"to": one}, 409, "ipam.flexible_ip.already_attached"),
        (supplied.red, fip, {"from": two}, 409, "ipam.flexible_ip.not_attached_there"),
        (supplied.red, alone, {}, 409, "ipam.failover.no_candidate"),
        (supplied.red, idle, {}, 409, "ipam.flexible_ip.not_attached"),
        (supplied.red, standard, {"to": two}, 409, "ipam.flexible_ip.not_failover"),
        (supplied.blue, fip, {}, 404, "ipam.flexible_ip.unknown"),
        (supplied.red, fip, {"cause": "health", "from": one}, 403, "auth.role_missing"),
        (supplied.operator, fip, {"cause": "health", "from": one}, 403, "auth.role_missing"),
        (supplied.service, fip, {"cause": "health"}, 422, "request.invalid"),
    ):
        supplied.refuses(partial(failover, api, address, **body), status, code)


def test_a_failover_asked_for_again_is_the_same_and_another_waits_its_turn(supplied: Ledger) -> None:
    one, two, three = (supplied.target("red") for _ in range(3))
    fip = guarded(supplied, one, two, three)
    operation = ok(failover(supplied.red, fip))
    before = supplied.contents()

    for body in ({}, {"to": two}, {"from": one}):
        assert ok(failover(supplied.red, fip, **body)) == operation
    assert ok(failed(supplied, fip, one)) == operation
    assert supplied.contents() == before
    supplied.refuses(partial(failover, supplied.red, fip, to=three), 409, "ipam.flexible_ip.in_transition")


def test_a_failover_waits_for_a_move_that_is_under_way(supplied: Ledger) -> None:
    one, two, three = (supplied.target("red") for _ in range(3))
    fip = guarded(supplied, one, two, three)
    moving = ok(supplied.red.post(f"/flexible-ips/{fip['id']}:move", {"from": one, "to": two}))

    for body in ({}, {"to": two}, {"to": three}):
        supplied.refuses(partial(failover, supplied.red, fip, **body), 409, "ipam.flexible_ip.in_transition")
    supplied.realize(one)  # two has it by now, and its nodes have not read it back: it may be dead
    operation = ok(failover(supplied.red, fip, to=three))

    superseded = supplied.red.operation(moving)
    assert (superseded["state"], superseded["error"]["code"]) == ("failed", "ipam.operation.superseded")
    arrived(supplied, two, three, operation)


def test_of_failovers_at_once_one_is_carried_out(supplied: Ledger) -> None:
    """N = 10 rounds of eight requests."""
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    old, new = one, two
    for _ in range(10):
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda body: failover(supplied.red, fip, **body), [{"from": old}] * 8))
        assert Counter(answer.status_code for answer in answers) == {202: 8}
        assert len({answer.json()["id"] for answer in answers}) == 1
        arrived(supplied, old, new, answers[0].json())
        old, new = new, old


def test_a_failover_sent_again_with_its_key_is_done_once(supplied: Ledger) -> None:
    """Also when it has been carried out in between: who crashed after asking does not send it back."""
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    headers = {"Idempotency-Key": "down-since-7"}
    ask = partial(
        supplied.service.post,
        f"/flexible-ips/{fip['id']}:failover",
        {"from": one, "cause": "health"},
        headers=headers,
    )
    first = ok(ask())
    arrived(supplied, one, two, first)
    before = supplied.contents()

    assert ok(ask()) == first
    assert supplied.contents() == before
    supplied.refuses(lambda: failed(supplied, fip, one), 409, "ipam.flexible_ip.not_attached_there")


# --- health checks ---------------------------------------------------------------------------------------------------


def test_the_active_targets_address_set_carries_the_check_and_the_candidates(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    revision = supplied.address_set(one)["revision"]

    shown = ok(check(supplied.red, fip, protocol="tcp", port=80))

    spec = {**CHECK, "protocol": "tcp", "port": 80}
    assert shown["health_check"] == spec
    assert shown["state"] == "attached"
    assert supplied.rung() == [("ledger.address_set", ("instance", one["id"]))]
    (address,) = supplied.address_set(one)["addresses"]
    assert supplied.address_set(one)["revision"] == revision + 1
    assert address["health_check"] == spec
    assert [(item["target"], item["active"]) for item in address["candidates"]] == [(one, True), (two, False)]

    arrived(supplied, one, two, ok(failover(supplied.red, fip)))
    (address,) = supplied.address_set(two)["addresses"]
    assert (address["health_check"], address["candidates"][1]["active"]) == (spec, True)

    assert ok(supplied.red.delete(f"/flexible-ips/{fip['id']}/health-check"))["health_check"] is None
    assert supplied.address_set(two)["addresses"][0]["health_check"] is None
    before = supplied.contents()
    ok(supplied.red.delete(f"/flexible-ips/{fip['id']}/health-check"))
    assert supplied.contents() == before


def test_a_check_that_cannot_be_is_refused_and_nothing_changes(supplied: Ledger) -> None:
    one = supplied.target("red")
    fip, standard = guarded(supplied, one), held(supplied, one)

    supplied.refuses(partial(check, supplied.red, standard), 409, "ipam.flexible_ip.not_failover")
    supplied.refuses(partial(check, supplied.blue, fip), 404, "ipam.flexible_ip.unknown")
    supplied.refuses(
        lambda: supplied.blue.delete(f"/flexible-ips/{fip['id']}/health-check"), 404, "ipam.flexible_ip.unknown"
    )
    for spec in ({"protocol": "tcp"}, {"port": 80}, {"interval_ms": 0}, {"threshold": 0}, {"hold_down_s": -1}):
        supplied.refuses(partial(check, supplied.red, fip, **spec), 422, "request.invalid")


def test_after_a_failover_by_health_none_follows_within_the_hold_down(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    ok(check(supplied.red, fip, hold_down_s=3600))
    supplied.realize(one)
    arrived(supplied, one, two, ok(failed(supplied, fip, one)))

    supplied.refuses(lambda: failed(supplied, fip, two), 409, "ipam.failover.held_down")
    ok(failover(supplied.red, fip))


def flap(ledger: Ledger, fip: Any, one: Any, two: Any, times: int) -> tuple[Any, Any]:
    for _ in range(times):
        arrived(ledger, one, two, ok(failed(ledger, fip, one)))
        one, two = two, one
    return one, two


def test_the_fifth_failover_by_health_within_three_minutes_freezes_the_address_until_it_is_thawed(
    supplied: Ledger,
) -> None:
    fip = guarded(supplied, one := supplied.target("red"), two := supplied.target("red"))
    one, two = flap(supplied, fip, one, two, 4)
    assert supplied.red.fip(fip["id"])["frozen_since"] is None
    one, two = flap(supplied, fip, one, two, 1)
    assert supplied.red.fip(fip["id"])["frozen_since"] is not None

    supplied.refuses(lambda: failed(supplied, fip, one), 409, "ipam.failover.frozen")
    arrived(supplied, one, two, ok(failover(supplied.red, fip)))
    supplied.refuses(lambda: failed(supplied, fip, two), 409, "ipam.failover.frozen")

    thaw = partial(supplied.red.post, f"/flexible-ips/{fip['id']}:thaw")
    supplied.refuses(lambda: supplied.blue.post(f"/flexible-ips/{fip['id']}:thaw"), 404, "ipam.flexible_ip.unknown")
    assert ok(thaw())["frozen_since"] is None
    before = supplied.contents()
    ok(thaw())
    assert supplied.contents() == before
    flap(supplied, fip, two, one, 1)


def test_failovers_of_people_and_those_long_ago_freeze_nothing(supplied: Ledger) -> None:
    fip = guarded(supplied, one := supplied.target("red"), two := supplied.target("red"))
    for _ in range(6):
        arrived(supplied, one, two, ok(failover(supplied.red, fip)))
        one, two = two, one
    one, two = flap(supplied, fip, one, two, 4)
    database = Database(supplied.database_url, lambda *_: None)
    with database.transaction() as tx:
        row = tx.session.get_one(FlexibleIP, UUID(fip["id"]))
        earlier = [moment - timedelta(seconds=180) for moment in row.failovers_at]
        tx.session.execute(update(FlexibleIP).where(FlexibleIP.id == row.id).values(failovers_at=earlier))
    database.close()

    flap(supplied, fip, one, two, 1)

    assert supplied.red.fip(fip["id"])["frozen_since"] is None


# --- swap ------------------------------------------------------------------------------------------------------------


def test_two_addresses_change_places_in_one_operation(supplied: Ledger) -> None:
    """Also where there is room for one address only."""
    left, right = supplied.target("red", limit_ipv4=1), supplied.target("red", limit_ipv4=1)
    one, two = held(supplied, left), held(supplied, right)

    operation = ok(swap(supplied.red, one, left, two, right))

    assert (operation["kind"], operation["state"]) == ("flexible_ip.swap", "waiting")
    assert operation["resource"] == f"/ipam/v1/flexible-ips/{one['id']}"
    assert sorted(supplied.rung()) == sorted(
        ("ledger.address_set", ("instance", target["id"])) for target in (left, right)
    )
    before = supplied.contents()
    assert ok(swap(supplied.red, one, left, two, right)) == operation
    assert supplied.contents() == before

    supplied.realize(left)
    waiting = supplied.red.operation(operation)
    assert (waiting["state"], two["address"] in waiting["waiting_for"]["text"]) == ("waiting", True)
    assert supplied.address_set(left)["addresses"] == []
    supplied.realize(right)
    assert [item["flexible_ip"] for item in supplied.address_set(left)["addresses"]] == [two["id"]]
    assert supplied.red.operation(operation)["state"] == "running"
    supplied.realize(left)

    done = supplied.red.operation(operation)
    assert done["state"] == "succeeded"
    for fip, target in ((one, right), (two, left)):
        shown = supplied.red.fip(fip["id"])
        assert (shown["state"], shown["attachment"]["target"]) == ("attached", target)
        assert supplied.red.get("/holdings", address=fip["address"])["items"][0]["target"] == target
        actions = [item["action"] for item in supplied.red.get(f"/flexible-ips/{fip['id']}/audit")["items"]]
        assert actions[-2:] == ["swap", "withdrawn"]


def test_a_swap_that_cannot_be_is_refused_and_nothing_changes(supplied: Ledger) -> None:
    left, right, third = (supplied.target("red") for _ in range(3))
    no_v6 = supplied.target("red", limit_ipv6=0)
    one, two, six, lone = (
        held(supplied, left),
        held(supplied, right),
        held(supplied, left, "ipv6"),
        held(supplied, no_v6),
    )
    moving = held(supplied, left)
    ok(supplied.red.post(f"/flexible-ips/{moving['id']}:move", {"from": left, "to": third}))
    idle = supplied.red.reserve()
    theirs = supplied.blue.reserve()

    told = supplied.refuses(
        partial(swap, supplied.red, one, third, two, right), 409, "ipam.flexible_ip.not_attached_there"
    )
    assert one["address"] in told
    assert left["id"] in told
    for first, its, second, others, status, code in (
        (one, left, two, third, 409, "ipam.flexible_ip.not_attached_there"),
        (one, left, idle, right, 409, "ipam.flexible_ip.not_attached_there"),
        (one, left, theirs, right, 404, "ipam.flexible_ip.unknown"),
        (one, left, one, right, 422, "ipam.swap.same"),
        (one, left, two, left, 422, "ipam.swap.same"),
        (six, left, lone, no_v6, 409, "ipam.target.limit"),
        (moving, left, two, right, 409, "ipam.flexible_ip.in_transition"),
    ):
        supplied.refuses(partial(swap, supplied.red, first, its, second, others), status, code)
    one_side = {"first": {"flexible_ip": one["id"], "target": left}, "second": {"flexible_ip": two["id"]}}
    supplied.refuses(lambda: supplied.red.post("/flexible-ips:swap", one_side), 422, "request.invalid")


def test_swaps_at_once_and_their_reports_end_where_they_should(supplied: Ledger) -> None:
    """N = 10 rounds: the same swap asked for from both ends at once, then four reports at once."""
    left, right = supplied.target("red", limit_ipv4=1), supplied.target("red", limit_ipv4=1)
    one, two = held(supplied, left), held(supplied, right)
    for _ in range(10):
        ways = [(one, left, two, right), (two, right, one, left)]
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda way: ok(swap(supplied.red, *way)), ways))
            list(threads.map(supplied.realize, [left, right, left, right]))
        supplied.realize(left)
        supplied.realize(right)
        assert len({answer["id"] for answer in answers}) == 1
        assert supplied.red.operation(answers[0])["state"] == "succeeded"
        one, two = two, one


def test_a_target_deleted_during_a_swap_ends_it_and_the_other_address_still_arrives(supplied: Ledger) -> None:
    left, right = supplied.target("red"), supplied.target("red")
    one, two = held(supplied, left), held(supplied, right)
    operation = ok(swap(supplied.red, one, left, two, right))

    supplied.client().delete_target("instance", UUID(left["id"]))
    supplied.realize(right)
    supplied.realize(right)

    ended = supplied.red.operation(operation)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "ipam.target.deleted")
    assert supplied.red.fip(one["id"])["attachment"]["target"] == right
    assert [supplied.red.fip(fip["id"])["state"] for fip in (one, two)] == ["attached", "reserved"]


# --- the gap ---------------------------------------------------------------------------------------------------------


def test_the_gap_is_from_the_withdrawal_to_the_announcement_by_placements_clock(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    move = {"from": one, "to": two}

    for ask, old, new in (
        (partial(supplied.red.post, f"/flexible-ips/{fip['id']}:move", move), one, two),
        (partial(failover, supplied.red, fip), two, one),
    ):
        operation = ok(ask())
        report(supplied, old, START)
        report(supplied, new, START + timedelta(milliseconds=12.5))
        report(supplied, new, START + timedelta(seconds=60))
        assert supplied.red.operation(operation)["result"] == {"control_gap_ms": 12.5}


def test_the_gap_of_a_swap_is_the_longer_of_both(supplied: Ledger) -> None:
    left, right = supplied.target("red"), supplied.target("red")
    one, two = held(supplied, left), held(supplied, right)
    operation = ok(swap(supplied.red, one, left, two, right))

    report(supplied, left, START)
    report(supplied, right, START + timedelta(milliseconds=10))
    report(supplied, left, START + timedelta(milliseconds=40))

    assert supplied.red.operation(operation)["result"] == {"control_gap_ms": 30.0}


def test_the_client_fails_over_for_placement(supplied: Ledger) -> None:
    one, two = supplied.target("red"), supplied.target("red")
    fip = guarded(supplied, one, two)
    body = wire.Failover.model_validate({"from": one, "cause": "health"})

    operation = supplied.client().fail_over(UUID(fip["id"]), body, "k")

    assert supplied.client().fail_over(UUID(fip["id"]), body, "k") == operation
    assert supplied.red.fip(fip["id"])["next_attachment"]["target"] == two
