"""Addresses on targets: what a project can do with them, and what the nodes' reports complete."""

from __future__ import annotations

from tests.functional.ledger import Ledger, ok, problem


def test_an_address_is_attached_only_when_the_nodes_have_read_it_back(supplied: Ledger) -> None:
    web = supplied.target("red")
    fip = supplied.red.reserve()
    supplied.rung()

    operation = supplied.red.attach(fip, web)

    assert supplied.rung() == [("placement.address_set", ("instance", web["id"]))]
    assert supplied.red.fip(fip["id"])["state"] == "attaching"
    assert operation["state"] == "pending"
    assert operation["resource"] == f"/ipam/v1/flexible-ips/{fip['id']}"
    shown = supplied.address_set(web)
    assert (shown["revision"], shown["realized_revision"]) == (1, 0)
    assert [item["prefix"] for item in shown["addresses"]] == [f"{fip['address']}/32"]

    supplied.realize(web)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"


def test_a_move_lets_the_new_target_have_it_only_after_the_old_ones_withdrawal(supplied: Ledger) -> None:
    old, new = supplied.target("red"), supplied.target("red")
    fip = supplied.red.reserve()
    supplied.red.attach(fip, old)
    supplied.realize(old)
    supplied.rung()

    operation = ok(supplied.red.post(f"/flexible-ips/{fip['id']}:move", {"from": old, "to": new}))

    assert operation["state"] == "waiting"
    assert operation["waiting_for"]["code"] == "ipam.withdrawal.unrealised"
    assert supplied.rung() == [("placement.address_set", ("instance", old["id"]))]
    assert supplied.address_set(old)["addresses"] == []
    assert supplied.address_set(new) == {**supplied.address_set(new), "addresses": [], "revision": 0}
    moving = supplied.red.fip(fip["id"])
    assert (moving["state"], moving["next_attachment"]["target"]) == ("moving", new)

    supplied.realize(old)

    assert supplied.rung() == [("placement.address_set", ("instance", new["id"]))]
    assert [item["flexible_ip"] for item in supplied.address_set(new)["addresses"]] == [fip["id"]]
    assert supplied.red.fip(fip["id"])["state"] == "attaching"
    assert supplied.red.operation(operation)["state"] == "running"

    supplied.realize(new)

    assert supplied.red.fip(fip["id"])["state"] == "attached"
    assert supplied.red.operation(operation)["state"] == "succeeded"
    assert problem(supplied.blue.request("GET", f"/flexible-ips/{fip['id']}")) == (404, "ipam.flexible_ip.unknown")
