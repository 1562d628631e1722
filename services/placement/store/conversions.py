"""Conversions of zones, their waves and ports, and the claims that carry them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, distinct, exists, func, or_, select, update

from common.db import Transaction, among
from services.netagent.wire import Kind as EntryKind
from services.placement import modes
from services.placement.conversion.phases import Phase, PortState
from services.placement.conversion.steps import CONVERSIONS, CONVERT, Stage, share
from services.placement.model import (
    Claim,
    Conversion,
    Instance,
    Node,
    NodeAddress,
    NodeEntry,
    Port,
    PortAddress,
    PortConversion,
    Prefix,
    Wave,
)
from services.placement.store import instances, operations
from services.placement.store.instances import Key

OVER = [phase.value for phase in Phase if phase.over]
OWNERS = "owners"
"""The wave of what owners convert themselves."""


class Batch(NamedTuple):
    """Ports that are stepped together: those of one wave on one node, `-` for archived ones."""

    wave: str
    node: str


# --- conversions -----------------------------------------------------------------------------------------------------


def get(tx: Transaction, conversion_id: UUID, *, lock: bool = False) -> Conversion | None:
    return tx.session.get(
        Conversion, conversion_id, with_for_update={"key_share": True} if lock else None, populate_existing=lock
    )


def of_zone(tx: Transaction, zone: str) -> Conversion | None:
    """The zone's latest conversion, over or not."""
    query = select(Conversion).where(Conversion.zone == zone).order_by(Conversion.created_at.desc()).limit(1)
    return tx.session.scalars(query).one_or_none()


def page(tx: Transaction, limit: int, after: Key, zone: str | None) -> list[Conversion]:
    """Newest first."""
    query = select(Conversion).order_by(Conversion.created_at.desc(), Conversion.id.desc()).limit(limit)
    if zone is not None:
        query = query.where(Conversion.zone == zone)
    if after:
        created_at, conversion_id = after
        query = query.where(
            or_(
                Conversion.created_at < created_at,
                and_(Conversion.created_at == created_at, Conversion.id < conversion_id),
            )
        )
    return list(tx.session.scalars(query))


def active(tx: Transaction) -> list[UUID]:
    """Started and not over."""
    query = select(Conversion.id).where(Conversion.phase.not_in(OVER), Conversion.operation_id.is_not(None))
    return list(tx.session.scalars(query))


# --- waves and their ports -------------------------------------------------------------------------------------------


def waves(tx: Transaction, conversion_id: UUID) -> list[Wave]:
    query = select(Wave).where(Wave.conversion_id == conversion_id).order_by(Wave.number)
    return list(tx.session.scalars(query.execution_options(populate_existing=True)))


def counts(tx: Transaction, conversion_id: UUID) -> dict[int, dict[PortState, int]]:
    """Ports by wave and state."""
    query = (
        select(PortConversion.wave, PortConversion.state, func.count())
        .where(PortConversion.conversion_id == conversion_id)
        .group_by(PortConversion.wave, PortConversion.state)
    )
    found: dict[int, dict[PortState, int]] = {}
    for wave, state, count in tx.session.execute(query):
        found.setdefault(wave, {})[PortState(state)] = count
    return found


class Sums(NamedTuple):
    """A conversion's ports, taken together."""

    verified: int
    first_checked: datetime | None
    last_verified: datetime | None
    probes_sent: int
    probes_lost: int
    attempts: int


def sums(tx: Transaction, conversion_id: UUID) -> Sums:
    query = select(
        func.count(PortConversion.verified_at),
        func.min(PortConversion.checked_at),
        func.max(PortConversion.verified_at),
        func.coalesce(func.sum(PortConversion.probes_sent), 0),
        func.coalesce(func.sum(PortConversion.probes_lost), 0),
        func.coalesce(func.sum(PortConversion.attempts), 0),
    )
    return Sums(*tx.session.execute(query.where(PortConversion.conversion_id == conversion_id)).one())


def changed_since(tx: Transaction, conversion_id: UUID, zone: str) -> str | None:
    """The name of an instance that is not as it was when the conversion was planned."""
    query = (
        select(PortConversion.name)
        .outerjoin(Instance, Instance.id == PortConversion.instance_id)
        .where(
            PortConversion.conversion_id == conversion_id,
            or_(Instance.id.is_(None), Instance.revision != PortConversion.planned_revision),
        )
    )
    changed = tx.session.scalars(query.limit(1)).first()
    if changed is not None:
        return changed
    new = unplanned(tx, conversion_id, zone)
    return new[0].instance.name if new else None


def current_wave(tx: Transaction, conversion: Conversion) -> Wave | None:
    """The first wave of its phase that has not ended."""
    query = select(Wave).where(
        Wave.conversion_id == conversion.id, Wave.phase == conversion.phase, Wave.ended_at.is_(None)
    )
    return tx.session.scalars(query.order_by(Wave.number).limit(1)).one_or_none()


def unfinished(tx: Transaction, wave: Wave) -> bool:
    """Whether a port of the wave waits for its turn or is between two modes."""
    states = [state for state in PortState if state.unfinished]
    query = select(PortConversion.port_id).where(
        PortConversion.conversion_id == wave.conversion_id,
        PortConversion.wave == wave.number,
        PortConversion.state.in_(states),
    )
    return tx.session.scalars(query.limit(1)).one_or_none() is not None


def public_of_wave(tx: Transaction, wave: Wave, states: Collection[PortState]) -> dict[Prefix, UUID]:
    """The public IPv4 addresses of a wave's running ports that are in one of these states, and where they run."""
    query = (
        select(PortAddress.prefix, Port.node_id)
        .join(Port, Port.id == PortAddress.port_id)
        .join(PortConversion, PortConversion.port_id == Port.id)
        .where(
            PortConversion.conversion_id == wave.conversion_id,
            PortConversion.wave == wave.number,
            PortConversion.state.in_(states),
            Port.node_id.is_not(None),
            func.family(PortAddress.prefix) == 4,
        )
    )
    return {prefix: node_id for prefix, node_id in tx.session.execute(query) if node_id}


def overdue(tx: Transaction, conversion_id: UUID, wave: int, before: datetime) -> int:
    """Ports of a wave whose claim has been at one stage since `before`."""
    query = select(func.count()).select_from(PortConversion).join(Claim, Claim.port_id == PortConversion.port_id)
    return tx.session.scalars(
        query.where(
            PortConversion.conversion_id == conversion_id, PortConversion.wave == wave, Claim.entered_at < before
        )
    ).one()


def ports(
    tx: Transaction,
    conversion_id: UUID,
    *,
    wave: int | None = None,
    states: Collection[PortState] | None = None,
    limit: int | None = None,
    after: Key = None,
) -> list[PortConversion]:
    """In the order of their names."""
    query = select(PortConversion).where(PortConversion.conversion_id == conversion_id)
    if wave is not None:
        query = query.where(PortConversion.wave == wave)
    if states is not None:
        query = query.where(PortConversion.state.in_(states))
    if after:
        name, port_id = after
        query = query.where(
            or_(PortConversion.name > name, and_(PortConversion.name == name, PortConversion.port_id > port_id))
        )
    query = query.order_by(PortConversion.name, PortConversion.port_id).limit(limit)
    return list(tx.session.scalars(query.execution_options(populate_existing=True)))


def add_ports(tx: Transaction, rows: Sequence[PortConversion]) -> None:
    tx.session.add_all(rows)
    tx.session.flush()


def requeue(tx: Transaction, conversion_id: UUID, wave: int) -> None:
    """Ports that were blocked or rolled back, or never had their turn, get it in this wave."""
    tx.session.execute(
        update(PortConversion)
        .where(
            PortConversion.conversion_id == conversion_id,
            PortConversion.state.in_([PortState.WAITING, PortState.BLOCKED, PortState.FAILED]),
        )
        .values(wave=wave, state=PortState.WAITING, reasons=[])
    )


def set_aside(tx: Transaction, conversion_id: UUID) -> None:
    """Ports that failed, and were looked at since, are out of the way until the tail, their reasons kept."""
    tx.session.execute(
        update(PortConversion)
        .where(PortConversion.conversion_id == conversion_id, PortConversion.state == PortState.FAILED)
        .values(state=PortState.BLOCKED)
    )


def allow_time(tx: Transaction, conversion_id: UUID, before: datetime) -> None:
    """Ports of a conversion that have been at one stage since `before` may be there as long again."""
    ports = select(PortConversion.port_id).where(PortConversion.conversion_id == conversion_id)
    tx.session.execute(
        update(Claim)
        .where(Claim.port_id.in_(ports), Claim.entered_at < before)
        .values(entered_at=func.clock_timestamp())
    )


def of_operations(tx: Transaction, operation_ids: Collection[str]) -> dict[str, PortConversion]:
    query = select(PortConversion).where(among(PortConversion.operation_id, operation_ids))
    return {row.operation_id: row for row in tx.session.scalars(query) if row.operation_id}


def row_of_port(tx: Transaction, port_id: UUID) -> PortConversion | None:
    """The port's row in its zone's conversion that was not given up."""
    return rows_of_ports(tx, [port_id]).get(port_id)


def rows_of_ports(tx: Transaction, port_ids: Collection[UUID]) -> dict[UUID, PortConversion]:
    query = select(PortConversion).join(Conversion).where(among(PortConversion.port_id, port_ids))
    return {row.port_id: row for row in tx.session.scalars(query.where(Conversion.phase != Phase.ABORTED))}


def _waiting(conversion_id: UUID, wave: int) -> ColumnElement[bool]:
    return and_(
        PortConversion.conversion_id == conversion_id,
        PortConversion.wave == wave,
        PortConversion.state == PortState.WAITING,
    )


def due(tx: Transaction, conversion_id: UUID, wave: int, limit: int) -> list[PortConversion]:
    """Ports of a wave that wait for their turn, and that nothing is changing: node by node, so that few have any."""
    busy = exists().where(Claim.port_id == PortConversion.port_id)
    query = select(PortConversion).outerjoin(Port, Port.id == PortConversion.port_id)
    query = query.where(_waiting(conversion_id, wave), ~busy).order_by(Port.node_id, PortConversion.port_id)
    return list(tx.session.scalars(query.limit(limit)))


def mark_busy(tx: Transaction, conversion_id: UUID, wave: int) -> None:
    """Say of ports that something else is changing what they wait for."""
    text = func.concat("it is being changed by ", Claim.operation_id)
    reason = func.jsonb_build_object("code", "conversion.busy", "text", text, "remedy", "wait for it")
    tx.session.execute(
        update(PortConversion)
        .where(_waiting(conversion_id, wave), Claim.port_id == PortConversion.port_id)
        .values(reasons=func.jsonb_build_array(reason))
        .execution_options(synchronize_session=False)
    )


# --- the ports of a zone ---------------------------------------------------------------------------------------------


def _of_zone(zone: str) -> ColumnElement[bool]:
    return Port.target_id.in_(select(Instance.id).where(Instance.zone == zone))


def ports_in(tx: Transaction, zone: str, mode: str) -> list[Port]:
    query = select(Port).where(_of_zone(zone), Port.mode == mode).order_by(Port.id)
    return list(tx.session.scalars(query))


def _ours(tx: Transaction, query: Select[UUID]) -> list[Port]:
    """The ports of a query, locked."""
    return instances.ports(tx, list(tx.session.scalars(query)), lock=True)


def converting(tx: Transaction, zone: str) -> list[Port]:
    """The zone's ports that are on the way there, locked."""
    query = select(Claim.port_id).join(Port, Port.id == Claim.port_id).where(_of_zone(zone), Claim.kind == CONVERT)
    return [port for port in _ours(tx, query) if port.claim is not None and port.claim.kind == CONVERT]


def to_revert(tx: Transaction, zone: str, limit: int) -> list[Port]:
    """The zone's `hostnat` ports that nothing is changing, locked."""
    claimed = exists().where(Claim.port_id == Port.id)
    query = select(Port.id).where(_of_zone(zone), Port.mode == modes.HOSTNAT, ~claimed).order_by(Port.id).limit(limit)
    return [port for port in _ours(tx, query) if port.claim is None and port.mode == modes.HOSTNAT]


def unreverted(tx: Transaction, zone: str) -> int:
    """The zone's ports that are in mode `hostnat`, or between it and `nat`."""
    between = exists().where(Claim.port_id == Port.id, Claim.kind.in_(CONVERSIONS))
    query = select(func.count()).select_from(Port).where(_of_zone(zone), or_(Port.mode == modes.HOSTNAT, between))
    return tx.session.scalars(query).one()


def moving(tx: Transaction, conversion_id: UUID) -> int:
    """Ports of a conversion that are between two modes."""
    states = [state for state in PortState if state.moving]
    query = select(func.count()).select_from(PortConversion)
    return tx.session.scalars(
        query.where(PortConversion.conversion_id == conversion_id, PortConversion.state.in_(states))
    ).one()


def count_in(tx: Transaction, zone: str, *of_modes: str) -> int:
    query = select(func.count()).select_from(Port).where(_of_zone(zone), Port.mode.in_(of_modes))
    return tx.session.scalars(query).one()


def unplanned(tx: Transaction, conversion_id: UUID, zone: str) -> list[Port]:
    """NAT ports of the zone that have no row: made since it was planned."""
    known = select(PortConversion.port_id).where(PortConversion.conversion_id == conversion_id)
    query = select(Port).where(_of_zone(zone), Port.mode == modes.NAT, Port.id.not_in(known)).order_by(Port.id)
    return list(tx.session.scalars(query))


def mappings(tx: Transaction, zone: str) -> int:
    """Mappings that the zone's gateways hold, or have not yet read back to be gone."""
    gateways = select(Node.id).where(Node.zone == zone, Node.role == "gateway")
    kinds = (int(EntryKind.INBOUND), int(EntryKind.OUTBOUND))
    query = select(func.count()).select_from(NodeEntry)
    return tx.session.scalars(
        query.where(NodeEntry.node_id.in_(gateways), NodeEntry.kind.in_(kinds), ~NodeEntry.removed)
    ).one()


# --- legacy IPv6 -----------------------------------------------------------------------------------------------------


class Legacy(NamedTuple):
    """A legacy prefix that the ledger is to own."""

    prefix: str
    port_id: UUID
    kind: str
    target_id: UUID
    project: str
    name: str


def _legacy(zone: str) -> ColumnElement[bool]:
    return and_(NodeAddress.zone == zone, NodeAddress.port_id.is_not(None), func.family(NodeAddress.prefix) == 6)


def uncarried(tx: Transaction, zone: str) -> int:
    """Legacy prefixes that ports hold and the ledger does not own."""
    return tx.session.scalars(select(func.count()).select_from(NodeAddress).where(_legacy(zone))).one()


def keep_legacy(tx: Transaction, zone: str) -> None:
    """From now on they stay with their ports on moves. One that is moving now is taken when it has moved."""
    held = select(NodeAddress.port_id).where(_legacy(zone), ~NodeAddress.carried)
    port_ids = tx.session.scalars(
        select(Port.id).where(Port.id.in_(held)).order_by(Port.id).with_for_update(key_share=True, skip_locked=True)
    ).all()
    claimed = exists().where(Claim.port_id == NodeAddress.port_id)  # asked once the ports are ours: no move begins
    tx.session.execute(
        update(NodeAddress)
        .where(_legacy(zone), NodeAddress.port_id.in_(port_ids), ~claimed)
        .values(carried=True)
        .execution_options(synchronize_session=False)
    )


def legacy_to_carry(tx: Transaction, zone: str, limit: int, after: Legacy | None) -> list[Legacy]:
    """The next ones, in the order of their prefixes."""
    query = (
        select(NodeAddress.prefix, Port.id, Port.kind, Port.target_id, Instance.project, Instance.name)
        .join(Port, Port.id == NodeAddress.port_id)
        .join(Instance, Instance.id == Port.target_id)
        .where(_legacy(zone), NodeAddress.carried)
        .order_by(NodeAddress.prefix)
        .limit(limit)
    )
    if after is not None:
        query = query.where(NodeAddress.prefix > ip_network(after.prefix))
    return [
        Legacy(str(prefix), port_id, kind, target_id, project, name)
        for prefix, port_id, kind, target_id, project, name in tx.session.execute(query)
    ]


# --- claims ----------------------------------------------------------------------------------------------------------


def batches(
    tx: Transaction, port_ids: Collection[UUID] | None = None, steps: Collection[str] | None = None
) -> list[Batch]:
    """What is being converted; of these ports, or at these stages, alone."""
    query = select(distinct(Claim.wave), Claim.source_id).where(Claim.kind.in_(CONVERSIONS))
    if port_ids is not None:
        query = query.where(Claim.port_id.in_(port_ids))
    if steps is not None:
        query = query.where(Claim.step.in_(steps))
    return [Batch(wave, str(node or "-")) for wave, node in tx.session.execute(query)]


def enter(tx: Transaction, kind: str, stage: Stage, port_ids: Collection[UUID]) -> None:
    """The claims of these ports, all of `kind`, are at `stage` from now on; their Operations say so."""
    at, name = datetime.now(UTC), stage.name.lower()
    tx.session.flush()
    tx.session.execute(
        update(Claim)
        .where(among(Claim.port_id, port_ids))
        .values(step=name, settled_at=None, entered_at=at)
        .execution_options(synchronize_session="fetch")
    )
    operation_ids = select(Claim.operation_id).where(among(Claim.port_id, port_ids))
    operations.reach(tx, operation_ids, name, share(kind, stage), at)
    if (kind, stage) == (CONVERT, Stage.CHECKED):
        rows = update(PortConversion).where(PortConversion.operation_id.in_(operation_ids)).values(checked_at=at)
        tx.session.execute(rows.execution_options(synchronize_session=False))


def claimed(tx: Transaction, batch: Batch, limit: int, after: UUID | None) -> list[UUID]:
    """The ports of a batch, in the order of their ids."""
    query = select(Claim.port_id).where(Claim.kind.in_(CONVERSIONS), Claim.wave == batch.wave).order_by(Claim.port_id)
    query = query.where(Claim.source_id.is_(None) if batch.node == "-" else Claim.source_id == UUID(batch.node))
    return list(tx.session.scalars((query.where(Claim.port_id > after) if after else query).limit(limit)))
