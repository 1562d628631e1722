from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.phase import Phase
from ..types import UNSET, Unset

T = TypeVar("T", bound="ConversionCreate")


@_attrs_define
class ConversionCreate:
    """Plans a zone's conversion; nothing of the zone changes before it is started.

    Attributes:
        zone (str):
        through (Phase | Unset): Where a zone's conversion is. What a phase stands for is done when it is left.
        in_flight (int | Unset): Ports between two modes at a time. Default: 50.
        failure_budget (int | Unset): Ports that may fail before it pauses by itself. Default: 10.
        soak_s (int | Unset): From a guest's adoption of its address to the seal. Default: 604800.
        restarts_guests (bool | Unset): In the tail, those that have not restarted by then. Default: False.
        canary (list[str] | Unset): Waves before the others, ports or a share of all.
        waves (list[str] | Unset): The others; the last goes on to the end.
        internal_project (None | str | Unset): Whose instances are converted first.
    """

    zone: str
    through: Phase | Unset = UNSET
    in_flight: int | Unset = 50
    failure_budget: int | Unset = 10
    soak_s: int | Unset = 604800
    restarts_guests: bool | Unset = False
    canary: list[str] | Unset = UNSET
    waves: list[str] | Unset = UNSET
    internal_project: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        zone = self.zone

        through: str | Unset = UNSET
        if not isinstance(self.through, Unset):
            through = self.through.value

        in_flight = self.in_flight

        failure_budget = self.failure_budget

        soak_s = self.soak_s

        restarts_guests = self.restarts_guests

        canary: list[str] | Unset = UNSET
        if not isinstance(self.canary, Unset):
            canary = self.canary

        waves: list[str] | Unset = UNSET
        if not isinstance(self.waves, Unset):
            waves = self.waves

        internal_project: None | str | Unset
        if isinstance(self.internal_project, Unset):
            internal_project = UNSET
        else:
            internal_project = self.internal_project

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "zone": zone,
            }
        )
        if through is not UNSET:
            field_dict["through"] = through
        if in_flight is not UNSET:
            field_dict["in_flight"] = in_flight
        if failure_budget is not UNSET:
            field_dict["failure_budget"] = failure_budget
        if soak_s is not UNSET:
            field_dict["soak_s"] = soak_s
        if restarts_guests is not UNSET:
            field_dict["restarts_guests"] = restarts_guests
        if canary is not UNSET:
            field_dict["canary"] = canary
        if waves is not UNSET:
            field_dict["waves"] = waves
        if internal_project is not UNSET:
            field_dict["internal_project"] = internal_project

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        zone = d.pop("zone")

        _through = d.pop("through", UNSET)
        through: Phase | Unset
        if isinstance(_through, Unset):
            through = UNSET
        else:
            through = Phase(_through)

        in_flight = d.pop("in_flight", UNSET)

        failure_budget = d.pop("failure_budget", UNSET)

        soak_s = d.pop("soak_s", UNSET)

        restarts_guests = d.pop("restarts_guests", UNSET)

        canary = cast(list[str], d.pop("canary", UNSET))

        waves = cast(list[str], d.pop("waves", UNSET))

        def _parse_internal_project(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        internal_project = _parse_internal_project(d.pop("internal_project", UNSET))

        conversion_create = cls(
            zone=zone,
            through=through,
            in_flight=in_flight,
            failure_budget=failure_budget,
            soak_s=soak_s,
            restarts_guests=restarts_guests,
            canary=canary,
            waves=waves,
            internal_project=internal_project,
        )

        return conversion_create
