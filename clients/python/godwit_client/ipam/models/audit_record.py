from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.facts import Facts


T = TypeVar("T", bound="AuditRecord")


@_attrs_define
class AuditRecord:
    """One change of one address: an append-only chain (`previous` is the hash of the record before).

    Attributes:
        number (int):
        address (str):
        at (datetime.datetime):
        actor (str):
        request_id (str):
        action (str):
        before (Facts | None): Null: it was not held.
        after (Facts | None):
        previous (str):
        hash_ (str):
    """

    number: int
    address: str
    at: datetime.datetime
    actor: str
    request_id: str
    action: str
    before: Facts | None
    after: Facts | None
    previous: str
    hash_: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.facts import Facts  # noqa: PLC0415

        number = self.number

        address = self.address

        at = self.at.isoformat()

        actor = self.actor

        request_id = self.request_id

        action = self.action

        before: dict[str, Any] | None
        if isinstance(self.before, Facts):
            before = self.before.to_dict()
        else:
            before = self.before

        after: dict[str, Any] | None
        if isinstance(self.after, Facts):
            after = self.after.to_dict()
        else:
            after = self.after

        previous = self.previous

        hash_ = self.hash_

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "number": number,
                "address": address,
                "at": at,
                "actor": actor,
                "request_id": request_id,
                "action": action,
                "before": before,
                "after": after,
                "previous": previous,
                "hash": hash_,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.facts import Facts  # noqa: PLC0415

        d = dict(src_dict)
        number = d.pop("number")

        address = d.pop("address")

        at = datetime.datetime.fromisoformat(d.pop("at"))

        actor = d.pop("actor")

        request_id = d.pop("request_id")

        action = d.pop("action")

        def _parse_before(data: object) -> Facts | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                before_type_0 = Facts.from_dict(data)

                return before_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Facts | None, data)

        before = _parse_before(d.pop("before"))

        def _parse_after(data: object) -> Facts | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                after_type_0 = Facts.from_dict(data)

                return after_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Facts | None, data)

        after = _parse_after(d.pop("after"))

        previous = d.pop("previous")

        hash_ = d.pop("hash")

        audit_record = cls(
            number=number,
            address=address,
            at=at,
            actor=actor,
            request_id=request_id,
            action=action,
            before=before,
            after=after,
            previous=previous,
            hash_=hash_,
        )

        audit_record.additional_properties = d
        return audit_record

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
