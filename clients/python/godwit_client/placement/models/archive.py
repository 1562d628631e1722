from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Archive")


@_attrs_define
class Archive:
    """Where a stopped instance's disk lies.

    Attributes:
        url (str):
        size_bytes (int):
        left_out (int): Links, devices and the like, which stayed behind.
        created_at (datetime.datetime):
    """

    url: str
    size_bytes: int
    left_out: int
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        size_bytes = self.size_bytes

        left_out = self.left_out

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "size_bytes": size_bytes,
                "left_out": left_out,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = d.pop("url")

        size_bytes = d.pop("size_bytes")

        left_out = d.pop("left_out")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        archive = cls(
            url=url,
            size_bytes=size_bytes,
            left_out=left_out,
            created_at=created_at,
        )

        archive.additional_properties = d
        return archive

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
