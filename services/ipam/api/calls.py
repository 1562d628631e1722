"""Who may call, and what handlers are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query

from common.web import Call, changing, creating, reading
from services.ipam import wire
from services.ipam.service.caller import Caller

ReadCall = Annotated[Call, Depends(reading("reader", "service"))]
MemberCall = Annotated[Call, Depends(changing("member", "service"))]
ReserveCall = Annotated[Call, Depends(creating("member", "service"))]
OperatorCall = Annotated[Call, Depends(changing("operator"))]
OperatorReadCall = Annotated[Call, Depends(reading("operator"))]
OperatorCreateCall = Annotated[Call, Depends(creating("operator"))]
SupplyCall = Annotated[Call, Depends(changing("operator", "service"))]
ServiceReadCall = Annotated[Call, Depends(reading("service"))]
ServiceCreateCall = Annotated[Call, Depends(creating("service"))]
ServiceCall = Annotated[Call, Depends(changing("service"))]

Project = Annotated[wire.Project, Path(description="The id of a project.")]
ProjectFilter = Annotated[wire.Project | None, Query(description="Operators and services: only this project's.")]
ZoneFilter = Annotated[wire.Name | None, Query(description="Only this zone's.")]
FamilyFilter = Annotated[wire.Family | None, Query(description="Only this family's.")]
NameFilter = Annotated[wire.Text | None, Query(description="Only what bears this name.")]
KindFilter = Annotated[wire.Name | None, Query(description="Only targets of this kind.")]


UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
TARGET_FILTER = {"pattern": f"^[a-z0-9][a-z0-9-]*/{UUID_PATTERN}$"}
LABEL_FILTER = {"pattern": "^[^=\\x00]+=[^\\x00]*$"}
IDS_FILTER = {"pattern": f"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,99}}$"}


def caller_of(call: Call) -> Caller:
    return Caller(call.principal, call.request_id, call.expected_revision)
