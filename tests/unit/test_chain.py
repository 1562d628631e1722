"""The audit chain of an address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ipam import chain

START = datetime(2026, 1, 1, tzinfo=UTC)


def _chain(length: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    previous = chain.START
    for number in range(1, length + 1):
        fields: dict[str, Any] = {
            "number": number,
            "address": "198.18.0.7/32",
            "at": START + timedelta(seconds=number),
            "actor": "rita",
            "request_id": f"r{number}",
            "action": "update",
            "before": {"name": f"n{number - 1}"},
            "after": {"name": f"n{number}"},
        }
        digest = chain.digest(previous, **fields)
        records.append({**fields, "previous": previous, "hash": digest})
        previous = digest
    return records


def test_an_untouched_chain_holds() -> None:
    assert chain.broken_at(_chain(5)) is None


@pytest.mark.parametrize("field", ["at", "actor", "request_id", "action", "before", "after", "address", "hash"])
def test_a_record_altered_in_any_field_is_found(field: str) -> None:
    records = _chain(5)
    records[2][field] = {"at": START, "before": None, "after": {}}.get(field, "forged")

    assert chain.broken_at(records) == 3


def test_a_record_taken_out_is_found() -> None:
    records = _chain(5)
    del records[2]

    assert chain.broken_at(records) == 4


def test_the_hash_does_not_depend_on_the_order_of_keys_or_the_time_zone() -> None:
    record = _chain(1)[0]
    fields = {key: value for key, value in record.items() if key not in {"previous", "hash"}}
    fields["after"] = {"b": 1, "a": 2}
    other = {**fields, "after": {"a": 2, "b": 1}}

    assert chain.digest("", **fields) == chain.digest("", **other)
