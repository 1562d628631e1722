"""Brings nodes to their generation: sends what is not confirmed, stores what was read back, wakes who waited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import DomainError, Unavailable
from services.netagent.client import BaseMismatch, StaleGeneration
from services.netagent.wire import Snapshot, describe_entry
from services.placement import bells, claims
from services.placement.agents import Agents
from services.placement.desired import derive_ports
from services.placement.errors import WithdrawBudget
from services.placement.model import Node, Port, Prefix
from services.placement.move import Pending
from services.placement.store import entries, fences, held, instances, nodes, operations

log = structlog.get_logger()


def describe(behind: Sequence[tuple[Node, str | None]]) -> tuple[Pending, ...]:
    return tuple(Pending(node.name, nodes.up(node), failure) for node, failure in behind)


def pending(tx: Transaction, port_id: UUID) -> tuple[Pending, ...]:
    """The nodes that have not read back what they must hold of a port."""
    return describe(entries.pending(tx, [port_id])[port_id])


def reachable_behind(tx: Transaction, port_ids: Sequence[UUID]) -> list[UUID]:
    """Those of them that answer, and may be asked again."""
    behind = [one for found in entries.pending(tx, port_ids).values() for one in found]
    return list(dict.fromkeys(node.id for node, failure in behind if nodes.up(node) and not failure))


def _prefixes(port: Port) -> set[Prefix]:
    return {address.prefix for address in port.addresses} | {bound.prefix for bound in port.node_addresses}


class NodeSync:
    """Sends nodes what they must hold. May run twice at once for a node: agents order by generation."""

    def __init__(self, database: Database, agents: Agents) -> None:
        self._db = database
        self._agents = agents
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="node")
        self._met: set[UUID] = set()  # nodes that have confirmed something since this process began

    def node(self, node_id: UUID) -> None:
        """Bring one node to its generation, and wake whoever waited for it."""
        self.wake(self._sync_node(node_id))

    def _sync_node(self, node_id: UUID, *, whole: bool = False) -> set[UUID]:
        """Send a node what it has not confirmed; return the owners for whom its answer changes something.

        A node that does not answer is left alone: it is taken up when it is heard again.
        """
        silent = self._meet(node_id)
        if silent is not None:
            return self._unsynced(node_id, silent)
        try:
            with self._db.transaction() as tx:
                batch = entries.batch(tx, node_id, whole=whole)
        except WithdrawBudget as error:
            return self._unsynced(node_id, error)
        if batch is None:
            return set()
        try:
            realized = self._agents.of(node_id, batch.agent_url).apply(batch.message)
        except DomainError as error:
            return self._unsynced(node_id, error)
        with self._db.transaction() as tx:
            owners = entries.confirm(tx, batch, realized)
            if owners and fences.of_node(tx, node_id):
                tx.ring(bells.ADDRESS_FENCES)  # one of them may have outlived its cause
        if owners is not None:
            self._met.add(node_id)
            return owners
        log.warning("node.differs", node=str(node_id), sent_whole=isinstance(batch.message, Snapshot))
        return set() if isinstance(batch.message, Snapshot) else self._sync_node(node_id, whole=True)

    def _meet(self, node_id: UUID) -> DomainError | None:
        """Ask a node of which nothing is known what it holds, before it is told anything; answer why it does not say.

        It is new; or the database was restored, and knows less than the node. No sequence stays below what is
        announced, and what the node holds beside what it should is an Operation's result, for a person to read.
        """
        if node_id in self._met:
            return None
        with self._db.transaction() as tx:
            url = held.stranger(tx, node_id)
        if url is None:
            return None
        try:
            told = self._agents.of(node_id, url).held()
        except DomainError as error:
            return error
        seen = held.announced(told)
        with self._db.transaction() as tx:
            ports = instances.ports(tx, instances.ports_with(tx, list(seen)), lock=True)
            if risen := instances.raise_sequences(tx, node_id, seen):
                concerned = [port for port in ports if risen & _prefixes(port)]
                for changed in derive_ports(tx, concerned) - {node_id}:
                    tx.ring(bells.NODE, str(changed))
        with self._db.transaction() as tx:
            found = held.take_over(tx, told)
            if found.unknown or found.elsewhere:
                operation = operations.add(tx, "node.meet", f"/placement/v1/nodes/{node_id}", "", "asked")
                operation.succeed(
                    {
                        "unknown": [describe_entry(entry) for entry in found.unknown],
                        "elsewhere": [describe_entry(entry) for entry in found.elsewhere],
                    }
                )
                log.warning("node.holds_more", node=str(node_id), operation=operation.id, unknown=len(found.unknown))
        return None

    def _unsynced(self, node_id: UUID, error: DomainError) -> set[UUID]:
        """What an agent's refusal or ours, or its silence, asks for."""
        match error:
            case BaseMismatch():
                log.info("node.resync", node=str(node_id), reason="base mismatch")
                return self._sync_node(node_id, whole=True)
            case StaleGeneration():  # another worker was faster, with a newer generation
                return set()
            case Unavailable():
                log.warning("node.unreachable", node=str(node_id), error=error.message)
                return set()
        log.error("node.refuses", node=str(node_id), code=error.code, error=error.message)
        with self._db.transaction() as tx:
            return entries.refuse(tx, node_id, f"{error.code}: {error.message}")

    def whole(self, node_id: UUID) -> None:
        """The agent holds something else than it confirmed: send it everything."""
        self.wake(self._sync_node(node_id, whole=True))

    def ports(self, port_ids: Sequence[UUID]) -> None:
        """Bring the nodes that have not confirmed what they hold of these ports to their generation, if they answer.

        Others who waited for them are woken; the ports' own affairs are the caller's.
        """
        with self._db.transaction() as tx:
            behind = reachable_behind(tx, port_ids)
        self.nodes(behind, of=port_ids)

    def nodes(self, node_ids: Iterable[UUID], of: Iterable[UUID]) -> None:
        """Bring these nodes to their generation, all at the same time, on behalf of the ports `of`."""
        owners: set[UUID] = set()
        for settled in [self._pool.submit(copy_context().run, self._sync_node, node_id) for node_id in node_ids]:
            owners |= settled.result()
        self.wake(owners.difference(of))

    def wake(self, owners: set[UUID]) -> None:
        """Ring for the operations and reports of these ports."""
        if not owners:
            return
        with self._db.transaction() as tx:
            for claim in instances.claims_of(tx, list(owners)):
                claims.ring(tx, claim)
            for port_id in instances.unreported(tx, list(owners)):
                tx.ring(bells.REPORT, str(port_id))
