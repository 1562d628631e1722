from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="Realized")


@_attrs_define
class Realized:
    """Placement's report: the nodes hold what `revision` says; `waiting_for` says what is missing if not.

    Attributes:
        realized_revision (int | None | Unset):
        waiting_code (None | str | Unset):
        waiting_text (None | str | Unset):
        waiting_unblock (None | str | Unset):
    """

    realized_revision: int | None | Unset = UNSET
    waiting_code: None | str | Unset = UNSET
    waiting_text: None | str | Unset = UNSET
    waiting_unblock: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        realized_revision: int | None | Unset
        if isinstance(self.realized_revision, Unset):
            realized_revision = UNSET
        else:
            realized_revision = self.realized_revision

        waiting_code: None | str | Unset
        if isinstance(self.waiting_code, Unset):
            waiting_code = UNSET
        else:
            waiting_code = self.waiting_code

        waiting_text: None | str | Unset
        if isinstance(self.waiting_text, Unset):
            waiting_text = UNSET
        else:
            waiting_text = self.waiting_text

        waiting_unblock: None | str | Unset
        if isinstance(self.waiting_unblock, Unset):
            waiting_unblock = UNSET
        else:
            waiting_unblock = self.waiting_unblock

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if realized_revision is not UNSET:
            field_dict["realized_revision"] = realized_revision
        if waiting_code is not UNSET:
            field_dict["waiting_code"] = waiting_code
        if waiting_text is not UNSET:
            field_dict["waiting_text"] = waiting_text
        if waiting_unblock is not UNSET:
            field_dict["waiting_unblock"] = waiting_unblock

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_realized_revision(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        realized_revision = _parse_realized_revision(d.pop("realized_revision", UNSET))

        def _parse_waiting_code(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        waiting_code = _parse_waiting_code(d.pop("waiting_code", UNSET))

        def _parse_waiting_text(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        waiting_text = _parse_waiting_text(d.pop("waiting_text", UNSET))

        def _parse_waiting_unblock(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        waiting_unblock = _parse_waiting_unblock(d.pop("waiting_unblock", UNSET))

        realized = cls(
            realized_revision=realized_revision,
            waiting_code=waiting_code,
            waiting_text=waiting_text,
            waiting_unblock=waiting_unblock,
        )

        return realized
