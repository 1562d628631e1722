from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.held import Held


T = TypeVar("T", bound="Swap")


@_attrs_define
class Swap:
    """Two addresses that change places.

    Attributes:
        first (Held): An address, and the target that has it now.
        second (Held): An address, and the target that has it now.
    """

    first: Held
    second: Held

    def to_dict(self) -> dict[str, Any]:
        first = self.first.to_dict()

        second = self.second.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "first": first,
                "second": second,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.held import Held  # noqa: PLC0415

        d = dict(src_dict)
        first = Held.from_dict(d.pop("first"))

        second = Held.from_dict(d.pop("second"))

        swap = cls(
            first=first,
            second=second,
        )

        return swap
