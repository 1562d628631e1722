"""The audit chain of an address: what a record says, and the hash that binds it to the one before. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

START = ""
"""`previous` of an address's first record."""


def digest(
    previous: str,
    *,
    number: int,
    address: str,
    at: datetime,
    actor: str,
    request_id: str,
    action: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> str:
    """SHA-256, in hexadecimal, over the hash before and the record as canonical JSON (sorted keys, no spaces)."""
    record = {
        "number": number,
        "address": address,
        "at": at.astimezone(UTC).isoformat(),
        "actor": actor,
        "request_id": request_id,
        "action": action,
        "before": before,
        "after": after,
    }
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def broken_at(records: Iterable[dict[str, Any]]) -> int | None:
    """The number of the first record whose hash or link is wrong; None if the chain holds."""
    previous: str | None = None
    number = 0
    for record in records:
        linked = previous is None or (record["previous"] == previous and record["number"] == number + 1)
        fields = {key: value for key, value in record.items() if key not in {"previous", "hash"}}
        if not linked or digest(record["previous"], **fields) != record["hash"]:
            return int(record["number"])
        previous, number = record["hash"], record["number"]
    return None
