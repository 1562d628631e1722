from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.admin_state import AdminState

T = TypeVar("T", bound="NodeUpdate")


@_attrs_define
class NodeUpdate:
    """`enabled` or `disabled`: draining has a verb of its own.

    Attributes:
        admin_state (AdminState): What people want of a node. `disabled`: it takes no more instances; `draining`,
            `drained`: nor keeps any.
    """

    admin_state: AdminState

    def to_dict(self) -> dict[str, Any]:
        admin_state = self.admin_state.value

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "admin_state": admin_state,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        admin_state = AdminState(d.pop("admin_state"))

        node_update = cls(
            admin_state=admin_state,
        )

        return node_update
