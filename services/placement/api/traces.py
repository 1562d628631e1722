"""Where packets for an address go."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from common.http import Unreachable
from common.web import refuses
from services.placement import wire
from services.placement.api.calls import OperatorReads, Reader, Tracing
from services.placement.errors import AddressAmbiguous, AddressMalformed, AddressUnknown, PortUnknown
from services.placement.trace.present import reachability_wire, trace_wire

router = APIRouter()


@router.get(
    "/trace",
    operation_id="traceAddress",
    tags=["traces"],
    response_model=wire.Trace,
    responses=refuses(AddressMalformed, AddressUnknown, AddressAmbiguous, Unreachable),
)
def trace_address(
    call: OperatorReads,  # noqa: ARG001  whose role is all that is asked
    tracer: Tracing,
    address: Annotated[wire.Text, Query(description="An IPv4 or IPv6 address, or an IPv6 prefix.")],
    zone: Annotated[wire.Name | None, Query(description="For a private address that several zones have.")] = None,
) -> wire.Trace:
    """Trace one address through ledger, controller and kernels, in both directions."""
    return trace_wire(tracer.trace(address, zone))


@router.get(
    "/ports/{port_id}/reachability",
    operation_id="getPortReachability",
    tags=["traces"],
    response_model=wire.Reachability,
    responses=refuses(PortUnknown),
)
def get_port_reachability(port_id: UUID, call: Reader, tracer: Tracing) -> wire.Reachability:
    """Whether packets reach each address of a port, as its nodes' kernels are now."""
    return reachability_wire(*tracer.reachability(call.principal, port_id))
