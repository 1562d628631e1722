from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.family import Family

T = TypeVar("T", bound="Quota")


@_attrs_define
class Quota:
    """How many addresses of a family a project may hold, and holds now.

    Attributes:
        project (str):
        family (Family):
        limit (int):
        used (int):
        revision (int):
    """

    project: str
    family: Family
    limit: int
    used: int
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        project = self.project

        family = self.family.value

        limit = self.limit

        used = self.used

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "project": project,
                "family": family,
                "limit": limit,
                "used": used,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        project = d.pop("project")

        family = Family(d.pop("family"))

        limit = d.pop("limit")

        used = d.pop("used")

        revision = d.pop("revision")

        quota = cls(
            project=project,
            family=family,
            limit=limit,
            used=used,
            revision=revision,
        )

        quota.additional_properties = d
        return quota

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
