from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="TraceWay")


@_attrs_define
class TraceWay:
    """The places a packet passes, as things are.

    Attributes:
        places (list[str]):
        arrives (bool | None): Null: not known.
    """

    places: list[str]
    arrives: bool | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        places = self.places

        arrives: bool | None
        arrives = self.arrives

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "places": places,
                "arrives": arrives,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        places = cast(list[str], d.pop("places"))

        def _parse_arrives(data: object) -> bool | None:
            if data is None:
                return data
            return cast(bool | None, data)

        arrives = _parse_arrives(d.pop("arrives"))

        trace_way = cls(
            places=places,
            arrives=arrives,
        )

        trace_way.additional_properties = d
        return trace_way

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
