"""The ledger: production's `FlexibleIP`, `Attachment` and `Target` with their rules, in dictionaries.

What its use cases do with them is repeated here as `services.ipam.service.attaching` does it: break before make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_interface, ip_network
from typing import Any
from uuid import UUID

from services.ipam import addressing, wire
from services.ipam.errors import (
    AlreadyAttached,
    OperationSuperseded,
    RevisionUnknown,
    TargetDeleted,
    TargetLimit,
    TargetUnknown,
)
from services.ipam.model import Attachment, FlexibleIP, Operation, Target
from services.placement.snapshot import Interface, Prefix

KIND, ZONE, PROJECT = "instance", "zone-a", "red"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


FAILOVER = "failover"


def _ref(target_id: UUID | None) -> wire.TargetRef | None:
    return wire.TargetRef(kind=KIND, id=target_id) if target_id is not None else None


def carried_id(prefix: Prefix) -> UUID:
    """The flexible IP that a legacy prefix becomes."""
    return UUID(int=(2 << 100) + (int(prefix.network_address) >> 64))


HEALTH_CHECK = {"protocol": "icmp", "port": None, "interval_ms": 200, "threshold": 3, "hold_down_s": 2}

Listed = tuple[UUID, Prefix, Interface, tuple[UUID, ...], dict[str, Any] | None]
"""Flexible IP, prefix, host; of a failover address its candidates, the best first, and its health check."""


@dataclass(frozen=True, slots=True)
class AddressSet:
    """All addresses of a target at a revision."""

    revision: int
    addresses: tuple[Listed, ...]


class Ledger:
    """Who holds which address. Every method is one transaction."""

    def __init__(self, ring: Callable[[UUID], None], clock: Callable[[], float]) -> None:
        """`ring`: the doorbell of a target whose addresses changed. `clock`: in seconds."""
        self._ring = ring
        self._clock = clock
        self.flexible_ips: dict[UUID, FlexibleIP] = {}
        self.targets: dict[UUID, Target] = {}
        self.failover: list[FlexibleIP] = []
        self._parsed: dict[UUID, tuple[Prefix, Interface]] = {}
        self.operations: dict[str, Operation] = {}
        self._answered: set[str] = set()
        self._came: dict[UUID, dict[UUID, FlexibleIP]] = {}  # what may be tied to a target
        self.promised: dict[UUID, UUID | None] = {}  # where each address shall be, by the last request accepted

    # --- what customers ask ------------------------------------------------------------------------------------------

    def reserve(self, fip_id: UUID, address: str, interface_id: str | None, kind: wire.FlexibleIPKind) -> None:
        family = wire.Family.IPV4 if ip_network(address).version == 4 else wire.Family.IPV6
        self._add(
            FlexibleIP(
                id=fip_id,
                project=PROJECT,
                zone=ZONE,
                family=family,
                kind=kind,
                address=address,
                interface_id=interface_id,
                failovers_at=[],
            )
        )

    def _add(self, fip: FlexibleIP) -> None:
        self.flexible_ips[fip.id] = fip
        if fip.kind == wire.FlexibleIPKind.FAILOVER:
            self.failover.append(fip)
        self._parsed[fip.id] = ip_network(fip.address), ip_interface(addressing.host(fip.address, fip.interface_id))

    def attach(self, fip_id: UUID, target_id: UUID, key: str | None = None) -> None:
        """`key`: an Idempotency-Key; who sends it again is answered as before, and nothing is done."""
        if key is not None and key in self._answered:
            return
        self._attach(fip_id, target_id)
        if key is not None:
            self._answered.add(key)

    def _attach(self, fip_id: UUID, target_id: UUID) -> None:
        fip = self.flexible_ips[fip_id]
        target = self._target(target_id)
        held = fip.present
        if held is not None and held.vanished is None and held.serves(target.ref):
            return
        fip.require_detached()
        fip.require_same_zone(target)
        self._require_room(fip, target)
        fip.become_candidate(target.ref)
        fip.serve(target, None, self._open("attach", fip), BEGINNING)
        self._came.setdefault(target_id, {})[fip_id] = fip
        self.promised[fip_id] = target_id
        self._ring(target_id)

    def detach(self, fip_id: UUID) -> None:
        fip = self.flexible_ips[fip_id]
        held = fip.require_settled_on(None)
        self._leave(fip, held, "detach")
        self.promised[fip_id] = None

    def move(self, fip_id: UUID, source: UUID, destination: UUID) -> None:
        fip = self.flexible_ips[fip_id]
        held = fip.require_settled_on(_ref(source))
        to = self._target(destination)
        if held.serves(to.ref):
            raise AlreadyAttached(f"{fip.address} is there already")
        fip.require_same_zone(to)
        self._require_room(fip, to)
        fip.become_candidate(to.ref)
        self._hand_over(fip, held, to, "move")

    def _hand_over(self, fip: FlexibleIP, held: Attachment, to: Target, kind: str) -> None:
        """Let `to` wait for what `held` gives up: break before make."""
        operation = self._leave(fip, held, kind)
        operation.wait("ipam.withdrawal.unrealised", "the old nodes have not withdrawn it", "it goes on by itself")
        fip.queue_for(to, None, operation, BEGINNING)
        self._came.setdefault(to.id, {})[fip.id] = fip
        self.promised[fip.id] = to.id

    def put_candidates(self, fip_id: UUID, wanted: list[UUID]) -> None:
        """`wanted`, the best first, are all there are."""
        fip = self.flexible_ips[fip_id]
        fip.require_failover()
        known = {candidate.target_id for candidate in fip.candidates}
        targets = [self._target(target_id) for target_id in wanted]
        for target in targets:
            if target.id not in known:
                self._require_room(fip, target)
        fip.set_candidates({target.ref: 100 - place for place, target in enumerate(targets)})
        self._tell_holder(fip)

    def put_health_check(self, fip_id: UUID, spec: dict[str, Any] | None) -> None:
        fip = self.flexible_ips[fip_id]
        fip.require_failover()
        fip.health_check = spec
        self._tell_holder(fip)

    def _tell_holder(self, fip: FlexibleIP) -> None:
        """The AddressSet that lists it changes with what is known of it."""
        held = fip.present
        if held is not None and held.vanished is None:
            self.targets[held.target_id].addresses_revision += 1
            self._ring(held.target_id)

    def thaw(self, fip_id: UUID) -> None:
        fip = self.flexible_ips[fip_id]
        fip.require_failover()
        fip.thaw()

    def fail_over(self, fip_id: UUID, source: UUID | None, to: UUID | None, *, by_health: bool) -> None:
        """Make another candidate the active one; asked again while it is under way, it changes nothing."""
        fip = self.flexible_ips[fip_id]
        fip.require_failover()
        if self._is_under_way(fip, source, to):
            return
        held = fip.require_settled_on(_ref(source))
        target = self._target(fip.next_candidate(_ref(to)).target_id)
        if held.serves(target.ref):
            raise AlreadyAttached(f"{fip.address} is there already")
        self._require_room(fip, target)
        if by_health:
            fip.fail_by_health(BEGINNING + timedelta(seconds=self._clock()))
        self._hand_over(fip, held, target, FAILOVER)

    def _is_under_way(self, fip: FlexibleIP, source: UUID | None, to: UUID | None) -> bool:
        leaving, waiting = fip.present, fip.waiting
        if leaving is None or waiting is None or self.operations[waiting.operation_id].kind != FAILOVER:
            return False
        return source in {None, leaving.target_id} and to in {None, waiting.target_id}

    def adopt(self, prefix: Prefix, target_id: UUID) -> None:
        """Make a legacy IPv6 prefix a flexible IP of the target that uses it. Repeating it changes nothing."""
        fip_id = carried_id(prefix)
        if fip_id in self.flexible_ips:
            return
        target = self._target(target_id)
        host = addressing.first_address(str(prefix))
        fip = FlexibleIP(
            id=fip_id,
            project=PROJECT,
            zone=ZONE,
            family=wire.Family.IPV6,
            kind=wire.FlexibleIPKind.STANDARD,
            address=str(prefix),
            interface_id=host,
            adopted_kind=KIND,
            adopted_id=target_id,
        )
        self._add(fip)
        fip.serve(target, None, self._open("adopt", fip), BEGINNING)
        self._came.setdefault(target_id, {})[fip_id] = fip
        self.promised[fip_id] = target_id
        self._ring(target_id)

    def _open(self, kind: str, fip: FlexibleIP) -> Operation:
        number = f"ipam-{len(self.operations)}"
        operation = Operation(id=number, kind=kind, resource=str(fip.id), project=PROJECT, state="pending")
        self.operations[number] = operation
        return operation

    def _leave(self, fip: FlexibleIP, held: Attachment, kind: str) -> Operation:
        target = self.targets[held.target_id]
        former = self.operations[held.operation_id]
        if not former.finished:
            former.fail(OperationSuperseded.code, f"another request: {kind}")
        operation = self._open(kind, fip)
        target.addresses_revision += 1
        held.vanished = target.addresses_revision
        held.operation_id = operation.id
        self._ring(target.id)
        return operation

    def _require_room(self, fip: FlexibleIP, target: Target) -> None:
        if not self.has_room(fip, target):
            raise TargetLimit(f"{target.name} may hold {target.limit(fip.family)} {fip.family} addresses and does")

    def has_room(self, fip: FlexibleIP, target: Target) -> bool:
        """Beside what it holds, awaits, or is a candidate for."""
        if fip.carried:
            return True
        ref = target.ref
        on = {other.id: other for other, item in self._attachments(target.id) if item.vanished is None}
        on |= {other.id: other for other in self.failover if any(one.is_of(ref) for one in other.stored_candidates)}
        counted = sum(other.family == fip.family and not other.carried for other in on.values() if other is not fip)
        return counted < target.limit(fip.family)

    # --- what the controller asks ------------------------------------------------------------------------------------

    def register(self, target_id: UUID, name: str, limit_ipv4: int, limit_ipv6: int) -> None:
        if target_id in self.targets:
            self.targets[target_id].limit_ipv4, self.targets[target_id].limit_ipv6 = limit_ipv4, limit_ipv6
        else:
            self.targets[target_id] = Target(
                kind=KIND,
                id=target_id,
                project=PROJECT,
                zone=ZONE,
                name=name,
                limit_ipv4=limit_ipv4,
                limit_ipv6=limit_ipv6,
                addresses_revision=0,
                realized_revision=0,
            )

    def _target(self, target_id: UUID) -> Target:
        found = self.targets.get(target_id)
        if found is None:
            raise TargetUnknown(f"there is no {KIND} {target_id}")
        return found

    def _attachments(self, target_id: UUID) -> list[tuple[FlexibleIP, Attachment]]:
        """All of a target's: those waiting and leaving too."""
        came = self._came.get(target_id, {})
        found = [(fip, item) for fip in came.values() for item in fip.attachments if item.target_id == target_id]
        self._came[target_id] = {fip.id: fip for fip, _ in found}
        return found

    def address_set(self, target_id: UUID) -> AddressSet:
        target = self._target(target_id)
        listed = [
            (item.appeared, fip)
            for fip, item in self._attachments(target_id)
            if item.listed_at(target.addresses_revision)
        ]
        return AddressSet(
            target.addresses_revision,
            tuple(
                (fip.id, *self._parsed[fip.id], tuple(one.target_id for one in fip.candidates), fip.health_check)
                for _, fip in sorted(listed, key=lambda pair: (pair[0] or 0, pair[1].id))
            ),
        )

    def lagging(self) -> list[UUID]:
        return [target.id for target in self.targets.values() if target.realized_revision < target.addresses_revision]

    def report(self, target_id: UUID, revision: int | None, waits: str | None) -> None:
        """What the nodes of a target have read back, or what keeps them from it. An older report changes nothing."""
        target = self._target(target_id)
        if revision is not None:
            if revision > target.addresses_revision:
                raise RevisionUnknown(f"{target.name} is at {target.addresses_revision}")
            target.realized_revision = max(target.realized_revision, revision)
            for fip, item in self._attachments(target_id):
                if item.vanished is not None and item.vanished <= revision:
                    self._withdrawn(fip)
        for _, item in self._attachments(target_id):
            operation = self.operations[item.operation_id]
            if item.appeared is None or operation.finished:
                continue
            if item.vanished is None and item.appeared <= target.realized_revision:
                operation.succeed()
            elif waits is not None:
                operation.wait(waits, waits, "")

    def _withdrawn(self, fip: FlexibleIP) -> None:
        left, waiting = fip.present, fip.waiting
        if left is None or left.vanished is None:
            return
        operation = self.operations[left.operation_id]
        fip.attachments.remove(left)
        if waiting is None:
            if not operation.finished:
                operation.succeed()
            return
        target = self.targets[waiting.target_id]
        target.addresses_revision += 1
        waiting.appeared = target.addresses_revision
        operation.reach("withdrawn", 0.5)
        self._ring(target.id)

    def delete_target(self, target_id: UUID) -> None:
        """Forget a target whose nodes hold nothing of it any more; one that is not known is no error."""
        if target_id not in self.targets:
            return
        for fip, item in self._attachments(target_id):
            if item.vanished is not None:
                self._withdrawn(fip)
                continue
            operation = self.operations[item.operation_id]
            if not operation.finished:
                operation.fail(TargetDeleted.code, "the target was deleted")
            fip.attachments.remove(item)
        for fip in self.failover:
            fip.stored_candidates = [one for one in fip.stored_candidates if one.target_id != target_id]
        del self.targets[target_id]

    # --- what tests look at ------------------------------------------------------------------------------------------

    def holder(self, fip_id: UUID) -> UUID | None:
        """The target that the address is bound for: where it is, or where it goes."""
        fip = self.flexible_ips[fip_id]
        if fip.waiting is not None:
            return fip.waiting.target_id
        present = fip.present
        return present.target_id if present is not None and present.vanished is None else None

    def tied(self, fip_id: UUID) -> UUID | None:
        """The target whose nodes may hold the address now."""
        present = self.flexible_ips[fip_id].present
        return present.target_id if present is not None else None
