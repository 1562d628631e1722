"""Workers die after every commit of a conversion, with every wake-up lost; others bring it to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select

from common.db import Database, Transaction
from common.errors import Unavailable
from dataplane.entries import HostNat
from services.placement import tasks
from services.placement.model import Claim
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok
from tests.functional.test_placement_conversion import kernels, public, rewrites
from tests.functional.test_zone_conversion import guests, modes, plan


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


class Killed(BaseException):
    """The worker is no more."""


class Mortal(Database):
    """Kills its worker after each transaction that changed a row, before a wake-up is sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lambda *_: None)
        self.deaths = 0
        event.listen(self.engine, "after_cursor_execute", self._note)

    @staticmethod
    def _note(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if cursor.rowcount > 0 and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            connection.info["wrote"] = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as tx:
            info = tx.session.connection().info
            info["wrote"] = False
            yield tx
            tx.session.flush()
        if info["wrote"]:
            self.deaths += 1
            raise Killed


@pytest.fixture
def mortal(placement_database: str) -> Iterator[Mortal]:
    database = Mortal(placement_database)
    yield database
    database.close()


def to_the_end(cloud: Controller, mortal: Mortal, conversion: Any) -> Any:
    """Sweep, each wake-up in a worker of its own that dies at its first commit, until the conversion is over."""
    workers = tasks.use_cases(cloud.another(mortal))
    for _ in range(200):
        cloud.hear()
        cloud.reconciler.sweep()
        pending = [*cloud.rung, *cloud.ledger.rung()]
        cloud.rung.clear()
        for name, names in pending:
            try:
                workers[name](*names)
            except (Killed, Unavailable):
                continue
        shown = cloud.get(f"/conversions/{conversion['id']}")
        if shown["phase"] in {"done", "aborted"} or shown["paused"]:
            return shown
    raise AssertionError(f"it never comes to an end: {shown}")


def claims(cloud: Controller) -> int:
    with cloud.database.transaction() as tx:
        return tx.session.scalars(select(func.count()).select_from(Claim)).one()


def test_workers_that_die_after_every_commit_convert_a_zone_and_abort_it(cloud: Controller, mortal: Mortal) -> None:
    ours = guests(cloud, 3)
    cloud.sweep()
    before = kernels(cloud)
    planned = plan(cloud, through="canary", canary=["1", "2"])
    ok(cloud.post(f"/conversions/{planned['id']}:start", {}, "operator"))
    half = to_the_end(cloud, mortal, planned)
    assert (half["phase"], half["paused"][0]["code"], half["ports"]) == (
        "canary",
        "conversion.through",
        {"verified": 3},
    )
    assert claims(cloud) == 0
    assert cloud.fleet["gateway-1"].maps() == cloud.fleet["gateway-2"].maps() == {}
    for item in ours:
        rows = cloud.fleet[item["hypervisor"]].kernel.table(HostNat).values()
        assert [row.outbound for row in rows if str(row.public) == public(item)] == [True]
        assert list(cloud.holders(f"{public(item)}/32")) == [item["hypervisor"]]
    there = mortal.deaths
    assert there > 20

    ok(cloud.post(f"/conversions/{planned['id']}:abort", {}, "operator"))
    assert to_the_end(cloud, mortal, planned)["phase"] == "aborted"
    assert claims(cloud) == 0
    assert set(modes(cloud).values()) == {"nat"}
    assert kernels(cloud) == before
    assert mortal.deaths - there > 10


def test_workers_that_die_after_every_commit_bring_a_zone_to_its_end(cloud: Controller, mortal: Mortal) -> None:
    guests(cloud, 2)
    planned = plan(cloud, restarts_guests=True)
    ok(cloud.post(f"/conversions/{planned['id']}:start", {}, "operator"))
    done = to_the_end(cloud, mortal, planned)
    assert (done["phase"], done["ports"]) == ("done", {"adopted": 2})
    cloud.sweep()  # the last guest may still be on its way up
    assert claims(cloud) == 0
    assert set(modes(cloud).values()) == {"routed"}
    assert rewrites(cloud) == {}
    for gateway in ("gateway-1", "gateway-2"):
        assert (cloud.fleet[gateway].maps(), cloud.fleet[gateway].announces()) == ({}, {})
