from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="InstanceConvert")


@_attrs_define
class InstanceConvert:
    """`gives_up_ipv4`: the owner agrees that a guest without a public IPv4 address loses its 10.x at its next start.

    Attributes:
        gives_up_ipv4 (bool | Unset):  Default: False.
    """

    gives_up_ipv4: bool | Unset = False

    def to_dict(self) -> dict[str, Any]:
        gives_up_ipv4 = self.gives_up_ipv4

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if gives_up_ipv4 is not UNSET:
            field_dict["gives_up_ipv4"] = gives_up_ipv4

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        gives_up_ipv4 = d.pop("gives_up_ipv4", UNSET)

        instance_convert = cls(
            gives_up_ipv4=gives_up_ipv4,
        )

        return instance_convert
