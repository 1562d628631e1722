from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define

T = TypeVar("T", bound="TargetRef")


@_attrs_define
class TargetRef:
    """What an address can be attached to. IPAM does not know what it is.

    Attributes:
        kind (str):
        id (UUID):
    """

    kind: str
    id: UUID

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind

        id = str(self.id)

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "kind": kind,
                "id": id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = d.pop("kind")

        id = UUID(d.pop("id"))

        target_ref = cls(
            kind=kind,
            id=id,
        )

        return target_ref
