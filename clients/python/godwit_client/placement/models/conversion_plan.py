from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.phase import Phase

if TYPE_CHECKING:
    from ..models.planned_port import PlannedPort
    from ..models.port_counts import PortCounts
    from ..models.reason import Reason
    from ..models.wave import Wave


T = TypeVar("T", bound="ConversionPlan")


@_attrs_define
class ConversionPlan:
    """A conversion as planned, with every port.

    Attributes:
        id (UUID):
        zone (str):
        phase (Phase): Where a zone's conversion is. What a phase stands for is done when it is left.
        through (Phase): Where a zone's conversion is. What a phase stands for is done when it is left.
        paused (list[Reason]): Empty: it goes on. A person resumes it.
        in_flight (int):
        failure_budget (int):
        soak_s (int):
        restarts_guests (bool):
        operation (None | str): Null until it is started.
        waves (list[Wave]):
        ports (PortCounts): How many ports are in which state; a state with none is left out.
        ports_per_s (float | None): From the first port checked to the last one verified.
        estimated_end (datetime.datetime | None):
        probes_sent (int):
        probes_lost (int):
        attempts (int):
        revision (int):
        created_at (datetime.datetime):
        addresses_changed (int): Public or IPv6 addresses that the conversion would change.
        planned (list[PlannedPort]):
    """

    id: UUID
    zone: str
    phase: Phase
    through: Phase
    paused: list[Reason]
    in_flight: int
    failure_budget: int
    soak_s: int
    restarts_guests: bool
    operation: None | str
    waves: list[Wave]
    ports: PortCounts
    ports_per_s: float | None
    estimated_end: datetime.datetime | None
    probes_sent: int
    probes_lost: int
    attempts: int
    revision: int
    created_at: datetime.datetime
    addresses_changed: int
    planned: list[PlannedPort]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        zone = self.zone

        phase = self.phase.value

        through = self.through.value

        paused = []
        for paused_item_data in self.paused:
            paused_item = paused_item_data.to_dict()
            paused.append(paused_item)

        in_flight = self.in_flight

        failure_budget = self.failure_budget

        soak_s = self.soak_s

        restarts_guests = self.restarts_guests

        operation: None | str
        operation = self.operation

        waves = []
        for waves_item_data in self.waves:
            waves_item = waves_item_data.to_dict()
            waves.append(waves_item)

        ports = self.ports.to_dict()

        ports_per_s: float | None
        ports_per_s = self.ports_per_s

        estimated_end: None | str
        if isinstance(self.estimated_end, datetime.datetime):
            estimated_end = self.estimated_end.isoformat()
        else:
            estimated_end = self.estimated_end

        probes_sent = self.probes_sent

        probes_lost = self.probes_lost

        attempts = self.attempts

        revision = self.revision

        created_at = self.created_at.isoformat()

        addresses_changed = self.addresses_changed

        planned = []
        for planned_item_data in self.planned:
            planned_item = planned_item_data.to_dict()
            planned.append(planned_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "zone": zone,
                "phase": phase,
                "through": through,
                "paused": paused,
                "in_flight": in_flight,
                "failure_budget": failure_budget,
                "soak_s": soak_s,
                "restarts_guests": restarts_guests,
                "operation": operation,
                "waves": waves,
                "ports": ports,
                "ports_per_s": ports_per_s,
                "estimated_end": estimated_end,
                "probes_sent": probes_sent,
                "probes_lost": probes_lost,
                "attempts": attempts,
                "revision": revision,
                "created_at": created_at,
                "addresses_changed": addresses_changed,
                "planned": planned,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.planned_port import PlannedPort  # noqa: PLC0415
        from ..models.port_counts import PortCounts  # noqa: PLC0415
        from ..models.reason import Reason  # noqa: PLC0415
        from ..models.wave import Wave  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        zone = d.pop("zone")

        phase = Phase(d.pop("phase"))

        through = Phase(d.pop("through"))

        paused = []
        _paused = d.pop("paused")
        for paused_item_data in _paused:
            paused_item = Reason.from_dict(paused_item_data)

            paused.append(paused_item)

        in_flight = d.pop("in_flight")

        failure_budget = d.pop("failure_budget")

        soak_s = d.pop("soak_s")

        restarts_guests = d.pop("restarts_guests")

        def _parse_operation(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        operation = _parse_operation(d.pop("operation"))

        waves = []
        _waves = d.pop("waves")
        for waves_item_data in _waves:
            waves_item = Wave.from_dict(waves_item_data)

            waves.append(waves_item)

        ports = PortCounts.from_dict(d.pop("ports"))

        def _parse_ports_per_s(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        ports_per_s = _parse_ports_per_s(d.pop("ports_per_s"))

        def _parse_estimated_end(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                estimated_end_type_0 = datetime.datetime.fromisoformat(data)

                return estimated_end_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        estimated_end = _parse_estimated_end(d.pop("estimated_end"))

        probes_sent = d.pop("probes_sent")

        probes_lost = d.pop("probes_lost")

        attempts = d.pop("attempts")

        revision = d.pop("revision")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        addresses_changed = d.pop("addresses_changed")

        planned = []
        _planned = d.pop("planned")
        for planned_item_data in _planned:
            planned_item = PlannedPort.from_dict(planned_item_data)

            planned.append(planned_item)

        conversion_plan = cls(
            id=id,
            zone=zone,
            phase=phase,
            through=through,
            paused=paused,
            in_flight=in_flight,
            failure_budget=failure_budget,
            soak_s=soak_s,
            restarts_guests=restarts_guests,
            operation=operation,
            waves=waves,
            ports=ports,
            ports_per_s=ports_per_s,
            estimated_end=estimated_end,
            probes_sent=probes_sent,
            probes_lost=probes_lost,
            attempts=attempts,
            revision=revision,
            created_at=created_at,
            addresses_changed=addresses_changed,
            planned=planned,
        )

        conversion_plan.additional_properties = d
        return conversion_plan

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
