from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.resources import Resources


T = TypeVar("T", bound="Allocation")


@_attrs_define
class Allocation:
    """What one consumer holds of a node: an instance, or a move until it is done.

    Attributes:
        consumer (UUID):
        project (str):
        node (str):
        resources (Resources): How much of each resource class, in OpenStack Placement's classes and units.
    """

    consumer: UUID
    project: str
    node: str
    resources: Resources
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        consumer = str(self.consumer)

        project = self.project

        node = self.node

        resources = self.resources.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "consumer": consumer,
                "project": project,
                "node": node,
                "resources": resources,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.resources import Resources  # noqa: PLC0415

        d = dict(src_dict)
        consumer = UUID(d.pop("consumer"))

        project = d.pop("project")

        node = d.pop("node")

        resources = Resources.from_dict(d.pop("resources"))

        allocation = cls(
            consumer=consumer,
            project=project,
            node=node,
            resources=resources,
        )

        allocation.additional_properties = d
        return allocation

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
