from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.direction import Direction
from ..models.part import Part

T = TypeVar("T", bound="TraceStep")


@_attrs_define
class TraceStep:
    """One thing that a packet meets: as it was asked for, and as it is.

    Attributes:
        direction (Direction | None): Null: both.
        place (str):
        part (Part): What is passed on the way.
        asked (None | str):
        seen (None | str):
        agrees (bool | None): Null: not known, or there is nothing to agree with.
    """

    direction: Direction | None
    place: str
    part: Part
    asked: None | str
    seen: None | str
    agrees: bool | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        direction: None | str
        if isinstance(self.direction, Direction):
            direction = self.direction.value
        else:
            direction = self.direction

        place = self.place

        part = self.part.value

        asked: None | str
        asked = self.asked

        seen: None | str
        seen = self.seen

        agrees: bool | None
        agrees = self.agrees

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "direction": direction,
                "place": place,
                "part": part,
                "asked": asked,
                "seen": seen,
                "agrees": agrees,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_direction(data: object) -> Direction | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                direction_type_0 = Direction(data)

                return direction_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Direction | None, data)

        direction = _parse_direction(d.pop("direction"))

        place = d.pop("place")

        part = Part(d.pop("part"))

        def _parse_asked(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        asked = _parse_asked(d.pop("asked"))

        def _parse_seen(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        seen = _parse_seen(d.pop("seen"))

        def _parse_agrees(data: object) -> bool | None:
            if data is None:
                return data
            return cast(bool | None, data)

        agrees = _parse_agrees(d.pop("agrees"))

        trace_step = cls(
            direction=direction,
            place=place,
            part=part,
            asked=asked,
            seen=seen,
            agrees=agrees,
        )

        trace_step.additional_properties = d
        return trace_step

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
