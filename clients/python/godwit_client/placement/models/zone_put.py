from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.stack import Stack

T = TypeVar("T", bound="ZonePut")


@_attrs_define
class ZonePut:
    """A zone's region and stack, set once.

    Attributes:
        region (str):
        stack (Stack): How public addresses reach guests. `dual`: both ways, new instances are routed unless asked
            otherwise.
    """

    region: str
    stack: Stack

    def to_dict(self) -> dict[str, Any]:
        region = self.region

        stack = self.stack.value

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "region": region,
                "stack": stack,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        region = d.pop("region")

        stack = Stack(d.pop("stack"))

        zone_put = cls(
            region=region,
            stack=stack,
        )

        return zone_put
