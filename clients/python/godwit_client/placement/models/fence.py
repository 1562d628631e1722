from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.evidence_kind import EvidenceKind

T = TypeVar("T", bound="Fence")


@_attrs_define
class Fence:
    """Why, by whom and when a node was fenced.

    Attributes:
        kind (EvidenceKind): Why it is certain that nothing runs on a node any more.
        ref (str):
        by (str):
        at (datetime.datetime):
    """

    kind: EvidenceKind
    ref: str
    by: str
    at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        ref = self.ref

        by = self.by

        at = self.at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "kind": kind,
                "ref": ref,
                "by": by,
                "at": at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = EvidenceKind(d.pop("kind"))

        ref = d.pop("ref")

        by = d.pop("by")

        at = datetime.datetime.fromisoformat(d.pop("at"))

        fence = cls(
            kind=kind,
            ref=ref,
            by=by,
            at=at,
        )

        return fence
