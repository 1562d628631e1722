from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="PortAddress")


@_attrs_define
class PortAddress:
    """One address of a port. `sequence` is what the fabric compares; 0: never announced on its own.

    Attributes:
        prefix (str):
        host (str): What the guest configures.
        flexible_ip (None | UUID): Null: bound to the node, changes on moves.
        announced (bool):
        sequence (int):
    """

    prefix: str
    host: str
    flexible_ip: None | UUID
    announced: bool
    sequence: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        prefix = self.prefix

        host = self.host

        flexible_ip: None | str
        if isinstance(self.flexible_ip, UUID):
            flexible_ip = str(self.flexible_ip)
        else:
            flexible_ip = self.flexible_ip

        announced = self.announced

        sequence = self.sequence

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "prefix": prefix,
                "host": host,
                "flexible_ip": flexible_ip,
                "announced": announced,
                "sequence": sequence,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prefix = d.pop("prefix")

        host = d.pop("host")

        def _parse_flexible_ip(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                flexible_ip_type_0 = UUID(data)

                return flexible_ip_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        flexible_ip = _parse_flexible_ip(d.pop("flexible_ip"))

        announced = d.pop("announced")

        sequence = d.pop("sequence")

        port_address = cls(
            prefix=prefix,
            host=host,
            flexible_ip=flexible_ip,
            announced=announced,
            sequence=sequence,
        )

        port_address.additional_properties = d
        return port_address

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
