"""Writes the audit record of a change, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from common.db import Transaction
from services.ipam import chain, model, wire
from services.ipam.service.caller import Caller
from services.ipam.store import records


def facts(fip: model.FlexibleIP) -> dict[str, Any]:
    """What the chain keeps of a flexible IP: whose it is, where it is and goes."""
    present, waiting = fip.present, fip.waiting
    failover = {
        "candidates": {f"{item.target_kind}/{item.target_id}": item.priority for item in fip.candidates},
        "health_check": fip.health_check,
        "frozen": fip.frozen_since is not None,
    }
    return {
        "flexible_ip": str(fip.id),
        "project": fip.project,
        "name": fip.name,
        "labels": dict(fip.labels),
        "protected": fip.protected,
        "released": fip.released_at is not None,
        "target": f"{present.target_kind}/{present.target_id}" if present else None,
        "leaving": present is not None and present.vanished is not None,
        "next_target": f"{waiting.target_kind}/{waiting.target_id}" if waiting else None,
        **(failover if fip.kind == wire.FlexibleIPKind.FAILOVER else {}),
    }


def record(
    tx: Transaction, caller: Caller, fip: model.FlexibleIP, action: str, before: dict[str, Any] | None, at: datetime
) -> None:
    """Append what `fip` is now to its address's chain. The caller holds the flexible IP's lock, or made it."""
    number, previous = records.last_audit(tx, fip.address) or (0, chain.START)
    entry: dict[str, Any] = {
        "number": number + 1,
        "address": fip.address,
        "at": at,
        "actor": caller.principal.subject,
        "request_id": caller.request_id,
        "action": action,
        "before": before,
        "after": facts(fip),
    }
    records.add_audit(
        tx,
        model.Audit(
            flexible_ip_id=fip.id,
            project=fip.project,
            previous=previous,
            hash=chain.digest(previous, **entry),
            **entry,
        ),
    )


@contextmanager
def change(tx: Transaction, caller: Caller, fip: model.FlexibleIP, action: str, at: datetime) -> Iterator[None]:
    """The block changes `fip`: a new revision, and a record of before and after."""
    before = facts(fip)
    yield
    fip.changed(at)
    record(tx, caller, fip, action, before, at)
