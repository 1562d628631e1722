"""Guests' disks on their way to the object store and back (ADR 18): asks nodes for it, and says what came of it.

A transfer may take long. A worker waits for it a moment, then turns to other work, and is woken when it has ended. A
worker that dies loses nothing: every order may be repeated, and one that is under way is joined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import DomainError, Unavailable
from common.http import Unreachable
from services.netagent.client import AgentClient, DiskBusy, DiskExists, DiskInUse, NotAHypervisor
from services.netagent.wire import DiskArchive
from services.placement import claims
from services.placement.agents import Agents
from services.placement.model import Claim, Node, Port, StoredDisk
from services.placement.move import Kind, Pending, Step, Wait, unrealized
from services.placement.scheduler import LOCAL_DISK_TRAIT
from services.placement.store import archives, instances, nodes

log = structlog.get_logger()

PATIENCE_S: Final = 2.0  # a worker waits so long for transfers
GUEST_ENDS_S: Final = 10.0  # and a transfer for a guest's process that was told to end
AGAIN_S: Final = 0.05
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Done:
    """The step is done; ARCHIVE: what lies in the store now."""

    archive: DiskArchive | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be done as things are; nothing was changed."""

    code: str
    message: str


Outcome = Done | Wait | Refused
Give = Callable[[AgentClient], DiskArchive | None]


@dataclass(frozen=True, slots=True)
class _Order:
    """What a step asks of a node."""

    port: UUID
    operation: str
    step: Step
    node: UUID
    name: str
    agent_url: str
    give: Give
    dead: str | None = None  # the node is another's that shares the disk; that one is dead, with whatever it ran

    @property
    def key(self) -> tuple[str, Step, UUID]:
        return self.operation, self.step, self.node


class Disks:
    """Gives the orders of a claim's steps; and deletes what no port has in the store any more."""

    def __init__(self, database: Database, agents: Agents, sleep: Callable[[float], None] = time.sleep) -> None:
        self._db = database
        self._agents = agents
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="disk")
        self._under_way: dict[tuple[str, Step, UUID], Future[Outcome]] = {}

    def ask(self, ports: Sequence[Port]) -> dict[UUID, Outcome]:
        """How far the disks' steps are of these ports, whose claims are at one."""
        if not ports:
            return {}
        with self._db.transaction() as tx:
            known = archives.of_ports(tx, [port.id for port in ports])
            found = {port.id: _order(tx, port, known.get(port.id)) for port in ports}
        orders = [order for order in found.values() if isinstance(order, _Order)]
        outcomes = {port_id: order for port_id, order in found.items() if not isinstance(order, _Order)}
        asked = {order.port: self._future(order) for order in orders}
        wait(asked.values(), PATIENCE_S)
        for order in orders:
            future = asked[order.port]
            if future.done():
                self._under_way.pop(order.key, None)
                outcomes[order.port] = future.result()
            else:
                future.add_done_callback(lambda _, port_id=order.port: self._wake(port_id))  # type: ignore[misc]
                outcomes[order.port] = Wait("disk.transfer", f"{order.name} is at it", "the transfer ends")
        return outcomes

    def _future(self, order: _Order) -> Future[Outcome]:
        future = self._under_way.get(order.key)
        if future is None:
            for key in [key for key, known in list(self._under_way.items()) if known.done()]:
                self._under_way.pop(key, None)  # nobody came for it; who comes late asks again
            future = self._under_way[order.key] = self._pool.submit(self._do, order)
        return future

    def _wake(self, port_id: UUID) -> None:
        with self._db.transaction() as tx:
            for claim in instances.claims_of(tx, [port_id]):
                claims.ring(tx, claim)

    # --- one order ---------------------------------------------------------------------------------------------------

    def _do(self, order: _Order) -> Outcome:
        agent = self._agents.of(order.node, order.agent_url)
        ends = time.monotonic() + GUEST_ENDS_S
        while True:
            try:
                return Done(order.give(agent))
            except DiskInUse as error:
                if order.dead is None and time.monotonic() < ends:
                    self._sleep(AGAIN_S)
                    continue
                return _in_use(order, error)
            except DomainError as error:
                return _judge(order, error)

    # --- what is left behind -----------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Delete from the store what is no port's any more; what cannot go now stays for the next time."""
        with self._db.transaction() as tx:
            due = [(row, _answering(tx, row.zone)) for row in archives.unreferenced(tx)]
        for row, among in due:
            if among and self._delete(among[0], row.url):
                with self._db.transaction() as tx:
                    archives.forget(tx, row.id)

    def _delete(self, node: Node, url: str) -> bool:
        try:
            self._agents.of(node.id, node.agent_url).delete_archive(url)
        except DomainError as error:
            log.warning("archive.kept", url=url, node=node.name, code=error.code, error=error.message)
            return False
        return True


def _order(tx: Transaction, port: Port, row: StoredDisk | None) -> _Order | Outcome:
    claim = port.claim
    assert claim is not None  # noqa: S101  ports are chosen by it
    step = Step(claim.step)
    node_id = claim.destination_id if step is Step.RESTORE else claim.source_id
    node = nodes.node(tx, node_id) if node_id else None
    give = _giving(claim, row)
    if give is None or node is None:
        return Done()
    dead = None
    if step is not Step.RESTORE and node.fenced_at is not None:
        local = LOCAL_DISK_TRAIT in node.traits
        if local and step is Step.DISCARD:
            return Done()
        sharing = [] if local else [one for one in _answering(tx, node.zone) if LOCAL_DISK_TRAIT not in one.traits]
        if not sharing:
            return Wait("node.fenced", f"{node.name} is fenced, and nobody else reaches the disk", "it is let in again")
        dead, node = node.name, sharing[0]
    if not nodes.up(node):
        if step is Step.DISCARD and "undone" in claim.requested:
            return Done()  # a copy of what is archived may be left there: the next to be restored takes its place
        return unrealized((Pending(node.name, up=False),))
    return _Order(port.id, claim.operation_id, step, node.id, node.name, node.agent_url, give, dead)


def _giving(claim: Claim, row: StoredDisk | None) -> Give | None:
    """What a claim's step orders; None: nothing, for nothing was archived."""
    port, step = claim.port_id, Step(claim.step)
    if step is Step.DISCARD:
        return _discarding(claim, row)
    if row is None:
        return None
    url = row.url
    if step is Step.ARCHIVE:
        return lambda agent: agent.archive_disk(port, url)
    if row.digest is None:
        return None
    stored = DiskArchive(url=url, digest=row.digest, size_bytes=row.size_bytes, left_out=row.left_out)
    return lambda agent: _restore(agent, port, stored)


def _discarding(claim: Claim, row: StoredDisk | None) -> Give | None:
    port = claim.port_id
    if claim.kind == Kind.DELETE:
        return lambda agent: agent.discard_disk(port, None)
    if "undone" in claim.requested:  # it may have been made from the archive, or not yet
        return lambda agent: _discard(agent, port)
    url = row.url if row is not None and row.digest is not None else None
    return (lambda agent: agent.discard_disk(port, url)) if url else None


def _restore(agent: AgentClient, port: UUID, stored: DiskArchive) -> None:
    try:
        agent.restore_disk(port, stored)
    except DiskExists:  # an earlier stop may have left it behind: what it held is in what we restore
        _discard(agent, port)
        agent.restore_disk(port, stored)


def _discard(agent: AgentClient, port: UUID) -> None:
    """Remove a disk that holds but what is archived. Another stays."""
    settled = agent.disk(port).archived_at
    if settled is not None:
        agent.discard_disk(port, settled)


def _answering(tx: Transaction, zone: str) -> list[Node]:
    found = nodes.nodes_of_zone(tx, zone, "hypervisor")
    return [node for node in found if nodes.up(node) and node.fence is None]


def _in_use(order: _Order, error: DiskInUse) -> Outcome:
    if order.dead is None:
        return Wait(error.code, f"{order.name}: {error.message}", "the guest's process ends")
    if order.step is Step.ARCHIVE:
        return Wait("node.fenced", f"{order.dead} is fenced, and its guest has left the disk open", "it is evacuated")
    return _left_behind(order, error)


def _judge(order: _Order, error: DomainError) -> Outcome:
    text = f"{order.name}: {error.message}"
    if isinstance(error, Unreachable):
        return unrealized((Pending(order.name, up=False),))
    if isinstance(error, DiskBusy):
        return Wait(error.code, text, "the transfer ends")
    if isinstance(error, Unavailable) and order.step is not Step.ARCHIVE:
        return Wait(error.code, text, "the store and the disks' storage work again")
    if order.step is not Step.DISCARD:
        return Refused(error.code, text)
    if isinstance(error, NotAHypervisor):
        return _left_behind(order, error)
    return Wait(error.code, text, "a person looks at the disk, and removes it")


def _left_behind(order: _Order, error: DomainError) -> Done:
    log.warning("disk.left_behind", port=str(order.port), node=order.dead or order.name, code=error.code)
    return Done()
