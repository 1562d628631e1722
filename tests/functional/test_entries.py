"""What nodes must hold, as rows that several write at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_interface, ip_network
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from services.netagent import wire
from services.placement.model import Node, NodeEntry, PortConversion
from services.placement.store import conversions, entries, instances
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger
from tests.functional.test_zone_conversion import guests, plan

ADDRESS = "198.18.16.200/32"
WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


def until_somebody_waits(cloud: Controller) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        with cloud.database.transaction() as tx:
            if tx.session.scalars(WAITS).one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


def test_what_became_anothers_meanwhile_is_not_removed_with_what_was_held(cloud: Controller) -> None:
    node = cloud.fleet["hypervisor-1"].id
    first, second = uuid4(), uuid4()

    def hold(owner: UUID) -> None:
        held: list[wire.Entry] = [wire.Address(ip_network(ADDRESS), owner, ip_interface(ADDRESS))]
        entries.replace(tx, {owner: {node: held}})

    def let_go() -> None:
        with cloud.database.transaction() as other:
            entries.replace(other, {first: {}})

    with cloud.database.transaction() as tx:
        hold(first)
    with ThreadPoolExecutor(1) as another:
        with cloud.database.transaction() as tx:
            hold(second)
            letting_go = another.submit(let_go)  # sees the first owner's, and waits for the node
            until_somebody_waits(cloud)
        letting_go.result(10)

    with cloud.database.transaction() as tx:
        live = list(tx.session.scalars(select(NodeEntry).where(NodeEntry.node_id == node, ~NodeEntry.removed)))
        digest = wire.Digest()
        for row in live:
            digest.add(row.kind, row.key, row.value)
        assert second in {row.owner for row in live}
        assert entries.expected_digest(tx.session.get_one(Node, node)) == digest.hex()


def test_ports_get_their_turns_node_by_node(cloud: Controller) -> None:
    guests(cloud, 9)
    conversion = UUID(plan(cloud)["id"])
    with cloud.database.transaction() as tx:
        wave = max(tx.session.scalars(select(PortConversion.wave)))
        due = [row.port_id for row in conversions.due(tx, conversion, wave, 100)]
        on = {port.id: port.node_id for port in instances.ports(tx, due)}
    turns = [on[port_id] for port_id in due]
    assert len(set(turns)) > 1
    assert turns == sorted(turns, key=str)
