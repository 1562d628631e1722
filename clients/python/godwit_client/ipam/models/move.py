from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="Move")


@_attrs_define
class Move:
    """From one target to another in one go: the new one gets it when the old one's nodes have let go.

    Attributes:
        from_ (TargetRef): What an address can be attached to. IPAM does not know what it is.
        to (TargetRef): What an address can be attached to. IPAM does not know what it is.
    """

    from_: TargetRef
    to: TargetRef

    def to_dict(self) -> dict[str, Any]:
        from_ = self.from_.to_dict()

        to = self.to.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "from": from_,
                "to": to,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)
        from_ = TargetRef.from_dict(d.pop("from"))

        to = TargetRef.from_dict(d.pop("to"))

        move = cls(
            from_=from_,
            to=to,
        )

        return move
