"""The poller hears heartbeats, rings for what they call for, and is held up by nobody's silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from dataplane.entries import Anchor, Forward
from services.netagent.wire import Changes, EdgeRoute, State
from services.placement import bells
from services.placement.model import Heartbeat, Node
from services.placement.poller import DIFFERENT_POLLS, Poller, is_resync_due
from tests.functional.controller import Agent, Controller, running
from tests.functional.ledger import Ledger

PERIOD_S = 0.2


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


class Line:
    """The way to one agent: one that is cut never answers."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def state(self) -> State:
        if self._agent.cut:
            await asyncio.Event().wait()
        return self._agent.executor.realized()

    async def changes(self, after: int, wait_s: float) -> Changes:
        await asyncio.sleep(wait_s)
        return Changes(next=after)

    async def edge_routes(self, prefixes: Sequence[str]) -> list[EdgeRoute]:
        return self._agent.edge_routes(prefixes)


def poll(cloud: Controller, rounds: int = 1) -> None:
    poller = Poller(cloud.database, lambda node: Line(cloud.fleet.agents[node.id]), PERIOD_S)

    async def poll_rounds() -> None:
        for _ in range(rounds):
            await poller.round()

    asyncio.run(poll_rounds())


def conditions(cloud: Controller) -> dict[str, str]:
    return {node["name"]: node["condition"] for node in cloud.get("/nodes")["items"]}


def everybody_was_heard(cloud: Controller, ago: timedelta) -> None:
    with cloud.database.transaction() as tx:
        tx.session.execute(update(Heartbeat).values(seen_at=datetime.now(UTC) - ago))


def test_a_silent_node_is_unreachable_and_no_other_is(cloud: Controller) -> None:
    cloud.fleet["hypervisor-2"].cut = True
    everybody_was_heard(cloud, ago=timedelta(seconds=10))
    poll(cloud)
    seen = conditions(cloud)
    assert {name for name, condition in seen.items() if condition != "up"} == {"hypervisor-2"}


def test_the_edges_own_view_of_a_node_stands_beside_its_heartbeat(cloud: Controller) -> None:
    poll(cloud)
    seen = {node["name"]: node["fabric"] for node in cloud.get("/nodes")["items"]}
    assert {name for name, fabric in seen.items() if fabric == "up"} == {f"hypervisor-{n}" for n in (1, 2, 3)}
    cloud.fleet["hypervisor-2"].kernel.table(Anchor).clear()
    poll(cloud)
    node = next(node for node in cloud.get("/nodes")["items"] if node["name"] == "hypervisor-2")
    assert (node["condition"], node["fabric"]) == ("up", "unreachable")


def test_a_node_that_returns_is_brought_up_to_date(cloud: Controller) -> None:
    agent = cloud.fleet["hypervisor-2"]
    agent.cut = True
    cloud.hear()
    body = {"name": "web", "zone": "zone-a", "flavor": "small", "hypervisor": "hypervisor-1", "allocate": ["ipv4"]}
    cloud.post("/instances", body, "operator")
    cloud.settle()
    agent.cut = False
    cloud.lose_bells()
    poll(cloud)
    assert (bells.NODE, (str(agent.id),)) in cloud.rung


def test_a_node_that_stays_different_is_sent_everything(cloud: Controller) -> None:
    web = cloud.instance("web", allocate=["ipv4"])
    agent = cloud.fleet[web["hypervisor"]]
    forwards = agent.kernel.table(Forward)
    agent.kernel.remove(Forward, next(iter(forwards)))
    agent.executor.verify()
    cloud.lose_bells()
    poll(cloud, DIFFERENT_POLLS - 1)
    assert cloud.rung == []
    poll(cloud, DIFFERENT_POLLS)
    assert (bells.RESYNC, (str(agent.id),)) in cloud.rung
    cloud.reconciler.sync.whole(agent.id)
    assert len(forwards) == 1


def test_a_node_that_is_as_it_should_be_rings_nothing(cloud: Controller) -> None:
    cloud.instance("web", allocate=["ipv4"])
    cloud.lose_bells()
    poll(cloud, 2)
    assert cloud.rung == []
    with cloud.database.transaction() as tx:
        assert all(node.generation == node.applied_generation for node in tx.session.scalars(select(Node)))


def test_what_stays_different_is_sent_ever_more_rarely() -> None:
    due = [count for count in range(1, 60) if is_resync_due(count)]
    assert due == [3, 6, 12, 24, 48]


def test_what_a_health_check_finds_is_rung_for_at_once(cloud: Controller) -> None:
    class Finding(Line):
        async def changes(self, after: int, wait_s: float) -> Changes:
            return Changes(next=7, checks=["198.18.16.9"]) if after == 0 else await super().changes(after, wait_s)

    edge = cloud.fleet["edge"]
    poller = Poller(cloud.database, lambda node: Finding(cloud.fleet.agents[node.id]), PERIOD_S)

    async def rung() -> bool:
        await poller.round()
        for _ in range(500):
            if (bells.FAILOVER, (str(edge.id),)) in cloud.rung:
                return True
            await asyncio.sleep(0.01)
        return False

    cloud.lose_bells()
    assert asyncio.run(rung())
