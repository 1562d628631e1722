from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.waiting import Waiting


T = TypeVar("T", bound="Realized")


@_attrs_define
class Realized:
    """Placement's report: the nodes hold what `realized_revision` says, or `waiting_for` says what keeps them.

    Attributes:
        realized_revision (int | None | Unset):
        realized_at (datetime.datetime | None | Unset): When they had read it back, by placement's clock.
        waiting_for (None | Unset | Waiting):
    """

    realized_revision: int | None | Unset = UNSET
    realized_at: datetime.datetime | None | Unset = UNSET
    waiting_for: None | Unset | Waiting = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.waiting import Waiting  # noqa: PLC0415

        realized_revision: int | None | Unset
        if isinstance(self.realized_revision, Unset):
            realized_revision = UNSET
        else:
            realized_revision = self.realized_revision

        realized_at: None | str | Unset
        if isinstance(self.realized_at, Unset):
            realized_at = UNSET
        elif isinstance(self.realized_at, datetime.datetime):
            realized_at = self.realized_at.isoformat()
        else:
            realized_at = self.realized_at

        waiting_for: dict[str, Any] | None | Unset
        if isinstance(self.waiting_for, Unset):
            waiting_for = UNSET
        elif isinstance(self.waiting_for, Waiting):
            waiting_for = self.waiting_for.to_dict()
        else:
            waiting_for = self.waiting_for

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if realized_revision is not UNSET:
            field_dict["realized_revision"] = realized_revision
        if realized_at is not UNSET:
            field_dict["realized_at"] = realized_at
        if waiting_for is not UNSET:
            field_dict["waiting_for"] = waiting_for

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.waiting import Waiting  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_realized_revision(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        realized_revision = _parse_realized_revision(d.pop("realized_revision", UNSET))

        def _parse_realized_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                realized_at_type_0 = datetime.datetime.fromisoformat(data)

                return realized_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        realized_at = _parse_realized_at(d.pop("realized_at", UNSET))

        def _parse_waiting_for(data: object) -> None | Unset | Waiting:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                waiting_for_type_0 = Waiting.from_dict(data)

                return waiting_for_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | Waiting, data)

        waiting_for = _parse_waiting_for(d.pop("waiting_for", UNSET))

        realized = cls(
            realized_revision=realized_revision,
            realized_at=realized_at,
            waiting_for=waiting_for,
        )

        return realized
