from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.evidence_kind import EvidenceKind

T = TypeVar("T", bound="Evidence")


@_attrs_define
class Evidence:
    """Silence is none. `ref`: where it can be looked up: a ticket, a power controller's answer.

    Attributes:
        kind (EvidenceKind): Why it is certain that nothing runs on a node any more.
        ref (str):
    """

    kind: EvidenceKind
    ref: str

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        ref = self.ref

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "kind": kind,
                "ref": ref,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = EvidenceKind(d.pop("kind"))

        ref = d.pop("ref")

        evidence = cls(
            kind=kind,
            ref=ref,
        )

        return evidence
