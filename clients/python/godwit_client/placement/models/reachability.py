from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode

if TYPE_CHECKING:
    from ..models.address_reachability import AddressReachability


T = TypeVar("T", bound="Reachability")


@_attrs_define
class Reachability:
    """How the addresses of a port are reached; none of a port in mode `isolated`.

    Attributes:
        port (UUID):
        mode (Mode): How a port's public addresses reach its guest.
        addresses (list[AddressReachability]):
    """

    port: UUID
    mode: Mode
    addresses: list[AddressReachability]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        port = str(self.port)

        mode = self.mode.value

        addresses = []
        for addresses_item_data in self.addresses:
            addresses_item = addresses_item_data.to_dict()
            addresses.append(addresses_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "port": port,
                "mode": mode,
                "addresses": addresses,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.address_reachability import AddressReachability  # noqa: PLC0415

        d = dict(src_dict)
        port = UUID(d.pop("port"))

        mode = Mode(d.pop("mode"))

        addresses = []
        _addresses = d.pop("addresses")
        for addresses_item_data in _addresses:
            addresses_item = AddressReachability.from_dict(addresses_item_data)

            addresses.append(addresses_item)

        reachability = cls(
            port=port,
            mode=mode,
            addresses=addresses,
        )

        reachability.additional_properties = d
        return reachability

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
