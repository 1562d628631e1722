from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.family import Family

T = TypeVar("T", bound="PoolSupply")


@_attrs_define
class PoolSupply:
    """How much of a pool is left: `total` and `free` count what a reservation gets.

    Attributes:
        pool (str):
        zone (str):
        family (Family):
        total (int):
        free (int):
    """

    pool: str
    zone: str
    family: Family
    total: int
    free: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        pool = self.pool

        zone = self.zone

        family = self.family.value

        total = self.total

        free = self.free

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "pool": pool,
                "zone": zone,
                "family": family,
                "total": total,
                "free": free,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        pool = d.pop("pool")

        zone = d.pop("zone")

        family = Family(d.pop("family"))

        total = d.pop("total")

        free = d.pop("free")

        pool_supply = cls(
            pool=pool,
            zone=zone,
            family=family,
            total=total,
            free=free,
        )

        pool_supply.additional_properties = d
        return pool_supply

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
