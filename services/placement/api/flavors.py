"""Sizes of instances."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.web import Page, PagingDep, refuses, resource
from services.placement import wire
from services.placement.api.calls import Operator, OperatorCreates, Reader
from services.placement.errors import FlavorInUse, FlavorTaken, FlavorUnknown
from services.placement.service import flavors

router = APIRouter()


@router.post(
    "/flavors",
    operation_id="createFlavor",
    tags=["flavors"],
    status_code=201,
    response_model=wire.Flavor,
    responses=refuses(FlavorTaken),
)
def create_flavor(body: wire.FlavorCreate, call: OperatorCreates) -> Response:
    """Make a flavour."""
    return call.run(lambda tx: flavors.create_flavor(tx, body), 201)


@router.get("/flavors", operation_id="listFlavors", tags=["flavors"])
def list_flavors(call: Reader, paging: PagingDep) -> Page[wire.Flavor]:
    """List the flavours."""
    return call.read(lambda tx: flavors.list_flavors(tx, paging))


@router.get(
    "/flavors/{name}",
    operation_id="getFlavor",
    tags=["flavors"],
    response_model=wire.Flavor,
    responses=refuses(FlavorUnknown),
)
def get_flavor(name: wire.Name, call: Reader) -> Response:
    """Read a flavour."""
    return resource(call.read(lambda tx: flavors.get_flavor(tx, name)))


@router.delete(
    "/flavors/{name}",
    operation_id="deleteFlavor",
    tags=["flavors"],
    response_model=wire.Flavor,
    responses=refuses(FlavorUnknown, FlavorInUse),
)
def delete_flavor(name: wire.Name, call: Operator) -> Response:
    """Delete a flavour that no instance has; answers what it was."""
    return call.run(lambda tx: flavors.delete_flavor(tx, name, call.expected_revision))
