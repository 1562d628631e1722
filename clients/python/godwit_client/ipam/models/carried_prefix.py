from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="CarriedPrefix")


@_attrs_define
class CarriedPrefix:
    """A legacy IPv6 prefix, /48 to /64, on the target that uses it.

    Attributes:
        prefix (str):
        project (str):
        target (TargetRef): What an address can be attached to. IPAM does not know what it is.
        name (None | str | Unset):
    """

    prefix: str
    project: str
    target: TargetRef
    name: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        prefix = self.prefix

        project = self.project

        target = self.target.to_dict()

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "prefix": prefix,
                "project": project,
                "target": target,
            }
        )
        if name is not UNSET:
            field_dict["name"] = name

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)
        prefix = d.pop("prefix")

        project = d.pop("project")

        target = TargetRef.from_dict(d.pop("target"))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        carried_prefix = cls(
            prefix=prefix,
            project=project,
            target=target,
            name=name,
        )

        return carried_prefix
