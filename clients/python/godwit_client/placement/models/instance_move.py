from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.move_kind import MoveKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="InstanceMove")


@_attrs_define
class InstanceMove:
    """Where it goes; left out, to any other hypervisor.

    Attributes:
        to (None | str | Unset):
        kind (MoveKind | Unset): `live`: the guest runs on. `cold`: it is stopped, its disk goes along, and it is
            started there.
    """

    to: None | str | Unset = UNSET
    kind: MoveKind | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        to: None | str | Unset
        if isinstance(self.to, Unset):
            to = UNSET
        else:
            to = self.to

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if to is not UNSET:
            field_dict["to"] = to
        if kind is not UNSET:
            field_dict["kind"] = kind

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_to(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to = _parse_to(d.pop("to", UNSET))

        _kind = d.pop("kind", UNSET)
        kind: MoveKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = MoveKind(_kind)

        instance_move = cls(
            to=to,
            kind=kind,
        )

        return instance_move
