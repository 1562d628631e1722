"""The ledger itself."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.ipam import wire
from services.ipam.api.calls import OperatorReadCall
from services.ipam.service import supply

router = APIRouter()


@router.get("/status", tags=["status"], operation_id="getLedgerStatus")
def get_status(call: OperatorReadCall, request: Request) -> wire.LedgerStatus:
    """Tell versions, clock, broker, the oldest undone Operations, and what pools have left."""
    broker = bool(request.app.state.waiting())
    return call.read(lambda tx: supply.status(tx, broker=broker))
