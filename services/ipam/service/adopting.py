"""Legacy IPv6 prefixes become flexible IPs of the projects that use them, on the targets that use them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from common.db import Contended, Transaction, violated
from services.ipam import addressing, model, present, wire
from services.ipam.errors import PrefixOverlap, TargetUnknown, ZoneUnknown
from services.ipam.service import journal, supply
from services.ipam.service.caller import Caller
from services.ipam.store import addresses, records, supply as supply_store

ADOPT = "flexible_ip.adopt"
"""Kind of operation."""


def adopt(tx: Transaction, caller: Caller, body: wire.Adopt) -> wire.Adopted:
    """All of the prefixes or none. One adopted before for the same project and target is answered as it is now.

    Raises PrefixOverlap, TargetUnknown, TargetKindNotYours, ZoneUnknown, ZoneMismatch, or what a prefix lacks.
    """
    asked = [(addressing.parse_carried(item.prefix), item) for item in body.prefixes]
    twice = addressing.overlapping(cidr for cidr, _ in asked)
    if twice is not None:
        raise PrefixOverlap(f"{twice[0]} and {twice[1]} of the request overlap")
    refs = {(item.target.kind, item.target.id) for item in body.prefixes}
    for kind in {kind for kind, _ in refs}:
        caller.require_kind(kind)
    if supply_store.zone(tx, body.zone) is None:
        raise ZoneUnknown(f"there is no zone {body.zone!r}")
    targets = addresses.lock_targets(tx, refs)  # who asks for the same at once waits here, and finds it adopted
    fips = {fip.address: fip for fip in addresses.carried(tx, [cidr for cidr, _ in asked])}
    fresh = [(cidr, item) for cidr, item in asked if cidr not in fips or not fips[cidr].adopted_for(item)]
    if fresh:
        _hold(tx, [cidr for cidr, _ in fresh])
    at = addresses.clock(tx)
    served = []
    for cidr, item in fresh:
        target = targets.get((item.target.kind, item.target.id))
        if target is None or target.project != item.project:
            raise TargetUnknown(f"project {item.project} has no {item.target.kind} {str(item.target.id)!r}")
        fips[cidr] = fip = _carried(cidr, item, body.zone, at)
        fip.require_same_zone(target)
        served.append((fip, target))
    _serve(tx, caller, served, at)
    return wire.Adopted(items=[present.flexible_ip(fips[cidr]) for cidr, _ in asked])


def _carried(cidr: str, item: wire.CarriedPrefix, zone: str, at: datetime) -> model.FlexibleIP:
    return model.FlexibleIP(
        id=model.new_id(),
        project=item.project,
        zone=zone,
        pool=None,
        adopted_kind=item.target.kind,
        adopted_id=item.target.id,
        family=wire.Family.IPV6,
        kind=wire.FlexibleIPKind.STANDARD,
        address=cidr,
        interface_id=addressing.first_address(cidr),
        name=item.name,
        labels={},
        protected=False,
        revision=1,
        created_at=at,
        updated_at=at,
        attachments=[],
    )


def _hold(tx: Transaction, cidrs: Collection[str]) -> None:
    supply.require_apart(tx, cidrs)
    try:
        supply_store.add_carried(tx, cidrs)
    except IntegrityError as error:
        if violated(error) == "prefix_overlap":
            raise Contended("a prefix that overlaps came just now; send the request again") from error
        raise


def _serve(tx: Transaction, caller: Caller, served: list[tuple[model.FlexibleIP, model.Target]], at: datetime) -> None:
    tx.session.add_all(fip for fip, _ in served)
    operations = records.open_operations(tx, ADOPT, [fip for fip, _ in served])
    with tx.session.no_autoflush:  # so that the rows of all are written together
        for (fip, target), operation in zip(served, operations, strict=True):
            fip.serve(target, None, operation, at)
            records.open_holding(tx, fip, target, at)
            journal.record(tx, caller, fip, "adopt", None, at)
            tx.ring(wire.ADDRESS_SET_CHANGED, target.kind, str(target.id))
