"""Operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from common.web import Page, PagingDep, WaitSeconds, refuses, when_final
from services.ipam import wire
from services.ipam.api.calls import ProjectFilter, ReadCall, caller_of
from services.ipam.errors import OperationUnknown, ProjectNotYours
from services.ipam.service import attaching

router = APIRouter()


@router.get(
    "/operations",
    tags=["operations"],
    operation_id="listOperations",
    responses=refuses(ProjectNotYours),
)
def list_operations(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    resource: Annotated[wire.Text | None, Query(description="Path of the resource that is changed.")] = None,
    state: Annotated[wire.OperationState | None, Query(description="Only in this state.")] = None,
) -> Page[wire.Operation]:
    """List operations, the newest first."""
    return call.read(lambda tx: attaching.operations(tx, caller_of(call), page, project, resource, state))


@router.get(
    "/operations/{operation_id}",
    tags=["operations"],
    operation_id="getOperation",
    response_model=wire.Operation,
    responses=refuses(OperationUnknown),
)
async def get_operation(call: ReadCall, operation_id: wire.Text, wait_s: WaitSeconds = 0) -> Response:
    """Read an operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: attaching.operation(tx, caller_of(call), operation_id)), wait_s
    )
