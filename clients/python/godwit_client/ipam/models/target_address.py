from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="TargetAddress")


@_attrs_define
class TargetAddress:
    """One address of a target, as the nodes must realise it.

    Attributes:
        flexible_ip (UUID):
        prefix (str):
        host (str): What the guest configures.
        role (None | str):
        carried (bool):
    """

    flexible_ip: UUID
    prefix: str
    host: str
    role: None | str
    carried: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flexible_ip = str(self.flexible_ip)

        prefix = self.prefix

        host = self.host

        role: None | str
        role = self.role

        carried = self.carried

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flexible_ip": flexible_ip,
                "prefix": prefix,
                "host": host,
                "role": role,
                "carried": carried,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flexible_ip = UUID(d.pop("flexible_ip"))

        prefix = d.pop("prefix")

        host = d.pop("host")

        def _parse_role(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        role = _parse_role(d.pop("role"))

        carried = d.pop("carried")

        target_address = cls(
            flexible_ip=flexible_ip,
            prefix=prefix,
            host=host,
            role=role,
            carried=carried,
        )

        target_address.additional_properties = d
        return target_address

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
