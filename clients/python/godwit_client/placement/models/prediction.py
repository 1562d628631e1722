from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode

if TYPE_CHECKING:
    from ..models.predicted_address import PredictedAddress


T = TypeVar("T", bound="Prediction")


@_attrs_define
class Prediction:
    """What a conversion will do to a port.

    Attributes:
        mode (Mode): How a port's public addresses reach its guest.
        mode_after_restart (Mode): How a port's public addresses reach its guest.
        gap_ms (int):
        addresses (list[PredictedAddress]):
    """

    mode: Mode
    mode_after_restart: Mode
    gap_ms: int
    addresses: list[PredictedAddress]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        mode = self.mode.value

        mode_after_restart = self.mode_after_restart.value

        gap_ms = self.gap_ms

        addresses = []
        for addresses_item_data in self.addresses:
            addresses_item = addresses_item_data.to_dict()
            addresses.append(addresses_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "mode": mode,
                "mode_after_restart": mode_after_restart,
                "gap_ms": gap_ms,
                "addresses": addresses,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.predicted_address import PredictedAddress  # noqa: PLC0415

        d = dict(src_dict)
        mode = Mode(d.pop("mode"))

        mode_after_restart = Mode(d.pop("mode_after_restart"))

        gap_ms = d.pop("gap_ms")

        addresses = []
        _addresses = d.pop("addresses")
        for addresses_item_data in _addresses:
            addresses_item = PredictedAddress.from_dict(addresses_item_data)

            addresses.append(addresses_item)

        prediction = cls(
            mode=mode,
            mode_after_restart=mode_after_restart,
            gap_ms=gap_ms,
            addresses=addresses,
        )

        prediction.additional_properties = d
        return prediction

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
