"""Operations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, literal, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB

from common.db import Transaction, among
from common.operations import OperationState
from services.placement.model import Operation
from services.placement.store.instances import Key


def uuid_of(operation_id: str) -> UUID:
    """An Operation's id as agents are told it."""
    return UUID(operation_id.removeprefix("placement-"))


def add(tx: Transaction, kind: str, resource: str, project: str, step: str) -> Operation:
    return add_all(tx, kind, [(resource, project)], step)[0]


def add_all(tx: Transaction, kind: str, of: Sequence[tuple[str, str]], step: str) -> list[Operation]:
    """An Operation for each (resource, project); they wait at `step` to be taken on."""
    added = []
    for resource, project in of:
        operation = Operation(id=f"placement-{uuid4()}", kind=kind, resource=resource, project=project, steps=[])
        operation.reach(step, 0.0)
        operation.state = OperationState.PENDING
        added.append(operation)
    tx.session.add_all(added)
    tx.session.flush()
    return added


def get(tx: Transaction, operation_id: str, project: str | None = None, *, lock: bool = False) -> Operation | None:
    query = select(Operation).where(Operation.id == operation_id).execution_options(populate_existing=True)
    if project is not None:
        query = query.where(Operation.project == project)
    return tx.session.scalars(query.with_for_update() if lock else query).one_or_none()


def named(tx: Transaction, ids: Collection[str]) -> dict[str, Operation]:
    query = select(Operation).where(among(Operation.id, ids)).execution_options(populate_existing=True)
    return {row.id: row for row in tx.session.scalars(query)}


def reach(tx: Transaction, ids: Select[str], step: str, progress: float, at: datetime) -> None:
    """As `OperationColumns.reach` of each; what the session holds of them is not brought up to date."""
    reached = literal([{"name": step, "at": at.isoformat()}], JSONB)
    tx.session.execute(
        update(Operation)
        .where(Operation.id.in_(ids))
        .values(
            state=OperationState.RUNNING,
            waiting_for=null(),
            progress=progress,
            steps=Operation.steps.op("||")(reached),
            updated_at=at,
        )
        .execution_options(synchronize_session=False)
    )


def page(
    tx: Transaction, limit: int, after: Key, project: str | None, resource: str | None, state: str | None
) -> list[Operation]:
    """Newest first."""
    query = select(Operation).order_by(Operation.created_at.desc(), Operation.id.desc()).limit(limit)
    if project is not None:
        query = query.where(Operation.project == project)
    if resource is not None:
        query = query.where(Operation.resource == resource)
    if state is not None:
        query = query.where(Operation.state == state)
    if after:
        query = query.where(tuple_(Operation.created_at, Operation.id) < after)
    return list(tx.session.scalars(query))
