from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.verdict import Verdict

if TYPE_CHECKING:
    from ..models.trace_finding import TraceFinding


T = TypeVar("T", bound="AddressReachability")


@_attrs_define
class AddressReachability:
    """Whether packets reach one address of a port, and leave from it, as read back from the nodes' kernels.

    Attributes:
        address (str):
        verdict (Verdict): What it comes to. `differs`: a kernel holds, or an edge does, something else than was asked
            for.
        summary (str):
        inbound (bool | None): Null: not known.
        outbound (bool | None):
        findings (list[TraceFinding]):
    """

    address: str
    verdict: Verdict
    summary: str
    inbound: bool | None
    outbound: bool | None
    findings: list[TraceFinding]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        address = self.address

        verdict = self.verdict.value

        summary = self.summary

        inbound: bool | None
        inbound = self.inbound

        outbound: bool | None
        outbound = self.outbound

        findings = []
        for findings_item_data in self.findings:
            findings_item = findings_item_data.to_dict()
            findings.append(findings_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "address": address,
                "verdict": verdict,
                "summary": summary,
                "inbound": inbound,
                "outbound": outbound,
                "findings": findings,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.trace_finding import TraceFinding  # noqa: PLC0415

        d = dict(src_dict)
        address = d.pop("address")

        verdict = Verdict(d.pop("verdict"))

        summary = d.pop("summary")

        def _parse_inbound(data: object) -> bool | None:
            if data is None:
                return data
            return cast(bool | None, data)

        inbound = _parse_inbound(d.pop("inbound"))

        def _parse_outbound(data: object) -> bool | None:
            if data is None:
                return data
            return cast(bool | None, data)

        outbound = _parse_outbound(d.pop("outbound"))

        findings = []
        _findings = d.pop("findings")
        for findings_item_data in _findings:
            findings_item = TraceFinding.from_dict(findings_item_data)

            findings.append(findings_item)

        address_reachability = cls(
            address=address,
            verdict=verdict,
            summary=summary,
            inbound=inbound,
            outbound=outbound,
            findings=findings,
        )

        address_reachability.additional_properties = d
        return address_reachability

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
