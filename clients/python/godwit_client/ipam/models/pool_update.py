from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="PoolUpdate")


@_attrs_define
class PoolUpdate:
    """What of a pool may change.

    Attributes:
        quarantine_seconds (int): How long a released address rests before it is given again.
    """

    quarantine_seconds: int

    def to_dict(self) -> dict[str, Any]:
        quarantine_seconds = self.quarantine_seconds

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "quarantine_seconds": quarantine_seconds,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        quarantine_seconds = d.pop("quarantine_seconds")

        pool_update = cls(
            quarantine_seconds=quarantine_seconds,
        )

        return pool_update
