from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.failover_cause import FailoverCause
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.target_ref import TargetRef


T = TypeVar("T", bound="Failover")


@_attrs_define
class Failover:
    """To the candidate `to`; by default to the best one but for the active one.

    Attributes:
        from_ (None | TargetRef | Unset): Refused unless this is the active one. By `health` it is required.
        to (None | TargetRef | Unset):
        cause (FailoverCause | Unset): `health`: nobody asked for it, a check did; only a service says so.
    """

    from_: None | TargetRef | Unset = UNSET
    to: None | TargetRef | Unset = UNSET
    cause: FailoverCause | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        from_: dict[str, Any] | None | Unset
        if isinstance(self.from_, Unset):
            from_ = UNSET
        elif isinstance(self.from_, TargetRef):
            from_ = self.from_.to_dict()
        else:
            from_ = self.from_

        to: dict[str, Any] | None | Unset
        if isinstance(self.to, Unset):
            to = UNSET
        elif isinstance(self.to, TargetRef):
            to = self.to.to_dict()
        else:
            to = self.to

        cause: str | Unset = UNSET
        if not isinstance(self.cause, Unset):
            cause = self.cause.value

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if from_ is not UNSET:
            field_dict["from"] = from_
        if to is not UNSET:
            field_dict["to"] = to
        if cause is not UNSET:
            field_dict["cause"] = cause

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_ref import TargetRef  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_from_(data: object) -> None | TargetRef | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                from_type_0 = TargetRef.from_dict(data)

                return from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TargetRef | Unset, data)

        from_ = _parse_from_(d.pop("from", UNSET))

        def _parse_to(data: object) -> None | TargetRef | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                to_type_0 = TargetRef.from_dict(data)

                return to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TargetRef | Unset, data)

        to = _parse_to(d.pop("to", UNSET))

        _cause = d.pop("cause", UNSET)
        cause: FailoverCause | Unset
        if isinstance(_cause, Unset):
            cause = UNSET
        else:
            cause = FailoverCause(_cause)

        failover = cls(
            from_=from_,
            to=to,
            cause=cause,
        )

        return failover
