"""What a zone's conversion begins and ends its phases with, in the transaction that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from common.db import Transaction
from services.placement import bells, modes
from services.placement.conversion.phases import Phase, PortState, stack_at
from services.placement.conversion.steps import OVERDUE_S, Reason
from services.placement.desired import derive_zone
from services.placement.model import Conversion, Operation, Port, PortConversion, Wave, Zone
from services.placement.store import conversions, nodes
from services.placement.store.operations import uuid_of


def pause(tx: Transaction, conversion: Conversion, reasons: Sequence[Reason]) -> None:
    """Nothing new is begun until a person resumes it."""
    conversion.paused = [
        *conversion.paused,
        *({"code": one.code, "text": one.text, "remedy": one.remedy} for one in reasons),
    ]
    conversion.revision += 1
    tx.session.flush()


def enter(tx: Transaction, conversion: Conversion, operation: Operation, zone: Zone, phase: Phase) -> None:
    """What a phase begins with."""
    conversion.phase, conversion.phase_at = phase, datetime.now(UTC)
    conversion.revision += 1
    match phase:
        case Phase.NO_NEW_NAT:
            zone.nat_closed = True
            zone.revision += 1
        case Phase.TAIL:
            queue_tail(tx, conversion)
        case Phase.DONE:
            for gateway in nodes.nodes_of_zone(tx, zone.name, "gateway"):
                gateway.admin_state = "disabled"
                gateway.revision += 1
        case Phase.ABORTING | Phase.ABORTED:
            zone.nat_closed = False
    routed = conversions.count_in(tx, zone.name, modes.ROUTED)
    if (stack := stack_at(phase, conversion.from_stack, routed)) is not None:
        set_stack(tx, zone, stack, operation)
    if phase.over:
        operation.succeed({**(operation.result or {}), "phase": phase, "stack": zone.stack})
    else:
        operation.reach(phase, operation.progress)


def set_stack(tx: Transaction, zone: Zone, stack: str, asked_by: Operation) -> None:
    """The zone's nodes hold what its stack asks; only those that change are told."""
    if zone.stack != stack:
        zone.stack = stack
        zone.revision += 1
    tx.session.flush()
    for node_id in derive_zone(tx, zone, uuid_of(asked_by.id)):
        tx.ring(bells.NODE, str(node_id))


def queue_tail(tx: Transaction, conversion: Conversion) -> None:
    """A wave of all that is left: blocked, rolled back, or made since the plan."""
    number = 1 + max((wave.number for wave in conversions.waves(tx, conversion.id)), default=0)
    tx.session.add(Wave(conversion_id=conversion.id, number=number, phase=Phase.TAIL))
    tx.session.flush()
    conversions.requeue(tx, conversion.id, number)
    left = conversions.unplanned(tx, conversion.id, conversion.zone)
    conversions.add_ports(tx, [row_of(conversion, port, number) for port in left])


def row_of(conversion: Conversion, port: Port, wave: int) -> PortConversion:
    return PortConversion(
        conversion_id=conversion.id,
        port_id=port.id,
        instance_id=port.target_id,
        name=port.instance.name,
        wave=wave,
        state=PortState.WAITING,
        planned_revision=port.instance.revision,
    )


def forgive(tx: Transaction, conversion: Conversion) -> None:
    """What paused it has been looked at: failures so far count no more, and wait for the tail, which is tried again.

    A wave that came to its end is over, whatever came of it, and what is overdue has as much time again.
    """
    conversions.set_aside(tx, conversion.id)
    conversions.allow_time(tx, conversion.id, datetime.now(UTC) - timedelta(seconds=OVERDUE_S))
    wave = conversions.current_wave(tx, conversion)
    if wave is not None and not conversions.unfinished(tx, wave):
        wave.ended_at = datetime.now(UTC)
    conversion.wrong_tenant_packets = {}
    if conversion.phase == Phase.TAIL:
        queue_tail(tx, conversion)
