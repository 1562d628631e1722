from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="Held")


@_attrs_define
class Held:
    """An address, and the target that has it now.

    Attributes:
        flexible_ip (UUID):
        target (TargetRef): What an address can be attached to. IPAM does not know what it is.
    """

    flexible_ip: UUID
    target: TargetRef

    def to_dict(self) -> dict[str, Any]:
        flexible_ip = str(self.flexible_ip)

        target = self.target.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "flexible_ip": flexible_ip,
                "target": target,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)
        flexible_ip = UUID(d.pop("flexible_ip"))

        target = TargetRef.from_dict(d.pop("target"))

        held = cls(
            flexible_ip=flexible_ip,
            target=target,
        )

        return held
