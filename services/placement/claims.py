"""The Operation that changes a port from now on, and its claim to it: one at a time, by the claim's primary key."""

from __future__ import annotations

from common.db import Transaction
from common.operations import OperationState
from services.placement import bells
from services.placement.conversion.steps import CONVERSIONS
from services.placement.model import Claim, Operation, Port
from services.placement.move import Kind
from services.placement.store import operations
from services.placement.store.conversions import OWNERS


def claim(tx: Transaction, port: Port, kind: str, step: str, *, wave: str = "") -> Operation:
    """Claim a locked port that nothing is changing. Claims of one `wave` are taken on together; "": by itself."""
    name = "move" if kind == Kind.LIVE else kind
    resource = f"/placement/v1/instances/{port.target_id}"
    operation = operations.add(tx, f"instance.{name}", resource, port.instance.project)
    operation.reach(step, 0.0)
    operation.state = OperationState.PENDING
    port.claim = Claim(
        port_id=port.id,
        operation_id=operation.id,
        kind=kind,
        step=step,
        source_id=port.node_id,
        destination_id=port.node_id if kind == Kind.RESTART else None,
        wave=wave or (OWNERS if kind in CONVERSIONS else ""),
    )
    tx.session.add(port.claim)
    port.instance.revision += 1
    tx.session.flush()
    ring(tx, port.claim)
    return operation


def ring(tx: Transaction, of: Claim) -> None:
    """Wake whoever takes a claim on."""
    if of.kind in CONVERSIONS:
        tx.ring(bells.CONVERSION_BATCH, of.wave, str(of.source_id or "-"))
    else:
        tx.ring(bells.OPERATION, of.wave or of.operation_id)
