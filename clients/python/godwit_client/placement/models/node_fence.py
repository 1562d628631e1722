from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.evidence import Evidence


T = TypeVar("T", bound="NodeFence")


@_attrs_define
class NodeFence:
    """Why it is certain that the node is dead.

    Attributes:
        evidence (Evidence): Silence is none. `ref`: where it can be looked up: a ticket, a power controller's answer.
    """

    evidence: Evidence

    def to_dict(self) -> dict[str, Any]:
        evidence = self.evidence.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "evidence": evidence,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.evidence import Evidence  # noqa: PLC0415

        d = dict(src_dict)
        evidence = Evidence.from_dict(d.pop("evidence"))

        node_fence = cls(
            evidence=evidence,
        )

        return node_fence
