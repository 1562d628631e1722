from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.family import Family
from ..types import UNSET, Unset

T = TypeVar("T", bound="PoolCreate")


@_attrs_define
class PoolCreate:
    """A new pool, empty until it is given prefixes.

    Attributes:
        name (str):
        zone (str):
        family (Family):
        prefix_length (int | None | Unset): Length of what a reservation gets: 32 for IPv4; 48 to 64 for IPv6, 64 if
            left out.
        quarantine_seconds (int | Unset): How long a released address rests before it is given again. Default: 300.
    """

    name: str
    zone: str
    family: Family
    prefix_length: int | None | Unset = UNSET
    quarantine_seconds: int | Unset = 300

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        zone = self.zone

        family = self.family.value

        prefix_length: int | None | Unset
        if isinstance(self.prefix_length, Unset):
            prefix_length = UNSET
        else:
            prefix_length = self.prefix_length

        quarantine_seconds = self.quarantine_seconds

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "zone": zone,
                "family": family,
            }
        )
        if prefix_length is not UNSET:
            field_dict["prefix_length"] = prefix_length
        if quarantine_seconds is not UNSET:
            field_dict["quarantine_seconds"] = quarantine_seconds

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        zone = d.pop("zone")

        family = Family(d.pop("family"))

        def _parse_prefix_length(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        prefix_length = _parse_prefix_length(d.pop("prefix_length", UNSET))

        quarantine_seconds = d.pop("quarantine_seconds", UNSET)

        pool_create = cls(
            name=name,
            zone=zone,
            family=family,
            prefix_length=prefix_length,
            quarantine_seconds=quarantine_seconds,
        )

        return pool_create
