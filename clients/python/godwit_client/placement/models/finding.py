from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.effect import Effect
from ..models.part_of import PartOf

if TYPE_CHECKING:
    from ..models.reason import Reason


T = TypeVar("T", bound="Finding")


@_attrs_define
class Finding:
    """Something that a precheck saw. Of the fabric's stage it blocks; of the guest's own its owner should know it.

    Attributes:
        part_of (PartOf): The stage that a check belongs to: the fabric's, without a restart, or the guest's own.
        effect (Effect):
        reason (Reason): Why something is not done, and what mends it.
    """

    part_of: PartOf
    effect: Effect
    reason: Reason
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        part_of = self.part_of.value

        effect = self.effect.value

        reason = self.reason.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "part_of": part_of,
                "effect": effect,
                "reason": reason,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.reason import Reason  # noqa: PLC0415

        d = dict(src_dict)
        part_of = PartOf(d.pop("part_of"))

        effect = Effect(d.pop("effect"))

        reason = Reason.from_dict(d.pop("reason"))

        finding = cls(
            part_of=part_of,
            effect=effect,
            reason=reason,
        )

        finding.additional_properties = d
        return finding

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
