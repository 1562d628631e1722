"""Operations, as their projects see them."""

from __future__ import annotations

from datetime import datetime

from common.auth import Principal
from common.db import Transaction
from common.web import Page, Paging
from services.placement import wire
from services.placement.errors import OperationUnknown
from services.placement.model import Operation
from services.placement.store import operations


def project_of(principal: Principal) -> str | None:
    """The project a caller is confined to; None sees all."""
    return None if principal.sees_all_projects else principal.project


def operation_wire(operation: Operation) -> wire.Operation:
    return wire.Operation.model_validate(operation)


def get_operation(tx: Transaction, principal: Principal, operation_id: str) -> wire.Operation:
    operation = operations.get(tx, operation_id, project_of(principal))
    if operation is None:
        raise OperationUnknown(f"there is no operation {operation_id!r}")
    return operation_wire(operation)


def list_operations(
    tx: Transaction, principal: Principal, paging: Paging, resource: str | None, state: wire.OperationState | None
) -> Page[wire.Operation]:
    found = operations.page(
        tx, paging.limit + 1, paging.key(datetime.fromisoformat, str), project_of(principal), resource, state
    )
    return paging.page(
        [operation_wire(item) for item in found], key=lambda item: [item.created_at.isoformat(), item.id]
    )
