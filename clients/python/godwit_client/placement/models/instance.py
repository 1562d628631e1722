from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.instance_state import InstanceState

if TYPE_CHECKING:
    from ..models.archive import Archive
    from ..models.port import Port


T = TypeVar("T", bound="Instance")


@_attrs_define
class Instance:
    """A machine of a customer.

    Attributes:
        id (UUID):
        project (str):
        zone (str):
        name (str):
        flavor (str):
        state (InstanceState): Derived from where the instance is bound and what is being done with it.
        hypervisor (None | str): Null while archived.
        archive (Archive | None): Its disk, while archived.
        port (Port): An instance's network interface.
        operation (None | str): The Operation that is changing it.
        revision (int):
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
    """

    id: UUID
    project: str
    zone: str
    name: str
    flavor: str
    state: InstanceState
    hypervisor: None | str
    archive: Archive | None
    port: Port
    operation: None | str
    revision: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.archive import Archive  # noqa: PLC0415

        id = str(self.id)

        project = self.project

        zone = self.zone

        name = self.name

        flavor = self.flavor

        state = self.state.value

        hypervisor: None | str
        hypervisor = self.hypervisor

        archive: dict[str, Any] | None
        if isinstance(self.archive, Archive):
            archive = self.archive.to_dict()
        else:
            archive = self.archive

        port = self.port.to_dict()

        operation: None | str
        operation = self.operation

        revision = self.revision

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "project": project,
                "zone": zone,
                "name": name,
                "flavor": flavor,
                "state": state,
                "hypervisor": hypervisor,
                "archive": archive,
                "port": port,
                "operation": operation,
                "revision": revision,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.archive import Archive  # noqa: PLC0415
        from ..models.port import Port  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        project = d.pop("project")

        zone = d.pop("zone")

        name = d.pop("name")

        flavor = d.pop("flavor")

        state = InstanceState(d.pop("state"))

        def _parse_hypervisor(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        hypervisor = _parse_hypervisor(d.pop("hypervisor"))

        def _parse_archive(data: object) -> Archive | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                archive_type_0 = Archive.from_dict(data)

                return archive_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Archive | None, data)

        archive = _parse_archive(d.pop("archive"))

        port = Port.from_dict(d.pop("port"))

        def _parse_operation(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        operation = _parse_operation(d.pop("operation"))

        revision = d.pop("revision")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        instance = cls(
            id=id,
            project=project,
            zone=zone,
            name=name,
            flavor=flavor,
            state=state,
            hypervisor=hypervisor,
            archive=archive,
            port=port,
            operation=operation,
            revision=revision,
            created_at=created_at,
            updated_at=updated_at,
        )

        instance.additional_properties = d
        return instance

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
