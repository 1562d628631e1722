from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Prefix")


@_attrs_define
class Prefix:
    """A CIDR in a pool.

    Attributes:
        id (UUID):
        pool (str):
        cidr (str):
        created_at (datetime.datetime):
    """

    id: UUID
    pool: str
    cidr: str
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        pool = self.pool

        cidr = self.cidr

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "pool": pool,
                "cidr": cidr,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        pool = d.pop("pool")

        cidr = d.pop("cidr")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        prefix = cls(
            id=id,
            pool=pool,
            cidr=cidr,
            created_at=created_at,
        )

        prefix.additional_properties = d
        return prefix

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
