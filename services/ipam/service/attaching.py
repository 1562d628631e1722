"""Addresses on targets: attach, detach, move, swap, and what the nodes' reports complete.

Between targets it is break before make: a move's new target gets its revision, and its bell, in the transaction that
records the old one's withdrawal as realised.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from common.db import Contended, Transaction
from common.web import Page, Paging, check_revision
from services.ipam import metrics, model, present, wire
from services.ipam.errors import (
    AlreadyAttached,
    FlexibleIPUnknown,
    NotAttachedThere,
    OperationSuperseded,
    OperationUnknown,
    RevisionUnknown,
    SwapSame,
    TargetDeleted,
    TargetImmutable,
    TargetLimit,
    TargetUnknown,
    ZoneUnknown,
)
from services.ipam.service import journal
from services.ipam.service.caller import Caller
from services.ipam.service.flexible_ips import locked
from services.ipam.store import addresses, records, supply

ATTACH, DETACH, MOVE, SWAP = "flexible_ip.attach", "flexible_ip.detach", "flexible_ip.move", "flexible_ip.swap"
"""Kinds of operations."""

WITHDRAWAL_UNREALISED = "ipam.withdrawal.unrealised"


def attach(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.Attach) -> wire.Operation:
    """Attach to a target of the same project and zone; repeating it answers the same operation.

    Of a failover address it makes the target the active one of its candidates.
    """
    fip = locked(tx, caller, fip_id)
    fip.require_held()
    target = locked_targets(tx, fip, body.target)[0]
    held = fip.present
    if held is not None and held.vanished is None and held.serves(body.target):
        return answered(tx, held.operation_id)
    fip.require_detached()
    fip.require_same_zone(target)
    require_room(tx, fip, target)
    at = addresses.clock(tx)
    operation = records.open_operation(tx, ATTACH, fip)
    with journal.change(tx, caller, fip, "attach", at):
        fip.become_candidate(body.target)
        fip.serve(target, body.role, operation, at)
        records.change_holder(tx, fip, target, at)
    tx.ring(wire.ADDRESS_SET_CHANGED, target.kind, str(target.id))
    return present.operation(operation)


def detach(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.Detach) -> wire.Operation:
    """Take it off its target; it counts as held there until the nodes have withdrawn it."""
    fip = locked(tx, caller, fip_id)
    held = fip.present
    if held is None and body.from_ is not None:
        raise NotAttachedThere(f"{fip.address} is attached to nothing")
    leaving = held is not None and held.vanished is not None and fip.waiting is None
    if held is not None and leaving and (body.from_ is None or held.serves(body.from_)):
        return _detaching(tx, fip, held)
    held = fip.require_settled_on(body.from_)
    at = addresses.clock(tx)
    with journal.change(tx, caller, fip, "detach", at):
        operation = records.open_operation(tx, DETACH, fip)
        _leave(tx, fip, held, operation)
    return present.operation(operation)


def move(tx: Transaction, caller: Caller, fip_id: UUID, body: wire.Move) -> wire.Operation:
    """Take it from one target to another in one go; refused unless `from` holds it."""
    fip = locked(tx, caller, fip_id)
    fip.require_held()
    held, waiting = fip.present, fip.waiting
    if held is None:
        raise NotAttachedThere(f"{fip.address} is attached to nothing")
    if waiting is not None and waiting.serves(body.to) and held.serves(body.from_):
        return answered(tx, waiting.operation_id)
    held = fip.require_settled_on(body.from_)
    if held.serves(body.to):
        raise AlreadyAttached(f"{fip.address} is attached to {body.to} already")
    to = locked_targets(tx, fip, body.to, body.from_)[0]
    fip.require_same_zone(to)
    require_room(tx, fip, to)
    at = addresses.clock(tx)
    with journal.change(tx, caller, fip, "move", at):
        fip.become_candidate(body.to)
        operation = records.open_operation(tx, MOVE, fip)
        hand_over(tx, fip, held, to, operation, at)
    return present.operation(operation)


def swap(tx: Transaction, caller: Caller, body: wire.Swap) -> wire.Operation:
    """Let two addresses change places, in one operation; refused unless each is where `body` says."""
    sides = (body.first, body.second)
    if body.first.flexible_ip == body.second.flexible_ip or body.first.target == body.second.target:
        raise SwapSame("the two addresses are one, or on one target")
    found = {fip.id: fip for fip in addresses.lock_flexible_ips(tx, [side.flexible_ip for side in sides])}
    fips = [_visible(caller, found, side.flexible_ip) for side in sides]
    going = {fip.waiting.operation_id if fip.waiting else None for fip in fips}
    placed = all(fip.present and fip.present.serves(side.target) for fip, side in zip(fips, sides, strict=True))
    if placed and len(going) == 1 and (known := going.pop()) is not None:
        return answered(tx, known)
    held = [_held_there(fip, side.target) for fip, side in zip(fips, sides, strict=True)]
    targets = locked_targets(tx, fips[0], body.second.target, body.first.target)
    at = addresses.clock(tx)
    operation = records.open_operation(tx, SWAP, fips[0])
    with journal.change(tx, caller, fips[0], "swap", at), journal.change(tx, caller, fips[1], "swap", at):
        for fip, old, to in zip(fips, held, targets, strict=True):
            fip.become_candidate(to.ref)
            hand_over(tx, fip, old, to, operation, at)
        tx.session.flush()
        for fip, to in zip(fips, targets, strict=True):  # of what it comes to: each makes room for the other
            require_room(tx, fip, to)
    return present.operation(operation)


def _visible(caller: Caller, found: dict[UUID, model.FlexibleIP], fip_id: UUID) -> model.FlexibleIP:
    fip = found.get(fip_id)
    if fip is None or caller.scope not in {None, fip.project}:
        raise FlexibleIPUnknown(f"there is no flexible IP {str(fip_id)!r}")
    fip.require_held()
    return fip


def _held_there(fip: model.FlexibleIP, target: wire.TargetRef) -> model.Attachment:
    if fip.present is None:
        raise NotAttachedThere(f"{fip.address} is attached to nothing")
    return fip.require_settled_on(target)


def _detaching(tx: Transaction, fip: model.FlexibleIP, held: model.Attachment) -> wire.Operation:
    """The operation of a detach asked for again; a new one if it began as a move whose target went."""
    current = records.operations_by_id(tx, [held.operation_id])[held.operation_id]
    if current.kind != DETACH:
        current = records.open_operation(tx, DETACH, fip)
        held.operation_id = current.id
    return present.operation(current)


def hand_over(
    tx: Transaction,
    fip: model.FlexibleIP,
    held: model.Attachment,
    to: model.Target,
    operation: model.Operation,
    at: datetime,
) -> None:
    """Let `to` wait for what `held` gives up (break before make). The targets are locked."""
    _leave(tx, fip, held, operation)
    _await_withdrawal(operation, fip.address, held.ref)
    fip.queue_for(to, held.role, operation, at)


def _await_withdrawal(operation: model.Operation, address: str, old: wire.TargetRef) -> None:
    operation.wait(
        WITHDRAWAL_UNREALISED,
        f"the nodes of {old} have not yet withdrawn {address}",
        "it goes on by itself once their node answers again",
    )


def _leave(tx: Transaction, fip: model.FlexibleIP, held: model.Attachment, operation: model.Operation) -> None:
    """Let `held` vanish from the next revision of its target, under a new operation."""
    target = addresses.lock_targets(tx, [(held.target_kind, held.target_id)])[held.target_kind, held.target_id]
    former = records.operations_by_id(tx, [held.operation_id])[held.operation_id]
    if not former.finished:
        verb = operation.kind.removeprefix("flexible_ip.")
        former.fail(OperationSuperseded.code, f"another request, {verb}, concerns {fip.address}")
    target.addresses_revision += 1
    held.vanished = target.addresses_revision
    held.operation_id = operation.id
    tx.ring(wire.ADDRESS_SET_CHANGED, target.kind, str(target.id))


def locked_targets(tx: Transaction, fip: model.FlexibleIP, *refs: wire.TargetRef) -> list[model.Target]:
    """The targets named, locked together. Raises TargetUnknown for one that is not the flexible IP's project's."""
    rows = addresses.lock_targets(tx, [(ref.kind, ref.id) for ref in refs])
    found = []
    for ref in refs:
        target = rows.get((ref.kind, ref.id))
        if target is None or target.project != fip.project:
            raise TargetUnknown(f"there is no {ref.kind} {str(ref.id)!r}")
        found.append(target)
    return found


def require_room(tx: Transaction, fip: model.FlexibleIP, target: model.Target) -> None:
    """Raises TargetLimit if the target could not have `fip` beside what else it holds, awaits or may come to it."""
    if fip.carried:
        return
    limit = target.limit(fip.family)
    if addresses.others_on(tx, target, fip) >= limit:
        raise TargetLimit(f"{target.ref} may hold {limit} {fip.family} and does; detach one first")


# --- address sets ----------------------------------------------------------------------------------------------------


def address_set(tx: Transaction, caller: Caller, kind: str, target_id: UUID) -> wire.AddressSet:
    target = _target(tx, caller, kind, target_id)
    return present.address_set(target, addresses.attachments_of(tx, kind, target_id))


def lagging(tx: Transaction, paging: Paging, kind: str | None) -> Page[wire.LaggingTarget]:
    rows = addresses.targets(tx, paging.limit + 1, paging.key(str, UUID), kind, None, lagging=True)
    return paging.page([present.lagging(row) for row in rows], lambda item: [item.target.kind, str(item.target.id)])


def report_realized(
    tx: Transaction, caller: Caller, kind: str, target_id: UUID, body: wire.Realized
) -> wire.AddressSet:
    """What the nodes of a target have read back, or what keeps them from it. An older report changes nothing."""
    caller.require_kind(kind)
    revision = body.realized_revision
    left = addresses.leaving(tx, kind, target_id, revision) if revision is not None else set()
    fips = addresses.lock_flexible_ips(tx, left)
    keys = {(kind, target_id), *(addresses.successors(tx, kind, target_id) if left else ())}
    targets = addresses.lock_targets(tx, keys)
    target = targets.get((kind, target_id))
    if target is None:
        raise TargetUnknown(f"there is no {kind} {str(target_id)!r}")
    if revision is not None:
        if revision > target.addresses_revision:
            raise RevisionUnknown(f"{kind} {target_id} is at revision {target.addresses_revision}, not {revision}")
        target.realized_revision = max(target.realized_revision, revision)
    at = addresses.clock(tx)
    for fip in fips:
        # `left` was read without a lock: by now the address may be leaving somebody else.
        if fip.present is not None and fip.present.leaves(kind, target_id, by=target.realized_revision):
            _withdrawn(tx, caller, fip, at, body.realized_at)
    tx.session.flush()
    attachments = addresses.attachments_of(tx, kind, target_id)
    _tell_operations(tx, target, attachments, body)
    return present.address_set(target, attachments)


def _withdrawn(
    tx: Transaction, caller: Caller, fip: model.FlexibleIP, at: datetime, realized_at: datetime | None = None
) -> None:
    """The old target's nodes have given `fip` up: it is free, or the target that waits for it gets it."""
    left, waiting = fip.present, fip.waiting
    if left is None or left.vanished is None:
        return
    operation = records.operations_by_id(tx, [left.operation_id])[left.operation_id]
    with journal.change(tx, caller, fip, "withdrawn", at):
        fip.attachments.remove(left)
        tx.session.flush()
        if waiting is None:
            records.change_holder(tx, fip, None, at)
            if not operation.finished:
                operation.succeed()
                metrics.realized(operation)
        else:
            target = waiting.target
            target.addresses_revision += 1
            waiting.appeared = target.addresses_revision
            waiting.withdrawn_at = realized_at
            records.change_holder(tx, fip, target, at)
            if not operation.finished:
                operation.reach("withdrawn", 0.5)
                for address, old in addresses.still_leaving(tx, operation.id) if operation.kind == SWAP else ():
                    _await_withdrawal(operation, address, old)
            tx.ring(wire.ADDRESS_SET_CHANGED, target.kind, str(target.id))


def _tell_operations(
    tx: Transaction, target: model.Target, attachments: Sequence[model.Attachment], body: wire.Realized
) -> None:
    operations = records.operations_by_id(tx, [item.operation_id for item in attachments])
    for item in attachments:
        operation = operations[item.operation_id]
        if item.appeared is None or operation.finished:
            continue
        if item.vanished is None and item.appeared <= target.realized_revision:
            _realized(tx, item, operation, body.realized_at)
        elif body.waiting_for is not None:
            operation.wait(**body.waiting_for.model_dump())


def _realized(tx: Transaction, item: model.Attachment, operation: model.Operation, at: datetime | None) -> None:
    """The nodes have read `item` back: its operation is done; a swap's when both are."""
    if item.withdrawn_at is not None and at is not None:
        gap = max(0.0, (at - item.withdrawn_at) / timedelta(milliseconds=1))
        longest = max(gap, (operation.result or {}).get("control_gap_ms", 0.0))
        operation.result = {"control_gap_ms": round(longest, 3)}
    item.withdrawn_at = None
    if operation.kind == SWAP:
        tx.session.flush()
        if not addresses.all_realized(tx, operation.id):
            return
    operation.succeed(operation.result)
    metrics.realized(operation)


# --- targets ---------------------------------------------------------------------------------------------------------


def _target(tx: Transaction, caller: Caller, kind: str, target_id: UUID) -> model.Target:
    found = addresses.target(tx, kind, target_id)
    if found is None or caller.scope not in {None, found.project}:
        raise TargetUnknown(f"there is no {kind} {str(target_id)!r}")
    return found


def put_target(tx: Transaction, caller: Caller, kind: str, target_id: UUID, body: wire.TargetPut) -> wire.Target:
    """Register a target or change its name and limits. Its project and zone stay: raises TargetImmutable."""
    caller.require_kind(kind)
    if supply.zone(tx, body.zone) is None:
        raise ZoneUnknown(f"there is no zone {body.zone!r}")
    added = addresses.register(tx, kind, target_id, body)
    target = addresses.lock_targets(tx, [(kind, target_id)])[kind, target_id]
    if added:
        return present.target(target)
    check_revision(caller.expected_revision, target.revision)
    if (target.project, target.zone) != (body.project, body.zone):
        raise TargetImmutable(f"{kind} {target_id} is of project {target.project} in {target.zone}; that cannot change")
    wanted = (body.name, body.limit_ipv4, body.limit_ipv6)
    if (target.name, target.limit_ipv4, target.limit_ipv6) != wanted:
        target.name, target.limit_ipv4, target.limit_ipv6 = wanted
        target.revision += 1
    return present.target(target)


def target(tx: Transaction, caller: Caller, kind: str, target_id: UUID) -> wire.Target:
    return present.target(_target(tx, caller, kind, target_id))


def targets(
    tx: Transaction, caller: Caller, paging: Paging, kind: str | None, project: str | None
) -> Page[wire.Target]:
    rows = addresses.targets(tx, paging.limit + 1, paging.key(str, UUID), kind, caller.filtered(project), lagging=False)
    return paging.page([present.target(row) for row in rows], lambda item: [item.kind, str(item.id)])


def delete_target(tx: Transaction, caller: Caller, kind: str, target_id: UUID) -> wire.Target:
    """Forget a target whose nodes hold nothing of it any more: all its addresses are off it at once.

    What it held is reserved again, what was leaving has left, and a move that waits to come here fails.
    """
    caller.require_kind(kind)
    fips = {fip.id: fip for fip in addresses.lock_flexible_ips(tx, addresses.on(tx, kind, target_id))}
    keys = {(kind, target_id), *addresses.successors(tx, kind, target_id)}
    target = addresses.lock_targets(tx, keys).get((kind, target_id))
    if target is None:
        raise TargetUnknown(f"there is no {kind} {str(target_id)!r}")
    check_revision(caller.expected_revision, target.revision)
    attachments = addresses.attachments_of(tx, kind, target_id)
    if not addresses.on(tx, kind, target_id) <= fips.keys():
        raise Contended(f"an address came to {kind} {target_id} just now; send the request again")
    at = addresses.clock(tx)
    for item in attachments:
        fip = fips[item.flexible_ip_id]
        if item.vanished is not None:
            _withdrawn(tx, caller, fip, at)
        else:
            _forget(tx, caller, fip, item, at)
    for fip in fips.values():
        may_come = fip.candidate(target.ref)
        if may_come is not None:
            with journal.change(tx, caller, fip, "candidate.deleted", at):
                fip.stored_candidates.remove(may_come)
    tx.session.flush()
    answer = present.target(target)
    tx.session.delete(target)
    return answer


def _forget(tx: Transaction, caller: Caller, fip: model.FlexibleIP, item: model.Attachment, at: datetime) -> None:
    """Drop an attachment, present or waiting, of a target that goes."""
    operation = records.operations_by_id(tx, [item.operation_id])[item.operation_id]
    if not operation.finished:
        gone = f"{item.target_kind} {item.target_id} was deleted before {fip.address} reached it"
        operation.fail(TargetDeleted.code, gone)
    with journal.change(tx, caller, fip, "target.deleted", at):
        fip.attachments.remove(item)
        tx.session.flush()
        if item.appeared is not None:
            records.change_holder(tx, fip, None, at)


# --- operations ------------------------------------------------------------------------------------------------------


def answered(tx: Transaction, operation_id: str) -> wire.Operation:
    """The operation that a repeated request is answered with."""
    found = records.operation(tx, operation_id, None)
    if found is None:
        raise OperationUnknown(f"there is no operation {operation_id!r}")
    return present.operation(found)


def operation(tx: Transaction, caller: Caller, operation_id: str) -> wire.Operation:
    found = records.operation(tx, operation_id, caller.scope)
    if found is None:
        raise OperationUnknown(f"there is no operation {operation_id!r}")
    return present.operation(found)


def operations(
    tx: Transaction,
    caller: Caller,
    paging: Paging,
    project: str | None,
    resource: str | None,
    state: wire.OperationState | None,
) -> Page[wire.Operation]:
    """The newest first."""
    rows = records.operations(tx, paging.limit + 1, paging.key(str), caller.filtered(project), resource, state)
    return paging.page([present.operation(row) for row in rows], lambda item: [item.id])
