"""Flexible IPs, targets and what joins them. Locks are taken in one order: flexible IPs by id, then targets by key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, and_, case, exists, func, or_, select, tuple_, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased, contains_eager, joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from common.db import Transaction
from services.ipam.model import Attachment, Candidate, FlexibleIP, Pool, Target
from services.ipam.store.supply import Key
from services.ipam.wire import FlexibleIPFilter, FlexibleIPState, TargetPut, TargetRef


def clock(tx: Transaction) -> datetime:
    """The database's time now; asked for once the locks are held, it never runs behind what is already recorded."""
    return tx.session.scalars(select(func.clock_timestamp(type_=DateTime(timezone=True)))).one()


def _whole() -> tuple[ORMOption, ...]:
    return (
        joinedload(FlexibleIP.pool),
        selectinload(FlexibleIP.attachments).joinedload(Attachment.target, innerjoin=True),
    )


def _visible() -> ColumnElement[bool]:
    return or_(FlexibleIP.released_at.is_(None), FlexibleIP.quarantined_until > func.now())


def _of(project: str | None) -> list[ColumnElement[bool]]:
    return [] if project is None else [FlexibleIP.project == project]


def flexible_ip(tx: Transaction, fip_id: UUID, project: str | None) -> FlexibleIP | None:
    query = select(FlexibleIP).where(FlexibleIP.id == fip_id, _visible(), *_of(project))
    return tx.session.scalar(query.options(*_whole()))


def lock_flexible_ip(tx: Transaction, fip_id: UUID, project: str | None) -> FlexibleIP | None:
    query = select(FlexibleIP).where(FlexibleIP.id == fip_id, _visible(), *_of(project))
    return tx.session.scalar(
        query.options(*_whole()).with_for_update(of=FlexibleIP).execution_options(populate_existing=True)
    )


def lock_flexible_ips(tx: Transaction, ids: Iterable[UUID]) -> list[FlexibleIP]:
    wanted = sorted(ids)
    if not wanted:
        return []
    query = select(FlexibleIP).where(FlexibleIP.id.in_(wanted)).order_by(FlexibleIP.id).options(*_whole())
    return list(tx.session.scalars(query.with_for_update(of=FlexibleIP).execution_options(populate_existing=True)))


def carried(tx: Transaction, prefixes: Collection[str]) -> Sequence[FlexibleIP]:
    """Those of `prefixes` that are adopted, held or resting."""
    query = select(FlexibleIP).where(FlexibleIP.address.in_(prefixes), FlexibleIP.adopted_id.is_not(None), _visible())
    return tx.session.scalars(query.options(*_whole())).all()


def flexible_ips(tx: Transaction, shown: FlexibleIPFilter, limit: int, after: Key) -> Sequence[FlexibleIP]:
    query = select(FlexibleIP).where(_visible(), *_of(shown.project)).order_by(FlexibleIP.id).limit(limit)
    if after is not None:
        query = query.where(FlexibleIP.id > after[0])
    whole = (*_whole(), selectinload(FlexibleIP.stored_candidates))
    return tx.session.scalars(_filtered(query, shown).options(*whole)).all()


def _filtered(query: Select[FlexibleIP], shown: FlexibleIPFilter) -> Select[FlexibleIP]:
    if shown.zone is not None:
        query = query.where(FlexibleIP.zone == shown.zone)
    if shown.pool is not None:
        query = query.where(FlexibleIP.pool_id.in_(select(Pool.id).where(Pool.name == shown.pool)))
    if shown.family is not None:
        query = query.where(FlexibleIP.family == shown.family)
    if shown.name is not None:
        query = query.where(FlexibleIP.name == shown.name)
    if shown.address is not None:
        query = query.where(FlexibleIP.address == shown.address)
    if shown.target is not None:
        kind, target_id = shown.target
        query = query.where(_attached(Attachment.target_kind == kind, Attachment.target_id == target_id))
    if shown.label:
        query = query.where(FlexibleIP.labels.contains(shown.label))
    if shown.ids is not None:
        query = query.where(FlexibleIP.id.in_(shown.ids))
    if shown.state is not None:
        query = query.where(_in_state(shown.state))
    return query


def _attached(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        Attachment.flexible_ip_id == FlexibleIP.id,
        Target.kind == Attachment.target_kind,
        Target.id == Attachment.target_id,
        *conditions,
    )


def _in_state(state: FlexibleIPState) -> ColumnElement[bool]:
    """`FlexibleIP.state` as a condition; a test holds the two against each other."""
    waits, leaves = _attached(Attachment.appeared.is_(None)), _attached(Attachment.vanished.is_not(None))
    listed: Any = and_(Attachment.appeared.is_not(None), Attachment.vanished.is_(None))
    held = FlexibleIP.released_at.is_(None)
    conditions: dict[FlexibleIPState, ColumnElement[bool]] = {
        FlexibleIPState.QUARANTINED: ~held,
        FlexibleIPState.RESERVED: and_(held, ~_attached()),
        FlexibleIPState.MOVING: waits,
        FlexibleIPState.DETACHING: and_(leaves, ~waits),
        FlexibleIPState.ATTACHED: _attached(listed, Attachment.appeared <= Target.realized_revision),
        FlexibleIPState.ATTACHING: _attached(listed, Attachment.appeared > Target.realized_revision),
    }
    return conditions[state]


def counts(tx: Transaction) -> dict[tuple[str, ...], float]:
    """How many flexible IPs there are, by state and family; none that is free again.

    Joined, for here `_in_state` would look up each address by itself.
    """
    present, waiting = aliased(Attachment), aliased(Attachment)
    state = case(
        (FlexibleIP.released_at.is_not(None), FlexibleIPState.QUARANTINED),
        (present.flexible_ip_id.is_(None), FlexibleIPState.RESERVED),
        (waiting.flexible_ip_id.is_not(None), FlexibleIPState.MOVING),
        (present.vanished.is_not(None), FlexibleIPState.DETACHING),
        (present.appeared <= Target.realized_revision, FlexibleIPState.ATTACHED),
        else_=FlexibleIPState.ATTACHING,
    ).label("state")
    query = (
        select(state, FlexibleIP.family, func.count())
        .outerjoin(present, and_(present.flexible_ip_id == FlexibleIP.id, present.appeared.is_not(None)))
        .outerjoin(waiting, and_(waiting.flexible_ip_id == FlexibleIP.id, waiting.appeared.is_(None)))
        .outerjoin(Target, and_(Target.kind == present.target_kind, Target.id == present.target_id))
        .where(_visible())
        .group_by(state, FlexibleIP.family)
    )
    return {(of, family): count for of, family, count in tx.session.execute(query)}


# --- targets ---------------------------------------------------------------------------------------------------------


def target(tx: Transaction, kind: str, target_id: UUID) -> Target | None:
    return tx.session.get(Target, (kind, target_id))


def lock_targets(tx: Transaction, keys: Iterable[tuple[str, UUID]]) -> dict[tuple[str, UUID], Target]:
    """Those of `keys` that exist, locked in the order of their keys."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    query = select(Target).where(tuple_(Target.kind, Target.id).in_(wanted)).order_by(Target.kind, Target.id)
    rows = tx.session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return {(row.kind, row.id): row for row in rows}


def targets(
    tx: Transaction, limit: int, after: Key, kind: str | None, project: str | None, lagging: bool
) -> Sequence[Target]:
    query = select(Target).order_by(Target.kind, Target.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(Target.kind, Target.id) > tuple_(*after))
    if kind is not None:
        query = query.where(Target.kind == kind)
    if project is not None:
        query = query.where(Target.project == project)
    if lagging:
        query = query.where(Target.realized_revision < Target.addresses_revision)
    return tx.session.scalars(query).all()


def lagging(tx: Transaction) -> int:
    query = select(func.count()).select_from(Target).where(Target.realized_revision < Target.addresses_revision)
    return tx.session.scalars(query).one()


def attachments_of(tx: Transaction, kind: str, target_id: UUID) -> Sequence[Attachment]:
    """All of a target's: those waiting and leaving too, in the order they were attached."""
    query = (
        select(Attachment)
        .join(Attachment.flexible_ip)
        .where(Attachment.target_kind == kind, Attachment.target_id == target_id)
        .order_by(Attachment.appeared, Attachment.id)
        .options(contains_eager(Attachment.flexible_ip))
    )
    return tx.session.scalars(query).all()


def leaving(tx: Transaction, kind: str, target_id: UUID, revision: int) -> set[UUID]:
    """The flexible IPs whose withdrawal from a target `revision` of its AddressSet includes."""
    query = select(Attachment.flexible_ip_id).where(
        Attachment.target_kind == kind, Attachment.target_id == target_id, Attachment.vanished <= revision
    )
    return set(tx.session.scalars(query))


def on(tx: Transaction, kind: str, target_id: UUID) -> set[UUID]:
    """The flexible IPs with any tie to a target: held, leaving, waiting, or with it as a candidate."""
    held, may_come = (
        select(tie.flexible_ip_id).where(tie.target_kind == kind, tie.target_id == target_id)
        for tie in (Attachment, Candidate)
    )
    return set(tx.session.scalars(union(held, may_come)))


def register(tx: Transaction, kind: str, target_id: UUID, put: TargetPut) -> bool:
    """Add a target unless it exists; whether it was added."""
    statement = insert(Target).values(
        kind=kind,
        id=target_id,
        project=put.project,
        zone=put.zone,
        name=put.name,
        limit_ipv4=put.limit_ipv4,
        limit_ipv6=put.limit_ipv6,
        revision=1,
        addresses_revision=0,
        realized_revision=0,
    )
    statement = statement.on_conflict_do_nothing(index_elements=[Target.kind, Target.id])
    return tx.session.execute(statement.returning(Target.id)).scalar() is not None


def others_on(tx: Transaction, target: Target, than: FlexibleIP) -> int:
    """How many other addresses of the same family count against the target's limit.

    Those it holds, those that wait for it, and those that it is a candidate for.
    """
    held = select(Attachment.flexible_ip_id).where(
        Attachment.target_kind == target.kind, Attachment.target_id == target.id, Attachment.vanished.is_(None)
    )
    may_come = select(Candidate.flexible_ip_id).where(
        Candidate.target_kind == target.kind, Candidate.target_id == target.id
    )
    query = select(func.count()).where(
        FlexibleIP.id.in_(union(held, may_come)),
        FlexibleIP.id != than.id,
        FlexibleIP.family == than.family,
        FlexibleIP.adopted_id.is_(None),
    )
    return tx.session.scalars(query).one()


def still_leaving(tx: Transaction, operation_id: str) -> list[tuple[str, TargetRef]]:
    """The addresses of an operation whose withdrawal is not realised, and their targets."""
    query = (
        select(FlexibleIP.address, Attachment.target_kind, Attachment.target_id)
        .join(Attachment.flexible_ip)
        .where(Attachment.operation_id == operation_id, Attachment.vanished.is_not(None))
    )
    return [(address, TargetRef(kind=kind, id=target_id)) for address, kind, target_id in tx.session.execute(query)]


def all_realized(tx: Transaction, operation_id: str) -> bool:
    """Whether every address of an operation has arrived, and its nodes have read it back."""
    arrived: Any = and_(Attachment.vanished.is_(None), Attachment.appeared <= Target.realized_revision)
    query = select(func.bool_and(func.coalesce(arrived, False))).join(Attachment.target)
    return bool(tx.session.scalar(query.where(Attachment.operation_id == operation_id)))


def successors(tx: Transaction, kind: str, target_id: UUID) -> set[tuple[str, UUID]]:
    """The targets that wait for an address this one gives up."""
    leaving = select(Attachment.flexible_ip_id).where(
        Attachment.target_kind == kind, Attachment.target_id == target_id, Attachment.vanished.is_not(None)
    )
    query = select(Attachment.target_kind, Attachment.target_id).where(
        Attachment.flexible_ip_id.in_(leaving), Attachment.appeared.is_(None)
    )
    return {(row.target_kind, row.target_id) for row in tx.session.execute(query)}
