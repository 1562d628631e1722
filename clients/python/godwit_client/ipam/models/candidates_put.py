from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.candidate_put import CandidatePut


T = TypeVar("T", bound="CandidatesPut")


@_attrs_define
class CandidatesPut:
    """All candidates of a failover address; the active one among them.

    Attributes:
        candidates (list[CandidatePut]):
    """

    candidates: list[CandidatePut]

    def to_dict(self) -> dict[str, Any]:
        candidates = []
        for candidates_item_data in self.candidates:
            candidates_item = candidates_item_data.to_dict()
            candidates.append(candidates_item)

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "candidates": candidates,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.candidate_put import CandidatePut  # noqa: PLC0415

        d = dict(src_dict)
        candidates = []
        _candidates = d.pop("candidates")
        for candidates_item_data in _candidates:
            candidates_item = CandidatePut.from_dict(candidates_item_data)

            candidates.append(candidates_item)

        candidates_put = cls(
            candidates=candidates,
        )

        return candidates_put
