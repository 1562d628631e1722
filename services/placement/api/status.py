"""The controller itself."""

from __future__ import annotations

from fastapi import APIRouter

from services.placement import wire
from services.placement.api.calls import Around, OperatorReads
from services.placement.service import status

router = APIRouter()


@router.get("/status", operation_id="getControllerStatus", tags=["status"])
def get_status(call: OperatorReads, around: Around) -> wire.ControllerStatus:
    """Tell versions, clock, broker, queues and their workers, certificates, and the oldest undone Operations."""
    queues, certificates = around.queues(), around.certificates()
    return call.read(lambda tx: status.of(tx, queues, certificates))
