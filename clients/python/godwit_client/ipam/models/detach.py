from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="Detach")


@_attrs_define
class Detach:
    """May be empty.

    Attributes:
        from_ (None | TargetRef | Unset): Refused unless it is attached to this target.
    """

    from_: None | TargetRef | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        from_: dict[str, Any] | None | Unset
        if isinstance(self.from_, Unset):
            from_ = UNSET
        elif isinstance(self.from_, TargetRef):
            from_ = self.from_.to_dict()
        else:
            from_ = self.from_

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if from_ is not UNSET:
            field_dict["from"] = from_

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_from_(data: object) -> None | TargetRef | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                from_type_0 = TargetRef.from_dict(data)

                return from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TargetRef | Unset, data)

        from_ = _parse_from_(d.pop("from", UNSET))

        detach = cls(
            from_=from_,
        )

        return detach
