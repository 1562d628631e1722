from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="FlavorCreate")


@_attrs_define
class FlavorCreate:
    """A new size.

    Attributes:
        name (str):
        vcpus (int):
        memory_mb (int):
        disk_gb (int):
    """

    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        vcpus = self.vcpus

        memory_mb = self.memory_mb

        disk_gb = self.disk_gb

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "vcpus": vcpus,
                "memory_mb": memory_mb,
                "disk_gb": disk_gb,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        vcpus = d.pop("vcpus")

        memory_mb = d.pop("memory_mb")

        disk_gb = d.pop("disk_gb")

        flavor_create = cls(
            name=name,
            vcpus=vcpus,
            memory_mb=memory_mb,
            disk_gb=disk_gb,
        )

        return flavor_create
