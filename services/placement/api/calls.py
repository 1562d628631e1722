"""Who may call, and what handlers are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from common.web import Call, changing, creating, reading
from services.ipam.client import IpamClient
from services.placement import wire
from services.placement.conversion.observer import Observer
from services.placement.errors import (
    CapacityExhausted,
    HypervisorsSilent,
    NodeFull,
    NodeUnknown,
    NodeUnsuitable,
    PrefixExhausted,
)
from services.placement.service.status import Surroundings
from services.placement.trace.gather import Tracer

Reader = Annotated[Call, Depends(reading("reader"))]
Member = Annotated[Call, Depends(changing("member"))]
MemberCreates = Annotated[Call, Depends(creating("member"))]
OperatorReads = Annotated[Call, Depends(reading("operator"))]
Operator = Annotated[Call, Depends(changing("operator"))]
OperatorCreates = Annotated[Call, Depends(creating("operator"))]

PLACING = (CapacityExhausted, HypervisorsSilent, NodeUnknown, NodeUnsuitable, NodeFull, PrefixExhausted)
"""What looking for a hypervisor with room may end in."""

ZoneFilter = Annotated[wire.Name | None, Query(description="Only of this zone.")]
NameFilter = Annotated[wire.Name | None, Query(description="Only what bears this name.")]


def _ledger(request: Request) -> IpamClient:
    client: IpamClient = request.app.state.ledger
    return client


def _observer(request: Request) -> Observer:
    observer: Observer = request.app.state.observer
    return observer


Ledger = Annotated[IpamClient, Depends(_ledger)]


def _tracer(request: Request) -> Tracer:
    tracer: Tracer = request.app.state.tracer
    return tracer


Tracing = Annotated[Tracer, Depends(_tracer)]
Observing = Annotated[Observer, Depends(_observer)]


def _around(request: Request) -> Surroundings:
    around: Surroundings = request.app.state.surroundings
    return around


Around = Annotated[Surroundings, Depends(_around)]
