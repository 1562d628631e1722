"""Conversions of zones: planned, started, paused, resumed, aborted, sealed by a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from common.auth import Principal
from common.db import Transaction, violated
from common.web import Page, Paging, check_revision
from services.placement import bells, modes, wire
from services.placement.conversion import phases, prechecks, transitions
from services.placement.conversion.phases import FORWARD, Phase, PortState
from services.placement.conversion.prechecks import HOSTNAT_TRAIT, Seen
from services.placement.conversion.prediction import predict
from services.placement.conversion.steps import Reason
from services.placement.errors import (
    ConversionExists,
    ConversionNodes,
    ConversionPhase,
    ConversionStack,
    ConversionUnknown,
    PlanStale,
    SoakUnfinished,
    ZoneUnknown,
)
from services.placement.model import Conversion, Port, PortConversion, Wave, now
from services.placement.store import conversions, entries, instances, nodes, operations

# --- reading ---------------------------------------------------------------------------------------------------------


def get(tx: Transaction, conversion_id: UUID) -> wire.Conversion:
    return conversion_wire(tx, _conversion(tx, conversion_id))


def page(tx: Transaction, paging: Paging, zone: str | None) -> Page[wire.Conversion]:
    """Newest first."""
    found = conversions.page(tx, paging.limit + 1, paging.key(datetime.fromisoformat, UUID), zone)
    return paging.page(
        [conversion_wire(tx, item) for item in found], key=lambda item: [item.created_at.isoformat(), str(item.id)]
    )


def ports(
    tx: Transaction, conversion_id: UUID, paging: Paging, state: PortState | None, wave: int | None
) -> Page[wire.PortConversion]:
    conversion = _conversion(tx, conversion_id)
    found = conversions.ports(
        tx,
        conversion.id,
        wave=wave,
        states=[state] if state else None,
        limit=paging.limit + 1,
        after=paging.key(str, UUID),
    )
    keys = {row.instance_id: [row.name, str(row.port_id)] for row in found}
    return paging.page([_port_wire(row) for row in found], key=lambda item: keys[item.instance])


def _conversion(tx: Transaction, conversion_id: UUID, *, lock: bool = False) -> Conversion:
    conversion = conversions.get(tx, conversion_id, lock=lock)
    if conversion is None:
        raise ConversionUnknown(f"there is no conversion {conversion_id}")
    return conversion


def _port_wire(row: PortConversion) -> wire.PortConversion:
    return wire.PortConversion(
        instance=row.instance_id,
        name=row.name,
        wave=row.wave,
        state=PortState(row.state),
        reasons=[wire.Reason(**reason) for reason in row.reasons],
        operation=row.operation_id,
        attempts=row.attempts,
        probes_sent=row.probes_sent,
        probes_lost=row.probes_lost,
        checked_at=row.checked_at,
        verified_at=row.verified_at,
        adopted_at=row.adopted_at,
    )


def conversion_wire(tx: Transaction, conversion: Conversion) -> wire.Conversion:
    counts = conversions.counts(tx, conversion.id)
    total: dict[PortState, int] = {}
    for found in counts.values():
        for state, count in found.items():
            total[state] = total.get(state, 0) + count
    sums = conversions.sums(tx, conversion.id)
    rate = phases.rate(sums.verified, sums.first_checked, sums.last_verified)
    return wire.Conversion(
        id=conversion.id,
        zone=conversion.zone,
        phase=Phase(conversion.phase),
        through=Phase(conversion.through),
        paused=[wire.Reason(**reason) for reason in conversion.paused],
        in_flight=conversion.in_flight,
        failure_budget=conversion.failure_budget,
        soak_s=conversion.soak_s,
        restarts_guests=conversion.restarts_guests,
        operation=conversion.operation_id,
        waves=[_wave_wire(wave, counts.get(wave.number, {})) for wave in conversions.waves(tx, conversion.id)],
        ports=total,
        ports_per_s=rate,
        estimated_end=None if conversion.paused else phases.estimated_end(total, rate, now()),
        probes_sent=sums.probes_sent,
        probes_lost=sums.probes_lost,
        attempts=sums.attempts,
        revision=conversion.revision,
        created_at=conversion.created_at,
    )


def _wave_wire(wave: Wave, counts: Mapping[PortState, int]) -> wire.Wave:
    return wire.Wave(
        number=wave.number,
        phase=Phase(wave.phase),
        ports=dict(counts),
        started_at=wave.started_at,
        ended_at=wave.ended_at,
    )


# --- planning --------------------------------------------------------------------------------------------------------


def to_plan(tx: Transaction, zone: str) -> list[Port]:
    """The ports that a plan is about. Raises ZoneUnknown, ConversionStack, ConversionNodes, ConversionExists."""
    found = nodes.zone(tx, zone)
    if found is None:
        raise ZoneUnknown(f"there is no zone {zone!r}")
    if found.stack == wire.Stack.ROUTED:
        raise ConversionStack(f"zone {zone} is routed already")
    if not any(HOSTNAT_TRAIT in node.traits for node in nodes.nodes_of_zone(tx, zone, "hypervisor")):
        raise ConversionNodes(f"no hypervisor of zone {zone} has the trait {HOSTNAT_TRAIT}")
    latest = conversions.of_zone(tx, zone)
    if latest is not None and latest.operation_id and not Phase(latest.phase).over:
        raise ConversionExists(f"zone {zone} is being converted by {latest.id}, which is {latest.phase}")
    return conversions.ports_in(tx, zone, modes.NAT)


def plan(
    tx: Transaction, principal: Principal, body: wire.ConversionCreate, observed: Mapping[UUID, Seen]
) -> wire.ConversionPlan:
    """Plan a zone's conversion, in place of a plan that was not started. Raises ConversionExists."""
    zone = nodes.zone(tx, body.zone, lock=True)
    assert zone is not None  # noqa: S101  zones are never deleted, and `to_plan` found it
    earlier = conversions.of_zone(tx, body.zone)
    if earlier is not None and earlier.operation_id is None:
        tx.session.delete(earlier)
        tx.session.flush()
    conversion = Conversion(
        zone=body.zone,
        project=principal.project,
        phase=Phase.PLANNED,
        through=body.through,
        from_stack=zone.stack,
        in_flight=body.in_flight,
        failure_budget=body.failure_budget,
        soak_s=body.soak_s,
        restarts_guests=body.restarts_guests,
        paused=[],
    )
    tx.session.add(conversion)
    try:
        tx.session.flush()
    except IntegrityError as error:
        if violated(error) != "uq_conversion_zone":
            raise
        raise ConversionExists(f"zone {body.zone} is being converted already") from error
    to_convert = [port for port in conversions.ports_in(tx, body.zone, modes.NAT) if port.id in observed]
    to_convert.sort(key=lambda port: (port.instance.project != body.internal_project, port.id))
    planned = []
    for number, (phase, of_wave) in enumerate(phases.waves(to_convert, body.canary, body.waves), 1):
        tx.session.add(Wave(conversion_id=conversion.id, number=number, phase=phase))
        tx.session.flush()
        conversions.add_ports(tx, [transitions.row_of(conversion, port, number) for port in of_wave])
        planned += [_planned(port, number, observed[port.id]) for port in of_wave]
    changed = sum(
        1 for port in planned for address in port.predicted.addresses if address.after not in {None, address.before}
    )
    return wire.ConversionPlan(
        **conversion_wire(tx, conversion).model_dump(), addresses_changed=changed, planned=planned
    )


def _planned(port: Port, wave: int, observed: Seen) -> wire.PlannedPort:
    return wire.PlannedPort(
        instance=port.target_id,
        name=port.instance.name,
        project=port.instance.project,
        wave=wave,
        findings=[
            wire.Finding(part_of=one.part_of, effect=one.effect, reason=_reason_wire(one.reason))
            for one in prechecks.findings(observed)
        ],
        predicted=predict(port),
    )


def _reason_wire(reason: Reason) -> wire.Reason:
    return wire.Reason(code=reason.code, text=reason.text, remedy=reason.remedy)


# --- a person's words ------------------------------------------------------------------------------------------------


def start(tx: Transaction, conversion_id: UUID, expected: int | None) -> wire.Conversion:
    """Raises ConversionPhase, PlanStale."""
    conversion = _conversion(tx, conversion_id, lock=True)
    check_revision(expected, conversion.revision)
    if conversion.operation_id is not None:
        raise ConversionPhase(f"it was started already, and is {conversion.phase}")
    stale = conversions.changed_since(tx, conversion.id, conversion.zone)
    if stale is not None:
        raise PlanStale(f"instance {stale} has changed since the plan was made; plan again")
    resource = f"/placement/v1/conversions/{conversion.id}"
    operation = operations.add(tx, "zone.convert", resource, conversion.project, Phase.PLANNED)
    conversion.operation_id = operation.id
    return _changed(tx, conversion)


def pause(tx: Transaction, conversion_id: UUID, reason: str, expected: int | None) -> wire.Conversion:
    """Give no port its turn any more. Raises ConversionPhase."""
    conversion = _running(tx, conversion_id, expected)
    if not conversion.paused:
        transitions.pause(tx, conversion, [Reason("conversion.asked", reason, "resume it")])
    return _changed(tx, conversion)


def resume(tx: Transaction, conversion_id: UUID, through: Phase, expected: int | None) -> wire.Conversion:
    """Go on; in the tail, with what was blocked or failed. What was alarming counts anew. Raises ConversionPhase."""
    conversion = _running(tx, conversion_id, expected)
    phase = Phase(conversion.phase)
    if phase in FORWARD and FORWARD.index(through) < FORWARD.index(phase):
        raise ConversionPhase(f"it is {phase}, past {through}")
    conversion.paused, conversion.through = [], through
    transitions.forgive(tx, conversion)
    return _changed(tx, conversion)


def abort(tx: Transaction, conversion_id: UUID, expected: int | None) -> wire.Conversion:
    """Bring every port back that is not sealed or routed by now. Raises ConversionPhase."""
    conversion = _running(tx, conversion_id, expected)
    operation = operations.get(tx, conversion.operation_id or "", lock=True)
    zone = nodes.zone(tx, conversion.zone, lock=True)
    assert operation is not None  # noqa: S101  both are never deleted
    assert zone is not None  # noqa: S101
    conversion.paused = []
    if conversion.phase != Phase.ABORTING:
        transitions.enter(tx, conversion, operation, zone, Phase.ABORTING)
    return _changed(tx, conversion)


def seal(tx: Transaction, conversion_id: UUID, expected: int | None) -> wire.Conversion:
    """Free the 10.x of every guest that has had its address for the soak time: the point of no return.

    Raises SoakUnfinished if there is none.
    """
    conversion = _conversion(tx, conversion_id, lock=True)
    check_revision(expected, conversion.revision)
    adopted = conversions.ports(tx, conversion.id, states=[PortState.ADOPTED])
    before = now() - timedelta(seconds=conversion.soak_s)
    due = {row.port_id: row for row in adopted if row.adopted_at is not None and row.adopted_at <= before}
    sealed = 0
    behind = entries.pending(tx, list(due))
    for port in instances.ports(tx, list(due), lock=True):
        # A mapping that a gateway may still hold would send a reused 10.x to a wrong tenant.
        if port.claim is None and not behind[port.id]:
            instances.free_node_addresses(tx, port)
            due[port.id].state = PortState.SEALED
            sealed += 1
    if not sealed:
        first = min((row.adopted_at for row in adopted if row.adopted_at), default=None)
        when = (
            f"the first at {first + timedelta(seconds=conversion.soak_s):%Y-%m-%d %H:%M:%S} UTC"
            if first
            else "none has adopted"
        )
        raise SoakUnfinished(f"no guest has had its address for {conversion.soak_s} s: {when}")
    return _changed(tx, conversion)


def _running(tx: Transaction, conversion_id: UUID, expected: int | None) -> Conversion:
    conversion = _conversion(tx, conversion_id, lock=True)
    check_revision(expected, conversion.revision)
    if conversion.operation_id is None or Phase(conversion.phase).over:
        raise ConversionPhase(f"it is {conversion.phase}{'' if conversion.operation_id else ', not started'}")
    return conversion


def _changed(tx: Transaction, conversion: Conversion) -> wire.Conversion:
    conversion.revision += 1
    tx.session.flush()
    tx.ring(bells.CONVERSION, str(conversion.id))
    return conversion_wire(tx, conversion)
