"""A flexible IP's life in its project: reserved, named, protected, released, restored."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from common.db import Transaction
from common.web import Page, Paging, check_revision
from services.ipam import addressing, model, present, wire
from services.ipam.errors import Attached, FlexibleIPUnknown, NotReleased, Protected
from services.ipam.service import journal, supply
from services.ipam.service.caller import Caller
from services.ipam.store import addresses, records, supply as supply_store


def reserve(tx: Transaction, caller: Caller, body: wire.FlexibleIPReserve) -> wire.FlexibleIP:
    """Take a free address, or the one named, for a project."""
    project = caller.acting_for(body.project)
    pool, address = supply.claim(tx, body)
    supply.count(tx, project, body.family)
    at = addresses.clock(tx)
    fip = model.FlexibleIP(
        id=model.new_id(),
        project=project,
        zone=pool.zone,
        pool=pool,
        family=body.family,
        kind=body.kind,
        address=address,
        interface_id=(
            addressing.interface_address(address, secrets.randbelow) if body.family is wire.Family.IPV6 else None
        ),
        name=body.name,
        labels=body.labels.root,
        protected=False,
        revision=1,
        created_at=at,
        updated_at=at,
        attachments=[],
        stored_candidates=[],
    )
    tx.session.add(fip)
    records.open_holding(tx, fip, None, at)
    journal.record(tx, caller, fip, "reserve", None, at)
    return present.flexible_ip(fip)


def flexible_ip(tx: Transaction, caller: Caller, fip_id: UUID) -> wire.FlexibleIP:
    found = addresses.flexible_ip(tx, fip_id, caller.scope)
    if found is None:
        raise FlexibleIPUnknown(f"there is no flexible IP {str(fip_id)!r}")
    return present.flexible_ip(found)


def flexible_ips(tx: Transaction, paging: Paging, shown: wire.FlexibleIPFilter) -> Page[wire.FlexibleIP]:
    rows = addresses.flexible_ips(tx, shown, paging.limit + 1, paging.key(UUID))
    return paging.page([present.flexible_ip(row) for row in rows], lambda item: [str(item.id)])


def locked(tx: Transaction, caller: Caller, fip_id: UUID) -> model.FlexibleIP:
    """The flexible IP to change. Raises FlexibleIPUnknown, StaleRevision."""
    found = addresses.lock_flexible_ip(tx, fip_id, caller.scope)
    if found is None:
        raise FlexibleIPUnknown(f"there is no flexible IP {str(fip_id)!r}")
    check_revision(caller.expected_revision, found.revision)
    return found


def update(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.FlexibleIPUpdate) -> wire.FlexibleIP:
    fip = locked(tx, caller, fip_id)
    fip.require_held()
    given = body.model_dump(include=body.model_fields_set)
    with journal.change(tx, caller, fip, "update", addresses.clock(tx)):
        if "name" in given:
            fip.name = given["name"]
        if "labels" in given:
            fip.labels = given["labels"] or {}
        if "protected" in given:
            fip.protected = bool(given["protected"])
    return present.flexible_ip(fip)


def release(tx: Transaction, caller: Caller, fip_id: UUID) -> wire.FlexibleIP:
    """Give the address back: it rests, then is free in its pool, or gone if carried. Repeating it changes nothing.

    A failover address loses its candidates, which keep no room for it, and its health check.
    """
    fip = locked(tx, caller, fip_id)
    if fip.released_at is not None:
        return present.flexible_ip(fip)
    if fip.present is not None:
        raise Attached(f"{fip.address} is {fip.state}; detach it and wait for the operation first")
    if fip.protected:
        raise Protected(f"{fip.address} is protected; clear `protected` first")
    at = addresses.clock(tx)
    with journal.change(tx, caller, fip, "release", at):
        fip.released_at = records.close_holding(tx, fip, at)
        fip.quarantined_until = at + fip.quarantine
        fip.stored_candidates.clear()
        fip.health_check = None
        fip.thaw()
        supply_store.free(tx, fip.address, fip.quarantined_until)
        if not fip.carried:
            supply_store.give_back_quota(tx, fip.project, fip.family)
    return present.flexible_ip(fip)


def restore(tx: Transaction, caller: Caller, fip_id: UUID) -> wire.FlexibleIP:
    """Take back an address that still rests. Raises NotReleased, FlexibleIPUnknown once it is too late."""
    fip = locked(tx, caller, fip_id)
    if fip.released_at is None:
        raise NotReleased(f"{fip.address} was not released")
    if not supply_store.reclaim(tx, fip.address):
        raise FlexibleIPUnknown(f"there is no flexible IP {str(fip_id)!r}")
    if not fip.carried:
        supply.count(tx, fip.project, fip.family)
    at = addresses.clock(tx)
    with journal.change(tx, caller, fip, "restore", at):
        fip.released_at = fip.quarantined_until = None
        records.open_holding(tx, fip, None, at)
    return present.flexible_ip(fip)


# --- what was --------------------------------------------------------------------------------------------------------


def holdings(
    tx: Transaction, caller: Caller, paging: Paging, project: str | None, address: str | None, at: datetime | None
) -> Page[wire.Holding]:
    """Who held what, the newest first; an address within a held prefix finds it."""
    cidr = addressing.parse_address(address, addressing.family_of(address)) if address is not None else None
    rows = records.holdings(
        tx, paging.limit + 1, paging.key(datetime.fromisoformat, UUID), caller.filtered(project), cidr, at
    )
    last = rows[paging.limit - 1] if len(rows) > paging.limit else None
    return paging.page(
        [present.holding(row) for row in rows],
        lambda item: [item.since.isoformat(), str(last.id) if last else ""],
    )


def audit(tx: Transaction, caller: Caller, paging: Paging, fip_id: UUID) -> Page[wire.AuditRecord]:
    """The chain of a flexible IP's address, while this flexible IP held it."""
    flexible_ip(tx, caller, fip_id)
    rows = records.audit(tx, fip_id, paging.limit + 1, paging.key(int))
    return paging.page([present.audit(row) for row in rows], lambda item: [str(item.number)])
