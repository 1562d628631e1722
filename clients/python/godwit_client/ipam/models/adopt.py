from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.carried_prefix import CarriedPrefix


T = TypeVar("T", bound="Adopt")


@_attrs_define
class Adopt:
    """Legacy prefixes of one zone that become flexible IPs.

    Attributes:
        zone (str):
        prefixes (list[CarriedPrefix]):
    """

    zone: str
    prefixes: list[CarriedPrefix]

    def to_dict(self) -> dict[str, Any]:
        zone = self.zone

        prefixes = []
        for prefixes_item_data in self.prefixes:
            prefixes_item = prefixes_item_data.to_dict()
            prefixes.append(prefixes_item)

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "zone": zone,
                "prefixes": prefixes,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.carried_prefix import CarriedPrefix  # noqa: PLC0415

        d = dict(src_dict)
        zone = d.pop("zone")

        prefixes = []
        _prefixes = d.pop("prefixes")
        for prefixes_item_data in _prefixes:
            prefixes_item = CarriedPrefix.from_dict(prefixes_item_data)

            prefixes.append(prefixes_item)

        adopt = cls(
            zone=zone,
            prefixes=prefixes,
        )

        return adopt
