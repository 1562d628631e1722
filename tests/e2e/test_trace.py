"""Traces in a whole cloud: drifts seeded into real kernels are named, and what is well is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from godwit_client.placement.models import Instance, Mode

from cloud.failures.drifts import DRIFTS, Subject, traced
from cloud.site import LocalSite
from cloud.tour.customer import Customer
from tests.e2e.conftest import Godwit, eventually

WELL = 100  # addresses
CHANGES = 5


def codes(godwit: Godwit, address: str) -> list[str]:
    said = godwit("trace", address, "--json")
    assert said.code == 0, said.err
    return [finding["code"] for finding in json.loads(said.out)["findings"]]


def public_of(instance: Instance, version: int = 4) -> str:
    """Its first flexible address of a family."""
    return next(
        one.prefix for one in instance.port.addresses if one.flexible_ip and (":" in one.prefix) is (version == 6)
    )


@pytest.mark.parametrize("version", [4, 6])
def test_each_drift_is_named_alone_and_then_mended(
    site: LocalSite, godwit: Godwit, customer: Customer, project: str, version: int
) -> None:
    subjects = []
    for number, drift in enumerate(one for one in DRIFTS if version == 4 or one.mode == "routed"):
        pool = "public" if version == 4 else "public-v6"
        one = customer.create(f"{project}-{number}", Mode(drift.mode), [customer.reserve(pool)])
        subjects.append((drift, Subject.of(site, one, public_of(one, version))))
    eventually(lambda: not any(codes(godwit, str(s.prefix)) for _, s in subjects), "all of them are well")

    found = {d.code: traced(d, s, lambda s=s: codes(godwit, str(s.prefix))) for d, s in subjects}  # type: ignore[misc]

    assert found == {drift.code: [drift.code] for drift, _ in subjects}
    for drift, subject in subjects:
        eventually(lambda s=subject: not codes(godwit, str(s.prefix)), f"{drift.code} is mended", 60)  # type: ignore[misc]


def test_of_a_hundred_addresses_that_are_well_nothing_is_found(
    godwit: Godwit, customer: Customer, project: str
) -> None:
    made = []
    for number in range(WELL // 10):
        mode = Mode.ROUTED if number else Mode.NAT
        pools = ["public"] * 5 + ["public-v6"] * 5 if number else ["public"]
        made.append(customer.create(f"{project}-{number}", mode, [customer.reserve(pool) for pool in pools]))
    moved = customer.changed(customer.move(made[1]))
    addresses = [address.prefix for one in [made[0], moved, *made[2:]] for address in one.port.addresses]
    extra = customer.create(f"{project}-more", Mode.ROUTED, [customer.reserve("public") for _ in range(5)])
    more = customer.create(f"{project}-last", Mode.ROUTED, [customer.reserve("public-v6") for _ in range(5)])
    addresses += [address.prefix for one in (extra, more) for address in one.port.addresses]
    assert len(addresses) >= WELL

    alarms = {address: found for address in addresses[:WELL] if (found := codes(godwit, address))}

    assert alarms == {}


def test_while_addresses_come_go_and_move_nothing_is_called_drift(
    godwit: Godwit, customer: Customer, project: str
) -> None:
    """Traced again and again: between the ledger's word, the kernels' and the fabric's."""
    routed, other = (
        customer.create(f"{project}-{n}", Mode.ROUTED, [customer.reserve("public"), customer.reserve("public-v6")])
        for n in (1, 2)
    )
    nat = customer.create(f"{project}-nat", Mode.NAT, [customer.reserve("public")])
    wandering = customer.reserve("public")

    def change() -> None:
        for _ in range(CHANGES):
            moving = [customer.move(one) for one in (routed, nat)]
            customer.done(customer.attach(wandering, routed))
            customer.done(customer.move_address(wandering, routed, other))
            customer.done(customer.detach(wandering))
            for operation in moving:
                customer.done(operation)
        for turn in (customer.convert, customer.revert):
            customer.done(turn(nat))

    watched = [public_of(routed), public_of(routed, 6), public_of(nat), wandering.address]
    seen: list[dict[str, str]] = []
    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(change)
        while not changes.done():
            for address in watched:
                said = godwit("trace", address, "--json")
                assert said.code == 0, said.err
                seen += json.loads(said.out)["findings"]
        changes.result()

    assert [one for one in seen if one["nature"] == "drift"] == []
    assert {"address.reserved", "port.claimed"} <= {one["code"] for one in seen}


@contextmanager
def frozen(site: LocalSite, process: str) -> Iterator[None]:
    """It does not run meanwhile, and is not dead either."""
    site.kill(process, "SIGSTOP")
    try:
        yield
    finally:
        site.kill(process, "SIGCONT")


def test_a_drift_is_named_while_the_holders_agent_is_frozen(
    site: LocalSite, godwit: Godwit, customer: Customer, project: str
) -> None:
    one = customer.create(project, Mode.ROUTED, [customer.reserve("public")])
    subject = Subject.of(site, one, public_of(one))
    steal = next(drift for drift in DRIFTS if drift.code == "announcer.second")

    with frozen_after(site, subject, steal.seed):
        assert codes(godwit, str(subject.prefix)) == ["announcer.second", "agent.silent", "agent.silent"]

    eventually(lambda: not codes(godwit, str(subject.prefix)), "both agents have mended it", 60)


@contextmanager
def frozen_after(site: LocalSite, subject: Subject, seed: Callable[[Subject], None]) -> Iterator[None]:
    """The holder's agent stops when the drift is there; so does the thief's, which would mend it."""
    seed(subject)
    with frozen(site, site.agent(subject.hypervisor)), frozen(site, site.agent(subject.others[0])):
        yield


def test_a_person_reads_what_is_wrong_and_what_mends_it(
    site: LocalSite, godwit: Godwit, customer: Customer, project: str
) -> None:
    one = customer.create(project, Mode.ROUTED, [customer.reserve("public")])
    subject = Subject.of(site, one, public_of(one))
    well = godwit("trace", str(subject.prefix.network_address))
    assert well.code == 0
    assert "as asked: internet → edge → " in well.out, well.out

    drift = next(drift for drift in DRIFTS if drift.code == "link.down")
    drift.seed(subject)
    said = godwit("trace", str(subject.prefix.network_address))

    assert "link.down" in said.out, said.out
    assert f"godwit node show {subject.hypervisor}" in said.out


@pytest.mark.parametrize(
    ("arguments", "role", "code", "exit_code"),
    [
        (["203.0.113.9"], "operator", "placement.address.unknown", 1),
        (["web"], "operator", "placement.address.malformed", 1),
        (["198.18.16.1"], "member", "auth.role_missing", 1),
        ([], "operator", "usage", 2),
    ],
)
def test_what_cannot_be_traced_ends_in_one_line(
    godwit: Godwit, arguments: list[str], role: str, code: str, exit_code: int
) -> None:
    said = godwit("trace", *arguments, role=role)

    assert said.code == exit_code
    assert said.err.endswith(f"({code})\n")
    assert said.err.count("\n") == 1
