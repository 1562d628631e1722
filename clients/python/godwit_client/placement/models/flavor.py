from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Flavor")


@_attrs_define
class Flavor:
    """A size that instances come in.

    Attributes:
        id (UUID):
        name (str):
        vcpus (int):
        memory_mb (int):
        disk_gb (int):
        revision (int):
    """

    id: UUID
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        vcpus = self.vcpus

        memory_mb = self.memory_mb

        disk_gb = self.disk_gb

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "vcpus": vcpus,
                "memory_mb": memory_mb,
                "disk_gb": disk_gb,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        vcpus = d.pop("vcpus")

        memory_mb = d.pop("memory_mb")

        disk_gb = d.pop("disk_gb")

        revision = d.pop("revision")

        flavor = cls(
            id=id,
            name=name,
            vcpus=vcpus,
            memory_mb=memory_mb,
            disk_gb=disk_gb,
            revision=revision,
        )

        flavor.additional_properties = d
        return flavor

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
