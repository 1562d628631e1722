from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="Inventory")


@_attrs_define
class Inventory:
    """A node's supply of one resource class, in OpenStack Placement's terms.

    Attributes:
        resource_class (str):
        total (int):
        reserved (int | Unset):  Default: 0.
        min_unit (int | Unset):  Default: 1.
        max_unit (int | Unset):  Default: 2147483647.
        step_size (int | Unset):  Default: 1.
        allocation_ratio (float | Unset):  Default: 1.0.
    """

    resource_class: str
    total: int
    reserved: int | Unset = 0
    min_unit: int | Unset = 1
    max_unit: int | Unset = 2147483647
    step_size: int | Unset = 1
    allocation_ratio: float | Unset = 1.0

    def to_dict(self) -> dict[str, Any]:
        resource_class = self.resource_class

        total = self.total

        reserved = self.reserved

        min_unit = self.min_unit

        max_unit = self.max_unit

        step_size = self.step_size

        allocation_ratio = self.allocation_ratio

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "resource_class": resource_class,
                "total": total,
            }
        )
        if reserved is not UNSET:
            field_dict["reserved"] = reserved
        if min_unit is not UNSET:
            field_dict["min_unit"] = min_unit
        if max_unit is not UNSET:
            field_dict["max_unit"] = max_unit
        if step_size is not UNSET:
            field_dict["step_size"] = step_size
        if allocation_ratio is not UNSET:
            field_dict["allocation_ratio"] = allocation_ratio

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        resource_class = d.pop("resource_class")

        total = d.pop("total")

        reserved = d.pop("reserved", UNSET)

        min_unit = d.pop("min_unit", UNSET)

        max_unit = d.pop("max_unit", UNSET)

        step_size = d.pop("step_size", UNSET)

        allocation_ratio = d.pop("allocation_ratio", UNSET)

        inventory = cls(
            resource_class=resource_class,
            total=total,
            reserved=reserved,
            min_unit=min_unit,
            max_unit=max_unit,
            step_size=step_size,
            allocation_ratio=allocation_ratio,
        )

        return inventory
