"""What is kept of changes: operations, the history of holders, the audit chain of each address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import and_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import Range

from common.db import Transaction
from services.ipam.model import Audit, Cidr, FlexibleIP, Holding, Operation, Target, new_id
from services.ipam.store.supply import Key

# --- operations ------------------------------------------------------------------------------------------------------


def open_operation(tx: Transaction, kind: str, fip: FlexibleIP) -> Operation:
    return open_operations(tx, kind, [fip])[0]


def open_operations(tx: Transaction, kind: str, fips: Iterable[FlexibleIP]) -> list[Operation]:
    """One for each of `fips`, in their order."""
    now = datetime.now(UTC)
    opened = [
        Operation(
            id=f"ipam-{new_id()}",
            kind=kind,
            resource=fip.path,
            project=fip.project,
            state="pending",
            progress=0.0,
            steps=[],
            created_at=now,
            updated_at=now,
        )
        for fip in fips
    ]
    tx.session.add_all(opened)
    tx.session.flush()
    return opened


def operation(tx: Transaction, operation_id: str, project: str | None) -> Operation | None:
    query = select(Operation).where(Operation.id == operation_id)
    if project is not None:
        query = query.where(Operation.project == project)
    return tx.session.scalar(query.execution_options(populate_existing=True))


def operations_by_id(tx: Transaction, ids: Iterable[str]) -> dict[str, Operation]:
    wanted = set(ids)
    if not wanted:
        return {}
    query = select(Operation).where(Operation.id.in_(wanted)).order_by(Operation.id).with_for_update()
    rows = tx.session.scalars(query.execution_options(populate_existing=True))
    return {row.id: row for row in rows}


def operations(
    tx: Transaction,
    limit: int,
    after: Key,
    project: str | None,
    resource: str | None,
    state: str | None,
) -> Sequence[Operation]:
    """The newest first."""
    query = select(Operation).order_by(Operation.id.desc()).limit(limit)
    if after is not None:
        query = query.where(Operation.id < after[0])
    for column, value in ((Operation.project, project), (Operation.resource, resource), (Operation.state, state)):
        if value is not None:
            query = query.where(column == value)
    return tx.session.scalars(query).all()


# --- holders ---------------------------------------------------------------------------------------------------------


def open_holding(tx: Transaction, fip: FlexibleIP, target: Target | None, at: datetime) -> None:
    tx.session.add(
        Holding(
            address=fip.address,
            flexible_ip_id=fip.id,
            project=fip.project,
            target_kind=target.kind if target else None,
            target_id=target.id if target else None,
            held_during=Range(at, None),
        )
    )


def close_holding(tx: Transaction, fip: FlexibleIP, at: datetime) -> datetime:
    """End the present holder's time; the moment it ended, from which the next begins."""
    since = func.lower(Holding.held_during)
    until = func.greatest(since, literal(at))
    statement = (
        update(Holding)
        .where(Holding.flexible_ip_id == fip.id, func.upper_inf(Holding.held_during))
        .values(held_during=func.tstzrange(since, until))
        .returning(func.upper(Holding.held_during))
        .execution_options(synchronize_session=False)
    )
    return tx.session.execute(statement).scalar() or at


def change_holder(tx: Transaction, fip: FlexibleIP, target: Target | None, at: datetime) -> None:
    open_holding(tx, fip, target, close_holding(tx, fip, at))


def holdings(
    tx: Transaction,
    limit: int,
    after: Key,
    project: str | None,
    address: str | None,
    at: datetime | None,
) -> Sequence[Holding]:
    """The newest first."""
    since = func.lower(Holding.held_during)
    query = select(Holding).where(~func.isempty(Holding.held_during)).order_by(since.desc(), Holding.id.desc())
    query = query.limit(limit)
    if after is not None:
        moment, last = after
        query = query.where(or_(since < moment, and_(since == moment, Holding.id < last)))
    if project is not None:
        query = query.where(Holding.project == project)
    if address is not None:
        query = query.where(Holding.address.op("&&")(literal(address, Cidr)))
    if at is not None:
        query = query.where(Holding.held_during.contains(at))
    return tx.session.scalars(query).all()


# --- audit -----------------------------------------------------------------------------------------------------------


def last_audit(tx: Transaction, address: str) -> tuple[int, str] | None:
    query = select(Audit.number, Audit.hash).where(Audit.address == address).order_by(Audit.number.desc()).limit(1)
    row = tx.session.execute(query).first()
    return None if row is None else (row.number, row.hash)


def add_audit(tx: Transaction, record: Audit) -> None:
    tx.session.add(record)


def audit(tx: Transaction, fip_id: UUID, limit: int, after: Key) -> Sequence[Audit]:
    query = select(Audit).where(Audit.flexible_ip_id == fip_id).order_by(Audit.number).limit(limit)
    if after is not None:
        query = query.where(Audit.number > after[0])
    return tx.session.scalars(query).all()
