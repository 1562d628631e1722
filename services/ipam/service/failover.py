"""Failover addresses: their candidates, who of them is active, their health checks, and what keeps them from flapping.

The ledger probes nothing: a check's spec is in the active target's AddressSet, and who runs it asks for a failover.
"""

from __future__ import annotations

from uuid import UUID

from common.db import Transaction
from services.ipam import model, present, wire
from services.ipam.errors import AlreadyAttached, CandidateTwice
from services.ipam.service import attaching, journal
from services.ipam.service.caller import Caller
from services.ipam.service.flexible_ips import locked
from services.ipam.store import addresses, records

FAILOVER = "flexible_ip.failover"
"""Kind of operation."""


def failover(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.Failover) -> wire.Operation:
    """Make another candidate the active one, in one transaction; break before make, as a move.

    Asked again while it is under way, it answers the same operation.
    """
    if body.cause is wire.FailoverCause.HEALTH:
        caller.principal.require("service")
    fip = _locked(tx, caller, fip_id)
    if (going := _under_way(tx, fip, body)) is not None:
        return going
    held = fip.require_settled_on(body.from_)
    to_ref = fip.next_candidate(body.to).ref
    if held.serves(to_ref):
        raise AlreadyAttached(f"{fip.address} is attached to {to_ref} already")
    to = attaching.locked_targets(tx, fip, to_ref, held.ref)[0]
    attaching.require_room(tx, fip, to)
    at = addresses.clock(tx)
    with journal.change(tx, caller, fip, f"failover.{body.cause}", at):
        if body.cause is wire.FailoverCause.HEALTH:
            fip.fail_by_health(at)
        operation = records.open_operation(tx, FAILOVER, fip)
        attaching.hand_over(tx, fip, held, to, operation, at)
    return present.operation(operation)


def _under_way(tx: Transaction, fip: model.FlexibleIP, body: wire.Failover) -> wire.Operation | None:
    """The failover that does already what `body` asks for."""
    leaving, waiting = fip.present, fip.waiting
    if leaving is None or waiting is None:
        return None
    known = attaching.answered(tx, waiting.operation_id)
    fits = leaving.serves(body.from_ or leaving.ref) and waiting.serves(body.to or waiting.ref)
    return known if fits and known.kind == FAILOVER else None


def put_candidates(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.CandidatesPut) -> wire.FlexibleIP:
    """Set all candidates: targets of its project and zone with room for it, the active one among them."""
    fip = _locked(tx, caller, fip_id)
    wanted = {item.target: item.priority for item in body.candidates}
    if len(wanted) != len(body.candidates):
        raise CandidateTwice("a target is named twice")
    known = {item.ref: item.priority for item in fip.candidates}
    if wanted == known:
        return present.flexible_ip(fip)
    for target in attaching.locked_targets(tx, fip, *wanted):
        fip.require_same_zone(target)
        if target.ref not in known:
            attaching.require_room(tx, fip, target)
    with journal.change(tx, caller, fip, "candidates", addresses.clock(tx)):
        fip.set_candidates(wanted)
        _tell_holder(tx, fip)
    return present.flexible_ip(fip)


def put_health_check(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.HealthCheck | None) -> wire.FlexibleIP:
    """Have its holder checked, or with None no longer. Repeating it changes nothing."""
    fip = _locked(tx, caller, fip_id)
    spec = body.model_dump(mode="json") if body is not None else None
    if spec == fip.health_check:
        return present.flexible_ip(fip)
    with journal.change(tx, caller, fip, "health_check", addresses.clock(tx)):
        fip.health_check = spec
        _tell_holder(tx, fip)
    return present.flexible_ip(fip)


def thaw(tx: Transaction, caller: Caller, fip_id: UUID) -> wire.FlexibleIP:
    """Let it fail over by health again; what it did before no longer counts. Repeating it changes nothing."""
    fip = _locked(tx, caller, fip_id)
    if fip.frozen_since is None:
        return present.flexible_ip(fip)
    with journal.change(tx, caller, fip, "thaw", addresses.clock(tx)):
        fip.thaw()
    return present.flexible_ip(fip)


def _locked(tx: Transaction, caller: Caller, fip_id: UUID) -> model.FlexibleIP:
    """Raises FlexibleIPUnknown, StaleRevision, Quarantined, NotFailover."""
    fip = locked(tx, caller, fip_id)
    fip.require_held()
    fip.require_failover()
    return fip


def _tell_holder(tx: Transaction, fip: model.FlexibleIP) -> None:
    """The AddressSet that lists it changes with what is known of it."""
    held = fip.present
    if held is None or held.vanished is not None:
        return
    target = addresses.lock_targets(tx, [(held.target_kind, held.target_id)])[held.target_kind, held.target_id]
    target.addresses_revision += 1
    tx.ring(wire.ADDRESS_SET_CHANGED, target.kind, str(target.id))
