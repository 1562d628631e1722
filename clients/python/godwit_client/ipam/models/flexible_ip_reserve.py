from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.family import Family
from ..models.flexible_ip_kind import FlexibleIPKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.labels import Labels


T = TypeVar("T", bound="FlexibleIPReserve")


@_attrs_define
class FlexibleIPReserve:
    """Any free address of `family` in `zone`, of its `pool` if one is named; or the one that `address` names.

    Attributes:
        zone (str):
        family (Family | Unset):
        kind (FlexibleIPKind | Unset): `failover`: it may go to one of several candidates, of which one is active.
        pool (None | str | Unset):
        address (None | str | Unset):
        name (None | str | Unset):
        labels (Labels | Unset): What people file an address under; lists are narrowed by one.
        project (None | str | Unset): Roles `service` and `operator`: reserve on behalf of a project.
    """

    zone: str
    family: Family | Unset = UNSET
    kind: FlexibleIPKind | Unset = UNSET
    pool: None | str | Unset = UNSET
    address: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    labels: Labels | Unset = UNSET
    project: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        zone = self.zone

        family: str | Unset = UNSET
        if not isinstance(self.family, Unset):
            family = self.family.value

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        pool: None | str | Unset
        if isinstance(self.pool, Unset):
            pool = UNSET
        else:
            pool = self.pool

        address: None | str | Unset
        if isinstance(self.address, Unset):
            address = UNSET
        else:
            address = self.address

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        project: None | str | Unset
        if isinstance(self.project, Unset):
            project = UNSET
        else:
            project = self.project

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "zone": zone,
            }
        )
        if family is not UNSET:
            field_dict["family"] = family
        if kind is not UNSET:
            field_dict["kind"] = kind
        if pool is not UNSET:
            field_dict["pool"] = pool
        if address is not UNSET:
            field_dict["address"] = address
        if name is not UNSET:
            field_dict["name"] = name
        if labels is not UNSET:
            field_dict["labels"] = labels
        if project is not UNSET:
            field_dict["project"] = project

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.labels import Labels  # noqa: PLC0415

        d = dict(src_dict)
        zone = d.pop("zone")

        _family = d.pop("family", UNSET)
        family: Family | Unset
        if isinstance(_family, Unset):
            family = UNSET
        else:
            family = Family(_family)

        _kind = d.pop("kind", UNSET)
        kind: FlexibleIPKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = FlexibleIPKind(_kind)

        def _parse_pool(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        pool = _parse_pool(d.pop("pool", UNSET))

        def _parse_address(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        address = _parse_address(d.pop("address", UNSET))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        _labels = d.pop("labels", UNSET)
        labels: Labels | Unset
        if isinstance(_labels, Unset):
            labels = UNSET
        else:
            labels = Labels.from_dict(_labels)

        def _parse_project(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        project = _parse_project(d.pop("project", UNSET))

        flexible_ip_reserve = cls(
            zone=zone,
            family=family,
            kind=kind,
            pool=pool,
            address=address,
            name=name,
            labels=labels,
            project=project,
        )

        return flexible_ip_reserve
