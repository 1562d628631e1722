"""Operations that people stop: cancelled before their point of no return, or paused for a while."""

from __future__ import annotations

from common.auth import Principal
from common.db import Transaction
from services.placement import bells, claims, move, wire
from services.placement.conversion.steps import CONVERT, REVERT
from services.placement.desired import derive_port
from services.placement.errors import OperationFixed, OperationUnknown
from services.placement.fleet.steps import Work
from services.placement.model import Claim, NodeWork, Operation
from services.placement.move import Kind, Step
from services.placement.service import nodes as node_service
from services.placement.service.operations import operation_wire, project_of
from services.placement.store import instances, nodes, operations


def cancel(tx: Transaction, principal: Principal, operation_id: str) -> wire.Operation:
    """End an Operation before its point of no return; nothing of it stays. Raises OperationFixed.

    A drain's moves that have begun go on to their end. A conversion walks back, and is cancelled when it is back; so
    does what has a disk on its way.
    """
    operation = _operation(tx, principal, operation_id)
    work = nodes.work_of_operation(tx, operation_id, lock=True)
    if work is not None and work.kind == Work.DRAIN:
        node_service.cancel_drain(tx, work)
        return operation_wire(operation)
    claim = instances.claim_of_operation(tx, operation_id)
    if claim is None:
        raise OperationFixed(f"a {operation.kind} that is {operation.state} cannot be cancelled")
    _cancel_claim(tx, operation, claim)
    return operation_wire(operation)


def _cancel_claim(tx: Transaction, operation: Operation, claim: Claim) -> None:
    port = instances.port(tx, claim.port_id, lock=True)
    if port is None or port.claim is None or port.claim.operation_id != operation.id:
        raise OperationFixed("it has ended meanwhile")
    claim = port.claim
    if claim.kind == CONVERT:
        claim.kind = REVERT
        claim.requested = {**claim.requested, "cancelled": True}
        claims.ring(tx, claim)
        return
    into = move.undone(Kind(claim.kind), Step(claim.step)) if "undone" not in claim.requested else None
    if into is not None:
        claims.turn(tx, port, into, None)
        for node_id in derive_port(tx, port):
            tx.ring(bells.NODE, str(node_id))
        return
    if claim.kind != Kind.LIVE or claim.step != Step.PREPARE:
        raise OperationFixed(f"a {claim.kind} at its step {claim.step!r} is past the point of no return")
    claims.give_up(tx, port, claim)
    tx.session.delete(claim)
    port.claim = None
    port.instance.revision += 1
    tx.session.flush()
    operation.cancel()
    for node_id in derive_port(tx, port):
        tx.ring(bells.NODE, str(node_id))


def pause(tx: Transaction, principal: Principal, operation_id: str) -> wire.Operation:
    """Begin no more of a drain's moves. Raises OperationFixed."""
    operation, work = _drain(tx, principal, operation_id)
    work.paused = True
    return operation_wire(operation)


def resume(tx: Transaction, principal: Principal, operation_id: str) -> wire.Operation:
    """Go on with a paused drain. Raises OperationFixed."""
    operation, work = _drain(tx, principal, operation_id)
    work.paused = False
    return operation_wire(operation)


def _drain(tx: Transaction, principal: Principal, operation_id: str) -> tuple[Operation, NodeWork]:
    operation = _operation(tx, principal, operation_id)
    work = nodes.work_of_operation(tx, operation_id, lock=True)
    if work is None or work.kind != Work.DRAIN:
        raise OperationFixed(f"a {operation.kind} that is {operation.state} can be neither paused nor resumed")
    tx.ring(bells.NODE_WORK, str(work.node_id))
    return operation, work


def _operation(tx: Transaction, principal: Principal, operation_id: str) -> Operation:
    operation = operations.get(tx, operation_id, project_of(principal))
    if operation is None:
        raise OperationUnknown(f"there is no operation {operation_id!r}")
    return operation
