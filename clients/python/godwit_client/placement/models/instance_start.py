from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="InstanceStart")


@_attrs_define
class InstanceStart:
    """May be empty.

    Attributes:
        hypervisor (None | str | Unset): Role operator: the hypervisor to start on.
    """

    hypervisor: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        hypervisor: None | str | Unset
        if isinstance(self.hypervisor, Unset):
            hypervisor = UNSET
        else:
            hypervisor = self.hypervisor

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if hypervisor is not UNSET:
            field_dict["hypervisor"] = hypervisor

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_hypervisor(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        hypervisor = _parse_hypervisor(d.pop("hypervisor", UNSET))

        instance_start = cls(
            hypervisor=hypervisor,
        )

        return instance_start
