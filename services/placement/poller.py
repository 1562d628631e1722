"""`python -m services.placement.poller`: hears every agent's heartbeat, and the edges' routes as they change.

One asyncio process. A heartbeat is a poll: it says which generation and digest the kernel was last read back to hold.
What differs from the database rings a wake-up. Nothing is withdrawn because an agent is silent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from common import logs
from common.db import Database
from common.errors import DomainError
from common.metrics import listen
from common.tasks import Bells, celery, waiting
from services.netagent.client import AsyncAgentClient
from services.netagent.wire import Changes, EdgeRoute, State
from services.placement import bells, claims, metrics
from services.placement.agents import dial
from services.placement.conversion.steps import Stage
from services.placement.model import Node
from services.placement.move import Step
from services.placement.settings import PlacementSettings
from services.placement.store import entries, instances, nodes

log = structlog.get_logger()

LONG_POLL_S = 25.0
WAIT_FOR_THE_FABRIC = (Step.ANNOUNCE, Stage.ANNOUNCED.name.lower(), Stage.PREPARED.name.lower())
DIFFERENT_POLLS = 3  # an agent mends its own drift first; one that stays different gets everything anew


def is_resync_due(differing_polls: int) -> bool:
    """After three polls that differ, then ever more rarely: what one whole snapshot did not mend, the next may not."""
    share, rest = divmod(differing_polls, DIFFERENT_POLLS)
    return rest == 0 and share > 0 and share & (share - 1) == 0


class Heard(Protocol):
    """What the poller hears of an agent: see `AsyncAgentClient`."""

    async def state(self) -> State: ...

    async def changes(self, after: int, wait_s: float) -> Changes: ...

    async def edge_routes(self, prefixes: Sequence[str]) -> list[EdgeRoute]: ...


class Poller:
    """Polls every node once a period, and keeps a long poll open to each edge."""

    def __init__(self, database: Database, connect: Callable[[Node], Heard], poll_seconds: float) -> None:
        """`connect` makes the client of a node's agent."""
        self._db = database
        self._connect = connect
        self._poll_seconds = poll_seconds
        self._clients: dict[tuple[UUID, str], Heard] = {}
        self._differs: dict[UUID, int] = {}
        self._watches: dict[UUID, asyncio.Task[None]] = {}

    def _client(self, node: Node) -> Heard:
        key = (node.id, node.agent_url)
        if key not in self._clients:
            self._clients[key] = self._connect(node)
        return self._clients[key]

    async def run(self) -> None:
        while True:
            try:
                await self.round()
            except DomainError as error:  # the database is away: nobody is polled, nothing is concluded from it
                log.warning("poller.deferred", code=error.code, error=error.message)
            await asyncio.sleep(self._poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311  jitter

    async def round(self) -> None:
        """Ask every agent once, and ring for what its answer calls for."""
        fleet = await asyncio.to_thread(self._fleet)
        for node in fleet:
            if node.role == "edge" and node.id not in self._watches:
                self._watches[node.id] = asyncio.create_task(self._watch(node))
        answers = await asyncio.gather(*(self._ask(node) for node in fleet))
        heard = {node.id: state for node, state in zip(fleet, answers, strict=True) if state is not None}
        edges = [node for node in fleet if node.role == "edge"]
        views = await asyncio.gather(*(self._ask_fabric(edge, fleet) for edge in edges))
        seen = {node_id: there for view in views for node_id, there in view.items()}
        await asyncio.to_thread(self._hear, heard, seen)

    def _fleet(self) -> list[Node]:
        with self._db.transaction() as tx:
            return nodes.all_nodes(tx)

    async def _ask(self, node: Node) -> State | None:
        """A node's heartbeat; None if it does not come within a period: one that is silent holds up no other."""
        try:
            async with asyncio.timeout(self._poll_seconds):
                return await self._client(node).state()
        except (DomainError, TimeoutError):
            return None

    async def _ask_fabric(self, edge: Node, fleet: Sequence[Node]) -> dict[UUID, bool]:
        """Whether an edge has the routes of each hypervisor of its zone; nothing if it does not say."""
        there = [(node, str(node.private_prefix)) for node in fleet if node.zone == edge.zone and node.private_prefix]
        if not there:
            return {}
        try:
            async with asyncio.timeout(self._poll_seconds):
                routes = await self._client(edge).edge_routes([prefix for _, prefix in there])
        except (DomainError, TimeoutError):
            return {}
        return {node.id: str(node.endpoint) in route.next_hops for (node, _), route in zip(there, routes, strict=True)}

    def _hear(self, heard: dict[UUID, State], fabric: Mapping[UUID, bool]) -> None:
        with self._db.transaction() as tx:
            fleet = [node for node in nodes.all_nodes(tx) if node.id in heard]
            returned = {node.id for node in fleet if not nodes.up(node)}
            failing = entries.nodes_with_failures(tx)
            epoch = entries.epoch(tx)
            nodes.seen(tx, list(heard))
            nodes.seen_by_edges(tx, fabric)
            for node in fleet:
                if node.id in returned:
                    tx.ring(bells.NODE, str(node.id))
                bell = self._judge(node, heard[node.id], epoch, failing=node.id in failing)
                if bell is not None:
                    tx.ring(bell, str(node.id))

    def _judge(self, node: Node, state: State, epoch: int, *, failing: bool) -> str | None:
        """The wake-up that a heartbeat calls for. `failing`: we remember entries that its kernel refused."""
        if state.epoch > epoch:
            log.error("node.ahead", node=node.name, epoch=state.epoch, ours=epoch)
            return None
        behind = node.generation > node.applied_generation
        same = state.generation == node.generation and state.digest == entries.expected_digest(node)
        if same and not behind and not failing:
            self._differs.pop(node.id, None)
            return None
        count = self._differs[node.id] = self._differs.get(node.id, 0) + 1
        if count == 1 and not behind:
            log.warning("node.differs", node=node.name, generation=state.generation, wanted=node.generation)
        if behind:
            return bells.NODE if count < DIFFERENT_POLLS or is_resync_due(count) else None
        return bells.RESYNC if is_resync_due(count) else None

    async def _watch(self, edge: Node) -> None:
        """Ring what waits for the fabric whenever the edge's routes change, and for what its health checks find."""
        after = 0
        while True:
            try:
                changes = await self._client(edge).changes(after, LONG_POLL_S)
            except DomainError:
                await asyncio.sleep(self._poll_seconds)
                continue
            after = changes.next
            if changes.prefixes or changes.checks:
                await asyncio.to_thread(self._ring_changed, edge, changes)

    def _ring_changed(self, edge: Node, changes: Changes) -> None:
        try:
            with self._db.transaction() as tx:
                if changes.checks:
                    tx.ring(bells.FAILOVER, str(edge.id))
                for claim in instances.claims(tx, WAIT_FOR_THE_FABRIC) if changes.prefixes else ():
                    claims.ring(tx, claim)
        except DomainError as error:
            log.warning("poller.deferred", code=error.code, error=error.message)


def main() -> None:
    settings = PlacementSettings()
    logs.configure("poller")
    app = celery("placement", settings.broker_url)
    database = Database(settings.database_url, Bells(app, bells.queue_of), pool_size=2)
    listen(settings.metrics, metrics.readings(database, partial(waiting, app)))

    def connect(node: Node) -> AsyncAgentClient:
        return AsyncAgentClient(dial(settings, node.id, node.agent_url))

    asyncio.run(Poller(database, connect, settings.poll_seconds).run())


if __name__ == "__main__":
    main()
