"""The Operation that changes a port from now on, and its claim to it: one at a time, by the claim's primary key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_network

from common.db import Transaction
from services.placement import bells
from services.placement.conversion.steps import CONVERSIONS
from services.placement.model import Claim, Operation, Port
from services.placement.move import Kind, Step
from services.placement.store import instances, nodes, operations
from services.placement.store.conversions import OWNERS


def claim(tx: Transaction, port: Port, kind: str, step: str, *, wave: str = "") -> Operation:
    """`claim_all` of one."""
    return claim_all(tx, [port], kind, step, wave=wave)[0]


def claim_all(tx: Transaction, ports: Sequence[Port], kind: str, step: str, *, wave: str = "") -> list[Operation]:
    """Claim locked ports that nothing is changing; their Operations, in their order.

    Claims of one `wave` are taken on together; "": each by itself.
    """
    name = "move" if kind in {Kind.LIVE, Kind.COLD} else kind
    together = wave or (OWNERS if kind in CONVERSIONS else "")
    begun = operations.add_all(
        tx,
        f"instance.{name}",
        [(f"/placement/v1/instances/{port.target_id}", port.instance.project) for port in ports],
        step,
    )
    for port, operation in zip(ports, begun, strict=True):
        port.claim = Claim(
            port_id=port.id,
            operation_id=operation.id,
            kind=kind,
            step=step,
            source_id=port.node_id,
            destination_id=port.node_id if kind == Kind.RESTART else None,
            wave=together,
        )
        port.instance.revision += 1
        tx.session.add(port.claim)
        ring(tx, port.claim)
    tx.session.flush()
    return begun


def ring(tx: Transaction, of: Claim) -> None:
    """Wake whoever takes a claim on."""
    if of.kind in CONVERSIONS:
        tx.ring(bells.CONVERSION_BATCH, of.wave, str(of.source_id or "-"))
    else:
        tx.ring(bells.OPERATION, of.wave or of.operation_id)


def turn(tx: Transaction, port: Port, into: tuple[Kind, Step], why: dict[str, str] | None) -> None:
    """A locked port's claim goes back by `move.undone`; its entries are the caller's. `why`: a code and a message.

    None: somebody cancelled it. What it holds of its destination is freed, unless the guest may run there.
    """
    claim = port.claim
    assert claim is not None  # noqa: S101  the caller's
    kind, step = into
    back = claim.source_id if kind is Kind.RETURN else None
    if step is Step.WITHDRAW:  # its start counts, and is followed by a stop
        nodes.transfer(tx, claim.consumer, port.target_id)
        port.node_id = claim.destination_id
    else:
        give_up(tx, port, claim)
    claim.kind, claim.step, claim.entered_at = kind, step, datetime.now(UTC)
    claim.source_id, claim.destination_id = back or claim.destination_id, back
    claim.requested = {**claim.requested, "undone": why}
    port.instance.revision += 1
    ring(tx, claim)
    tx.session.flush()


def give_up(tx: Transaction, port: Port, of: Claim) -> None:
    """Free what a claim holds at its destination: its capacity, and the node-bound addresses it was given there."""
    nodes.free(tx, of.consumer)
    instances.take_node_addresses(tx, port, [ip_network(prefix) for prefix in of.requested.get("given", ())])
