"""Operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from common.web import Page, PagingDep, WaitSeconds, refuses, when_final
from services.placement import wire
from services.placement.api.calls import MemberCreates, OperatorCreates, Reader
from services.placement.errors import OperationFixed, OperationUnknown
from services.placement.service import cancelling, operations

router = APIRouter()


@router.get("/operations", operation_id="listOperations", tags=["operations"])
def list_operations(
    call: Reader,
    paging: PagingDep,
    resource_: Annotated[
        wire.Text | None, Query(alias="resource", description="Path of the resource that is changed.")
    ] = None,
    state: Annotated[wire.OperationState | None, Query(description="Only in this state.")] = None,
) -> Page[wire.Operation]:
    """List operations, the newest first."""
    return call.read(lambda tx: operations.list_operations(tx, call.principal, paging, resource_, state))


@router.get(
    "/operations/{operation_id}",
    operation_id="getOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown),
)
async def get_operation(operation_id: wire.Text, call: Reader, wait_s: WaitSeconds = 0) -> Response:
    """Read an operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: operations.get_operation(tx, call.principal, operation_id)), wait_s
    )


@router.post(
    "/operations/{operation_id}:cancel",
    operation_id="cancelOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def cancel_operation(operation_id: wire.Text, call: MemberCreates) -> Response:
    """End it before its point of no return."""
    return call.run(lambda tx: cancelling.cancel(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:pause",
    operation_id="pauseOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def pause_operation(operation_id: wire.Text, call: OperatorCreates) -> Response:
    """Begin no more of a drain's moves."""
    return call.run(lambda tx: cancelling.pause(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:resume",
    operation_id="resumeOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def resume_operation(operation_id: wire.Text, call: OperatorCreates) -> Response:
    """Go on with a paused drain."""
    return call.run(lambda tx: cancelling.resume(tx, call.principal, operation_id))
