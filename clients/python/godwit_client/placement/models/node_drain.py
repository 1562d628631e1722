from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NodeDrain")


@_attrs_define
class NodeDrain:
    """Moves every running instance elsewhere, live.

    Attributes:
        concurrency (int | Unset): Moves at a time. Default: 4.
    """

    concurrency: int | Unset = 4

    def to_dict(self) -> dict[str, Any]:
        concurrency = self.concurrency

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if concurrency is not UNSET:
            field_dict["concurrency"] = concurrency

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        concurrency = d.pop("concurrency", UNSET)

        node_drain = cls(
            concurrency=concurrency,
        )

        return node_drain
