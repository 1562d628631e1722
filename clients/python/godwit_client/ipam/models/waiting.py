from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="Waiting")


@_attrs_define
class Waiting:
    """What keeps the nodes of a target, and what would unblock them.

    Attributes:
        code (str):
        text (str):
        unblock (str):
    """

    code: str
    text: str
    unblock: str

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        text = self.text

        unblock = self.unblock

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "code": code,
                "text": text,
                "unblock": unblock,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = d.pop("code")

        text = d.pop("text")

        unblock = d.pop("unblock")

        waiting = cls(
            code=code,
            text=text,
            unblock=unblock,
        )

        return waiting
