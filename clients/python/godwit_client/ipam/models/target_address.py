from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.candidate import Candidate
    from ..models.health_check import HealthCheck


T = TypeVar("T", bound="TargetAddress")


@_attrs_define
class TargetAddress:
    """One address of a target, as the nodes must realise it.

    Attributes:
        flexible_ip (UUID):
        prefix (str):
        host (str): What the guest configures.
        role (None | str):
        carried (bool):
        candidates (list[Candidate]): Of a failover address; the best first.
        health_check (HealthCheck | None):
    """

    flexible_ip: UUID
    prefix: str
    host: str
    role: None | str
    carried: bool
    candidates: list[Candidate]
    health_check: HealthCheck | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.health_check import HealthCheck  # noqa: PLC0415

        flexible_ip = str(self.flexible_ip)

        prefix = self.prefix

        host = self.host

        role: None | str
        role = self.role

        carried = self.carried

        candidates = []
        for candidates_item_data in self.candidates:
            candidates_item = candidates_item_data.to_dict()
            candidates.append(candidates_item)

        health_check: dict[str, Any] | None
        if isinstance(self.health_check, HealthCheck):
            health_check = self.health_check.to_dict()
        else:
            health_check = self.health_check

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flexible_ip": flexible_ip,
                "prefix": prefix,
                "host": host,
                "role": role,
                "carried": carried,
                "candidates": candidates,
                "health_check": health_check,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.candidate import Candidate  # noqa: PLC0415
        from ..models.health_check import HealthCheck  # noqa: PLC0415

        d = dict(src_dict)
        flexible_ip = UUID(d.pop("flexible_ip"))

        prefix = d.pop("prefix")

        host = d.pop("host")

        def _parse_role(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        role = _parse_role(d.pop("role"))

        carried = d.pop("carried")

        candidates = []
        _candidates = d.pop("candidates")
        for candidates_item_data in _candidates:
            candidates_item = Candidate.from_dict(candidates_item_data)

            candidates.append(candidates_item)

        def _parse_health_check(data: object) -> HealthCheck | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                health_check_type_0 = HealthCheck.from_dict(data)

                return health_check_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(HealthCheck | None, data)

        health_check = _parse_health_check(d.pop("health_check"))

        target_address = cls(
            flexible_ip=flexible_ip,
            prefix=prefix,
            host=host,
            role=role,
            carried=carried,
            candidates=candidates,
            health_check=health_check,
        )

        target_address.additional_properties = d
        return target_address

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
