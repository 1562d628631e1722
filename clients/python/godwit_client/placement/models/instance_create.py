from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define

from ..models.mode import Mode
from ..types import UNSET, Unset

T = TypeVar("T", bound="InstanceCreate")


@_attrs_define
class InstanceCreate:
    """`addresses` are reserved flexible IPs; `allocate` reserves one of each named family for it.

    Attributes:
        name (str):
        zone (str):
        flavor (str):
        mode (Mode | None | Unset): Default: what the zone's stack gives.
        addresses (list[UUID] | Unset):
        allocate (list[str] | Unset):
        hypervisor (None | str | Unset): Role operator: the hypervisor to start on.
    """

    name: str
    zone: str
    flavor: str
    mode: Mode | None | Unset = UNSET
    addresses: list[UUID] | Unset = UNSET
    allocate: list[str] | Unset = UNSET
    hypervisor: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        zone = self.zone

        flavor = self.flavor

        mode: None | str | Unset
        if isinstance(self.mode, Unset):
            mode = UNSET
        elif isinstance(self.mode, Mode):
            mode = self.mode.value
        else:
            mode = self.mode

        addresses: list[str] | Unset = UNSET
        if not isinstance(self.addresses, Unset):
            addresses = []
            for addresses_item_data in self.addresses:
                addresses_item = str(addresses_item_data)
                addresses.append(addresses_item)

        allocate: list[str] | Unset = UNSET
        if not isinstance(self.allocate, Unset):
            allocate = self.allocate

        hypervisor: None | str | Unset
        if isinstance(self.hypervisor, Unset):
            hypervisor = UNSET
        else:
            hypervisor = self.hypervisor

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "zone": zone,
                "flavor": flavor,
            }
        )
        if mode is not UNSET:
            field_dict["mode"] = mode
        if addresses is not UNSET:
            field_dict["addresses"] = addresses
        if allocate is not UNSET:
            field_dict["allocate"] = allocate
        if hypervisor is not UNSET:
            field_dict["hypervisor"] = hypervisor

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        zone = d.pop("zone")

        flavor = d.pop("flavor")

        def _parse_mode(data: object) -> Mode | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                mode_type_0 = Mode(data)

                return mode_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Mode | None | Unset, data)

        mode = _parse_mode(d.pop("mode", UNSET))

        _addresses = d.pop("addresses", UNSET)
        addresses: list[UUID] | Unset = UNSET
        if _addresses is not UNSET:
            addresses = []
            for addresses_item_data in _addresses:
                addresses_item = UUID(addresses_item_data)

                addresses.append(addresses_item)

        allocate = cast(list[str], d.pop("allocate", UNSET))

        def _parse_hypervisor(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        hypervisor = _parse_hypervisor(d.pop("hypervisor", UNSET))

        instance_create = cls(
            name=name,
            zone=zone,
            flavor=flavor,
            mode=mode,
            addresses=addresses,
            allocate=allocate,
            hypervisor=hypervisor,
        )

        return instance_create
