from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.port_state import PortState

if TYPE_CHECKING:
    from ..models.reason import Reason


T = TypeVar("T", bound="PortConversion")


@_attrs_define
class PortConversion:
    """One port in its zone's conversion.

    Attributes:
        instance (UUID):
        name (str):
        wave (int):
        state (PortState): Where one port is in its zone's conversion.
        reasons (list[Reason]): Why it waits, is blocked, or was rolled back.
        operation (None | str): The Operation of the latest attempt, with its timeline.
        attempts (int):
        probes_sent (int): Packets that tried it after its switch, by ways that answered before.
        probes_lost (int):
        checked_at (datetime.datetime | None):
        verified_at (datetime.datetime | None):
        adopted_at (datetime.datetime | None):
    """

    instance: UUID
    name: str
    wave: int
    state: PortState
    reasons: list[Reason]
    operation: None | str
    attempts: int
    probes_sent: int
    probes_lost: int
    checked_at: datetime.datetime | None
    verified_at: datetime.datetime | None
    adopted_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        instance = str(self.instance)

        name = self.name

        wave = self.wave

        state = self.state.value

        reasons = []
        for reasons_item_data in self.reasons:
            reasons_item = reasons_item_data.to_dict()
            reasons.append(reasons_item)

        operation: None | str
        operation = self.operation

        attempts = self.attempts

        probes_sent = self.probes_sent

        probes_lost = self.probes_lost

        checked_at: None | str
        if isinstance(self.checked_at, datetime.datetime):
            checked_at = self.checked_at.isoformat()
        else:
            checked_at = self.checked_at

        verified_at: None | str
        if isinstance(self.verified_at, datetime.datetime):
            verified_at = self.verified_at.isoformat()
        else:
            verified_at = self.verified_at

        adopted_at: None | str
        if isinstance(self.adopted_at, datetime.datetime):
            adopted_at = self.adopted_at.isoformat()
        else:
            adopted_at = self.adopted_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "instance": instance,
                "name": name,
                "wave": wave,
                "state": state,
                "reasons": reasons,
                "operation": operation,
                "attempts": attempts,
                "probes_sent": probes_sent,
                "probes_lost": probes_lost,
                "checked_at": checked_at,
                "verified_at": verified_at,
                "adopted_at": adopted_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.reason import Reason  # noqa: PLC0415

        d = dict(src_dict)
        instance = UUID(d.pop("instance"))

        name = d.pop("name")

        wave = d.pop("wave")

        state = PortState(d.pop("state"))

        reasons = []
        _reasons = d.pop("reasons")
        for reasons_item_data in _reasons:
            reasons_item = Reason.from_dict(reasons_item_data)

            reasons.append(reasons_item)

        def _parse_operation(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        operation = _parse_operation(d.pop("operation"))

        attempts = d.pop("attempts")

        probes_sent = d.pop("probes_sent")

        probes_lost = d.pop("probes_lost")

        def _parse_checked_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                checked_at_type_0 = datetime.datetime.fromisoformat(data)

                return checked_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        checked_at = _parse_checked_at(d.pop("checked_at"))

        def _parse_verified_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                verified_at_type_0 = datetime.datetime.fromisoformat(data)

                return verified_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        verified_at = _parse_verified_at(d.pop("verified_at"))

        def _parse_adopted_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                adopted_at_type_0 = datetime.datetime.fromisoformat(data)

                return adopted_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        adopted_at = _parse_adopted_at(d.pop("adopted_at"))

        port_conversion = cls(
            instance=instance,
            name=name,
            wave=wave,
            state=state,
            reasons=reasons,
            operation=operation,
            attempts=attempts,
            probes_sent=probes_sent,
            probes_lost=probes_lost,
            checked_at=checked_at,
            verified_at=verified_at,
            adopted_at=adopted_at,
        )

        port_conversion.additional_properties = d
        return port_conversion

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
