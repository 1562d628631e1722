from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Zone")


@_attrs_define
class Zone:
    """An availability zone, to the ledger a name in a region. `accepts_regional`: regional addresses may come here.

    Attributes:
        name (str):
        region (str):
        accepts_regional (bool):
        revision (int):
    """

    name: str
    region: str
    accepts_regional: bool
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        region = self.region

        accepts_regional = self.accepts_regional

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "region": region,
                "accepts_regional": accepts_regional,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        region = d.pop("region")

        accepts_regional = d.pop("accepts_regional")

        revision = d.pop("revision")

        zone = cls(
            name=name,
            region=region,
            accepts_regional=accepts_regional,
            revision=revision,
        )

        zone.additional_properties = d
        return zone

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
