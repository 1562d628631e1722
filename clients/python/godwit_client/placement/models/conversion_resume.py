from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.phase import Phase
from ..types import UNSET, Unset

T = TypeVar("T", bound="ConversionResume")


@_attrs_define
class ConversionResume:
    """Goes on where it was paused.

    Attributes:
        through (Phase | Unset): Where a zone's conversion is. What a phase stands for is done when it is left.
    """

    through: Phase | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        through: str | Unset = UNSET
        if not isinstance(self.through, Unset):
            through = self.through.value

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if through is not UNSET:
            field_dict["through"] = through

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _through = d.pop("through", UNSET)
        through: Phase | Unset
        if isinstance(_through, Unset):
            through = UNSET
        else:
            through = Phase(_through)

        conversion_resume = cls(
            through=through,
        )

        return conversion_resume
