from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.verdict import Verdict

if TYPE_CHECKING:
    from ..models.trace_finding import TraceFinding
    from ..models.trace_step import TraceStep
    from ..models.trace_way import TraceWay


T = TypeVar("T", bound="Trace")


@_attrs_define
class Trace:
    """Where packets for and from an address go, and where that is not what was asked for.

    Attributes:
        address (str):
        zone (str):
        instance (None | str):
        port (None | UUID):
        verdict (Verdict): What it comes to. `differs`: a kernel holds, or an edge does, something else than was asked
            for.
        summary (str):
        inbound (TraceWay): The places a packet passes, as things are.
        outbound (TraceWay): The places a packet passes, as things are.
        steps (list[TraceStep]):
        findings (list[TraceFinding]):
    """

    address: str
    zone: str
    instance: None | str
    port: None | UUID
    verdict: Verdict
    summary: str
    inbound: TraceWay
    outbound: TraceWay
    steps: list[TraceStep]
    findings: list[TraceFinding]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        address = self.address

        zone = self.zone

        instance: None | str
        instance = self.instance

        port: None | str
        if isinstance(self.port, UUID):
            port = str(self.port)
        else:
            port = self.port

        verdict = self.verdict.value

        summary = self.summary

        inbound = self.inbound.to_dict()

        outbound = self.outbound.to_dict()

        steps = []
        for steps_item_data in self.steps:
            steps_item = steps_item_data.to_dict()
            steps.append(steps_item)

        findings = []
        for findings_item_data in self.findings:
            findings_item = findings_item_data.to_dict()
            findings.append(findings_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "address": address,
                "zone": zone,
                "instance": instance,
                "port": port,
                "verdict": verdict,
                "summary": summary,
                "inbound": inbound,
                "outbound": outbound,
                "steps": steps,
                "findings": findings,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.trace_finding import TraceFinding  # noqa: PLC0415
        from ..models.trace_step import TraceStep  # noqa: PLC0415
        from ..models.trace_way import TraceWay  # noqa: PLC0415

        d = dict(src_dict)
        address = d.pop("address")

        zone = d.pop("zone")

        def _parse_instance(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        instance = _parse_instance(d.pop("instance"))

        def _parse_port(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                port_type_0 = UUID(data)

                return port_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        port = _parse_port(d.pop("port"))

        verdict = Verdict(d.pop("verdict"))

        summary = d.pop("summary")

        inbound = TraceWay.from_dict(d.pop("inbound"))

        outbound = TraceWay.from_dict(d.pop("outbound"))

        steps = []
        _steps = d.pop("steps")
        for steps_item_data in _steps:
            steps_item = TraceStep.from_dict(steps_item_data)

            steps.append(steps_item)

        findings = []
        _findings = d.pop("findings")
        for findings_item_data in _findings:
            findings_item = TraceFinding.from_dict(findings_item_data)

            findings.append(findings_item)

        trace = cls(
            address=address,
            zone=zone,
            instance=instance,
            port=port,
            verdict=verdict,
            summary=summary,
            inbound=inbound,
            outbound=outbound,
            steps=steps,
            findings=findings,
        )

        trace.additional_properties = d
        return trace

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
