from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode

if TYPE_CHECKING:
    from ..models.port_address import PortAddress


T = TypeVar("T", bound="Port")


@_attrs_define
class Port:
    """An instance's network interface.

    Attributes:
        id (UUID):
        mac (str):
        mode (Mode): How a port's public addresses reach its guest.
        addresses (list[PortAddress]):
    """

    id: UUID
    mac: str
    mode: Mode
    addresses: list[PortAddress]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        mac = self.mac

        mode = self.mode.value

        addresses = []
        for addresses_item_data in self.addresses:
            addresses_item = addresses_item_data.to_dict()
            addresses.append(addresses_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "mac": mac,
                "mode": mode,
                "addresses": addresses,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.port_address import PortAddress  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        mac = d.pop("mac")

        mode = Mode(d.pop("mode"))

        addresses = []
        _addresses = d.pop("addresses")
        for addresses_item_data in _addresses:
            addresses_item = PortAddress.from_dict(addresses_item_data)

            addresses.append(addresses_item)

        port = cls(
            id=id,
            mac=mac,
            mode=mode,
            addresses=addresses,
        )

        port.additional_properties = d
        return port

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
