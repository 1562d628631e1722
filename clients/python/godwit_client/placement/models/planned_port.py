from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.finding import Finding
    from ..models.prediction import Prediction


T = TypeVar("T", bound="PlannedPort")


@_attrs_define
class PlannedPort:
    """One port in a plan: its wave, what was found, and what will become of each of its addresses.

    Attributes:
        instance (UUID):
        name (str):
        project (str):
        wave (int):
        findings (list[Finding]):
        predicted (Prediction): What a conversion will do to a port.
    """

    instance: UUID
    name: str
    project: str
    wave: int
    findings: list[Finding]
    predicted: Prediction
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        instance = str(self.instance)

        name = self.name

        project = self.project

        wave = self.wave

        findings = []
        for findings_item_data in self.findings:
            findings_item = findings_item_data.to_dict()
            findings.append(findings_item)

        predicted = self.predicted.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "instance": instance,
                "name": name,
                "project": project,
                "wave": wave,
                "findings": findings,
                "predicted": predicted,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.finding import Finding  # noqa: PLC0415
        from ..models.prediction import Prediction  # noqa: PLC0415

        d = dict(src_dict)
        instance = UUID(d.pop("instance"))

        name = d.pop("name")

        project = d.pop("project")

        wave = d.pop("wave")

        findings = []
        _findings = d.pop("findings")
        for findings_item_data in _findings:
            findings_item = Finding.from_dict(findings_item_data)

            findings.append(findings_item)

        predicted = Prediction.from_dict(d.pop("predicted"))

        planned_port = cls(
            instance=instance,
            name=name,
            project=project,
            wave=wave,
            findings=findings,
            predicted=predicted,
        )

        planned_port.additional_properties = d
        return planned_port

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
