from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.direction import Direction
from ..models.nature import Nature

T = TypeVar("T", bound="TraceFinding")


@_attrs_define
class TraceFinding:
    """Something to know of an address, by a stable code, and what mends it.

    Attributes:
        code (str):
        nature (Nature): `drift`: reality is not what was asked for. `state`: it is, or is on its way. `unknown`: who
            knows is silent.
        place (str):
        text (str):
        remedy (str):
        stops (list[Direction]): The directions in which packets do not get through for it.
    """

    code: str
    nature: Nature
    place: str
    text: str
    remedy: str
    stops: list[Direction]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        nature = self.nature.value

        place = self.place

        text = self.text

        remedy = self.remedy

        stops = []
        for stops_item_data in self.stops:
            stops_item = stops_item_data.value
            stops.append(stops_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "code": code,
                "nature": nature,
                "place": place,
                "text": text,
                "remedy": remedy,
                "stops": stops,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = d.pop("code")

        nature = Nature(d.pop("nature"))

        place = d.pop("place")

        text = d.pop("text")

        remedy = d.pop("remedy")

        stops = []
        _stops = d.pop("stops")
        for stops_item_data in _stops:
            stops_item = Direction(stops_item_data)

            stops.append(stops_item)

        trace_finding = cls(
            code=code,
            nature=nature,
            place=place,
            text=text,
            remedy=remedy,
            stops=stops,
        )

        trace_finding.additional_properties = d
        return trace_finding

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
