from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.family import Family

if TYPE_CHECKING:
    from ..models.prefix import Prefix


T = TypeVar("T", bound="Pool")


@_attrs_define
class Pool:
    """A zone's supply of addresses of one family.

    Attributes:
        id (UUID):
        name (str):
        zone (str):
        family (Family):
        prefix_length (int): Length of what a reservation gets: 32 for IPv4, 64 for IPv6 by default.
        quarantine_seconds (int):
        prefixes (list[Prefix]):
        revision (int):
    """

    id: UUID
    name: str
    zone: str
    family: Family
    prefix_length: int
    quarantine_seconds: int
    prefixes: list[Prefix]
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        zone = self.zone

        family = self.family.value

        prefix_length = self.prefix_length

        quarantine_seconds = self.quarantine_seconds

        prefixes = []
        for prefixes_item_data in self.prefixes:
            prefixes_item = prefixes_item_data.to_dict()
            prefixes.append(prefixes_item)

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "zone": zone,
                "family": family,
                "prefix_length": prefix_length,
                "quarantine_seconds": quarantine_seconds,
                "prefixes": prefixes,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.prefix import Prefix  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        zone = d.pop("zone")

        family = Family(d.pop("family"))

        prefix_length = d.pop("prefix_length")

        quarantine_seconds = d.pop("quarantine_seconds")

        prefixes = []
        _prefixes = d.pop("prefixes")
        for prefixes_item_data in _prefixes:
            prefixes_item = Prefix.from_dict(prefixes_item_data)

            prefixes.append(prefixes_item)

        revision = d.pop("revision")

        pool = cls(
            id=id,
            name=name,
            zone=zone,
            family=family,
            prefix_length=prefix_length,
            quarantine_seconds=quarantine_seconds,
            prefixes=prefixes,
            revision=revision,
        )

        pool.additional_properties = d
        return pool

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
