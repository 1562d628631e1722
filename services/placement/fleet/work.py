"""Takes the work on a node to its end: asks `steps`, writes what it decides, and acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from common.db import Database, Transaction
from services.placement import move
from services.placement.desired import derive_ports, derive_zone
from services.placement.fleet import placing, steps
from services.placement.fleet.steps import Done, Facts, LetIn, Move, Wait, Work
from services.placement.model import Node, NodeWork, Operation, Port
from services.placement.move import Kind
from services.placement.store import entries, instances, nodes, operations
from services.placement.store.entries import Behind
from services.placement.store.operations import uuid_of
from services.placement.sync import NodeSync, describe


class NodeWorks:
    """Drives the Operations that change a node as a whole."""

    def __init__(self, database: Database, sync: NodeSync) -> None:
        self._db = database
        self._sync = sync

    def take(self, node_id: UUID) -> None:
        """Take the work on a node as far as it goes now."""
        while self._step(node_id):
            pass

    def _step(self, node_id: UUID) -> bool:
        self._sync.ports([node_id])  # its own entries, and what the edges hold because of it
        with self._db.transaction() as tx:
            work = nodes.work(tx, node_id, lock=True)
            node = nodes.node(tx, node_id, lock=True)
            operation = operations.get(tx, work.operation_id, lock=True) if work else None
            if work is None or node is None or operation is None:
                return False
            there = _there(tx, node, Work(work.kind))
            facts = _facts(tx, node, work, there)
            _progress(operation, work, facts.left)
            match steps.next_step(Work(work.kind), facts):
                case Wait() as wait:
                    operation.wait(wait.code, wait.text, wait.unblock)
                    return False
                case LetIn():
                    node.fence = node.fenced_at = None  # from now on it may be heard: it is waited for again
                    tx.session.flush()
                    _derive(tx, node, operation)
                    return True
                case Move(count):
                    return self._move(tx, node, work, operation, there, count)
                case Done():
                    concerned = _finish(tx, node, Work(work.kind), operation)
                    tx.session.delete(work)
        self._sync.wake(concerned)
        return False

    @staticmethod
    def _move(
        tx: Transaction, node: Node, work: NodeWork, operation: Operation, there: Sequence[Port], count: int
    ) -> bool:
        evacuates = work.kind == Work.EVACUATE
        due = [port for port in there if (placing.must_leave(port, node.id) if evacuates else port.claim is None)]
        due = due[:count]
        leaving = due
        if evacuates:
            because = f"{node.name} is fenced, and evacuated"
            changing = [port for port in due if port.claim is not None]
            leaving = [
                port
                for port in due
                if placing.goes_elsewhere(port, node.id) or placing.preempt(tx, port, node.id, because)
            ]
            # What these give up is on its way out of kernels from now on: nobody is given it before it is gone.
            derive_ports(tx, [port for port in changing if port.claim is None])
        placed = placing.begin(tx, leaving, Kind.EVACUATE if evacuates else Kind.LIVE, node, operation.id)
        derive_ports(tx, due)
        if placed.homeless:
            wait = steps.homeless([port.instance.name for port in placed.homeless])
            operation.wait(wait.code, wait.text, wait.unblock)
        return bool(due) and not placed.homeless


def _there(tx: Transaction, node: Node, work: Work) -> list[Port]:
    """The ports that are, or are about to be, on the node, locked; a fence asks for none."""
    return instances.on_node(tx, node.id, lock=True) if work in {Work.EVACUATE, Work.DRAIN} else []


def _facts(tx: Transaction, node: Node, work: NodeWork, there: Sequence[Port]) -> Facts:
    edges: Behind = [(one, why) for one, why in entries.pending(tx, [node.id])[node.id] if one.role == "edge"]
    evacuates = work.kind == Work.EVACUATE
    still = [port for port in there if (placing.must_leave(port, node.id) if evacuates else port.claim is None)]
    return Facts(
        edges_pending=move.unrealized(describe(edges)).text if edges else None,
        node_pending=_node_pending(tx, node),
        fence_lifted=node.fence is None,
        left=len(there),
        moving=len(there) - len(still),
        concurrency=work.concurrency,
        paused=work.paused,
    )


def _node_pending(tx: Transaction, node: Node) -> str | None:
    """Why it is not known that the node has withdrawn what is no longer its."""
    if not nodes.up(node):
        return f"{node.name} does not answer"
    if node.refusal:
        return f"{node.name} does not take what it is sent: {node.refusal}"
    if node.generation > node.applied_generation:
        return f"{node.name} has read back generation {node.applied_generation}, not yet {node.generation}"
    failures = entries.failures(tx, node.id)
    return f"{node.name}: {failures[0]}" if failures else None


def _derive(tx: Transaction, node: Node, operation: Operation) -> None:
    zone = nodes.zone(tx, node.zone, lock=True)
    if zone is not None:
        derive_zone(tx, zone, uuid_of(operation.id))


def _finish(tx: Transaction, node: Node, work: Work, operation: Operation) -> set[UUID]:
    """The end of the work; returns the owners who waited for the node."""
    concerned: set[UUID] = set()
    match work:
        case Work.FENCE:
            node.fenced_at = datetime.now(UTC)
            concerned = entries.owners_waiting(tx, node.id)
        case Work.DRAIN:
            node.admin_state = "drained"
    node.revision += 1
    operation.succeed(operation.result)
    return concerned


def _progress(operation: Operation, work: NodeWork, left: int) -> None:
    if work.kind not in {Work.EVACUATE, Work.DRAIN}:
        return
    end = steps.estimated_end(work.total, left, work.started_at, datetime.now(UTC))
    operation.progress = (work.total - left) / work.total if work.total else 1.0
    operation.result = {
        "instances": work.total,
        "left": left,
        "estimated_end": end.isoformat() if end else None,
    }
