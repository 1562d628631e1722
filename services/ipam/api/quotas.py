"""How many addresses a project may hold."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.web import Page, PagingDep, refuses
from services.ipam import wire
from services.ipam.api.calls import OperatorCall, Project, ProjectFilter, ReadCall, caller_of
from services.ipam.errors import ProjectNotYours
from services.ipam.service import supply

router = APIRouter()


@router.get(
    "/quotas",
    tags=["quotas"],
    operation_id="listQuotas",
    responses=refuses(ProjectNotYours),
)
def list_quotas(call: ReadCall, page: PagingDep, project: ProjectFilter = None) -> Page[wire.Quota]:
    """List quotas and what is held of them."""
    return call.read(lambda tx: supply.quotas(tx, caller_of(call), page, project))


@router.put("/quotas/{project}/{family}", tags=["quotas"], operation_id="putQuota", response_model=wire.Quota)
def put_quota(call: OperatorCall, project: Project, family: wire.Family, body: wire.QuotaPut) -> Response:
    """Grant a project a number of addresses of one family."""
    return call.run(lambda tx: supply.put_quota(tx, caller_of(call), project, family, body))
