from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="ZonePut")


@_attrs_define
class ZonePut:
    """A zone as placement registers it.

    Attributes:
        region (str):
        accepts_regional (bool | Unset):  Default: False.
    """

    region: str
    accepts_regional: bool | Unset = False

    def to_dict(self) -> dict[str, Any]:
        region = self.region

        accepts_regional = self.accepts_regional

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "region": region,
            }
        )
        if accepts_regional is not UNSET:
            field_dict["accepts_regional"] = accepts_regional

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        region = d.pop("region")

        accepts_regional = d.pop("accepts_regional", UNSET)

        zone_put = cls(
            region=region,
            accepts_regional=accepts_regional,
        )

        return zone_put
