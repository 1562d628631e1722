from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Target")


@_attrs_define
class Target:
    """What an address can be attached to, as the product that owns it registered it: project, zone and limits.

    Attributes:
        kind (str):
        id (UUID):
        project (str):
        zone (str):
        name (str):
        limit_ipv4 (int):
        limit_ipv6 (int):
        revision (int):
    """

    kind: str
    id: UUID
    project: str
    zone: str
    name: str
    limit_ipv4: int
    limit_ipv6: int
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind

        id = str(self.id)

        project = self.project

        zone = self.zone

        name = self.name

        limit_ipv4 = self.limit_ipv4

        limit_ipv6 = self.limit_ipv6

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "id": id,
                "project": project,
                "zone": zone,
                "name": name,
                "limit_ipv4": limit_ipv4,
                "limit_ipv6": limit_ipv6,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = d.pop("kind")

        id = UUID(d.pop("id"))

        project = d.pop("project")

        zone = d.pop("zone")

        name = d.pop("name")

        limit_ipv4 = d.pop("limit_ipv4")

        limit_ipv6 = d.pop("limit_ipv6")

        revision = d.pop("revision")

        target = cls(
            kind=kind,
            id=id,
            project=project,
            zone=zone,
            name=name,
            limit_ipv4=limit_ipv4,
            limit_ipv6=limit_ipv6,
            revision=revision,
        )

        target.additional_properties = d
        return target

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
