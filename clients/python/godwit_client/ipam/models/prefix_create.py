from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="PrefixCreate")


@_attrs_define
class PrefixCreate:
    """A prefix of the pool's family, its host bits clear, that overlaps none there is.

    Attributes:
        cidr (str):
    """

    cidr: str

    def to_dict(self) -> dict[str, Any]:
        cidr = self.cidr

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "cidr": cidr,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        cidr = d.pop("cidr")

        prefix_create = cls(
            cidr=cidr,
        )

        return prefix_create
