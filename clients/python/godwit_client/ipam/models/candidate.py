from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="Candidate")


@_attrs_define
class Candidate:
    """A target that a failover address may go to; the highest `priority` goes first.

    Attributes:
        target (TargetRef): What an address can be attached to. IPAM does not know what it is.
        priority (int):
        active (bool): The address is there, or on its way.
    """

    target: TargetRef
    priority: int
    active: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        target = self.target.to_dict()

        priority = self.priority

        active = self.active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "target": target,
                "priority": priority,
                "active": active,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)
        target = TargetRef.from_dict(d.pop("target"))

        priority = d.pop("priority")

        active = d.pop("active")

        candidate = cls(
            target=target,
            priority=priority,
            active=active,
        )

        candidate.additional_properties = d
        return candidate

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
