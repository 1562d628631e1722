from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="CandidatePut")


@_attrs_define
class CandidatePut:
    """A target that a failover address may go to.

    Attributes:
        target (TargetRef): What an address can be attached to. IPAM does not know what it is.
        priority (int | Unset):  Default: 100.
    """

    target: TargetRef
    priority: int | Unset = 100

    def to_dict(self) -> dict[str, Any]:
        target = self.target.to_dict()

        priority = self.priority

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "target": target,
            }
        )
        if priority is not UNSET:
            field_dict["priority"] = priority

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)
        target = TargetRef.from_dict(d.pop("target"))

        priority = d.pop("priority", UNSET)

        candidate_put = cls(
            target=target,
            priority=priority,
        )

        return candidate_put
