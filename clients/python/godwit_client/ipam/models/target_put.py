from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="TargetPut")


@_attrs_define
class TargetPut:
    """Registered by the service that owns the product, with a token bound to the target's kind.

    Attributes:
        project (str):
        zone (str):
        name (str):
        limit_ipv4 (int | Unset):  Default: 5.
        limit_ipv6 (int | Unset):  Default: 5.
    """

    project: str
    zone: str
    name: str
    limit_ipv4: int | Unset = 5
    limit_ipv6: int | Unset = 5

    def to_dict(self) -> dict[str, Any]:
        project = self.project

        zone = self.zone

        name = self.name

        limit_ipv4 = self.limit_ipv4

        limit_ipv6 = self.limit_ipv6

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "project": project,
                "zone": zone,
                "name": name,
            }
        )
        if limit_ipv4 is not UNSET:
            field_dict["limit_ipv4"] = limit_ipv4
        if limit_ipv6 is not UNSET:
            field_dict["limit_ipv6"] = limit_ipv6

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        project = d.pop("project")

        zone = d.pop("zone")

        name = d.pop("name")

        limit_ipv4 = d.pop("limit_ipv4", UNSET)

        limit_ipv6 = d.pop("limit_ipv6", UNSET)

        target_put = cls(
            project=project,
            zone=zone,
            name=name,
            limit_ipv4=limit_ipv4,
            limit_ipv6=limit_ipv6,
        )

        return target_put
