"""Takes moves to their end, one step at a time: asks `move.next_step`, writes what it decides, and acts.

Those of one wave go together: all that are due are stepped in one transaction, and each node is told in one Delta. A
worker killed after any commit is resumed by another: every step re-reads, and writes only while the claim is still at
the step it was judged at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable
from common.logs import on_behalf_of
from services.ipam.client import IpamClient
from services.netagent.wire import DiskArchive
from services.placement import bells, claims, ledger, modes, move
from services.placement.address_sets import AddressSets, store_addresses
from services.placement.conversion import adoption
from services.placement.desired import announced_prefixes, derive_ports, passage_of, port_facts
from services.placement.disks import Disks, Done, Outcome, Refused
from services.placement.edges import Edges
from services.placement.model import Claim, Operation, Port, Prefix
from services.placement.move import Advance, Facts, Kind, Step, Wait
from services.placement.snapshot import PortFacts
from services.placement.store import archives, entries, instances, nodes, operations
from services.placement.sync import NodeSync, describe

log = structlog.get_logger()

LARGEST = 200  # ports in one transaction
RUNS_FROM_DISK = frozenset({Kind.START, Kind.COLD, Kind.RETURN, Kind.EVACUATE})
"""Kinds at whose end a guest runs whose disk may have been in the store."""


class Progress:
    """Drives the claims that change where a port is."""

    def __init__(
        self,
        database: Database,
        edges: Edges,
        disks: Disks,
        ipam: IpamClient,
        sync: NodeSync,
        sets: AddressSets,
        archive_url: str,
    ) -> None:
        self._db = database
        self._edges = edges
        self._disks = disks
        self._archive_url = archive_url
        self._ipam = ipam
        self._sync = sync
        self._sets = sets

    def take(self, name: str) -> None:
        """Take an Operation, or all those of a wave, as far as they go now."""
        with self._db.transaction() as tx:
            port_ids = instances.claimed_by(tx, name)
            operation = operations.get(tx, name)
        with on_behalf_of(operation.request_id if operation else None):
            for start in range(0, len(port_ids), LARGEST):
                together = port_ids[start : start + LARGEST]
                while together:
                    together = self._step(together)

    def _step(self, port_ids: Sequence[UUID]) -> list[UUID]:
        """One step of each port that is due; those that have another one at once."""
        self._sync.ports(port_ids)
        with self._db.transaction() as tx:
            ports = [port for port in instances.ports(tx, port_ids) if passage_of(port.claim) is not None]
            announced = {port.id: announced_prefixes(facts) for port, facts in _with_facts(tx, ports)}
        again, outside = [], self._ask_fabric(ports, announced)
        outcomes = self._disks.ask([port for port in ports if _claim(port).step in move.OF_DISK])
        for port in ports:
            claim = _claim(port)
            if port.id in outcomes:
                outside[port.id] = Facts(disk=_missing(outcomes[port.id]))
            try:
                if claim.step in move.OF_LEDGER:
                    outside[port.id] = self._ask_ledger(port, claim)
                elif claim.step == Step.ABANDON:
                    self._abandon(claim, port)
            except (Conflict, Invalid, NotFound) as error:
                outside.pop(port.id)
                again += [port.id] if self._refused(claim.operation_id, error) else []
        judged = {port.id: _where(_claim(port)) for port in ports if port.id in outside}
        with self._db.transaction() as tx:
            reached = self._judge(tx, judged, outside, outcomes)
        for port_id in (port_id for port_id, step in reached.items() if step is Step.DONE):
            self._sets.report(port_id)
        return [*again, *(port_id for port_id, step in reached.items() if step is not Step.DONE)]

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask_fabric(self, ports: Sequence[Port], announced: Mapping[UUID, Sequence[Prefix]]) -> dict[UUID, Facts]:
        """Whether the edge's kernel sends every announced address to its destination, and there alone."""
        facts = {port.id: Facts() for port in ports}
        by_zone: dict[str, list[Port]] = {}
        for port in ports:
            if _claim(port).step == Step.ANNOUNCE:
                by_zone.setdefault(port.instance.zone, []).append(port)
        for zone, waiting in by_zone.items():
            destinations = {port.id: _claim(port).destination_id for port in waiting}
            prefixes = [prefix for port in waiting for prefix in announced[port.id]]
            try:
                view = self._edges.view(zone, prefixes, {node for node in destinations.values() if node})
            except Unavailable as error:
                facts |= {port.id: Facts(silent=error.message) for port in waiting}
                continue
            for port_id, node in destinations.items():
                facts[port_id] = Facts(converged=node is None or view.all_send(announced[port_id], node))
        return facts

    def _ask_ledger(self, port: Port, claim: Claim) -> Facts:
        """Tell the ledger of a port's coming or going. Raises its refusal."""
        try:
            if claim.step == Step.FORGET:
                self._ipam.delete_target(port.kind, port.target_id)
                return Facts(ledger_done=True)
            allocate = claim.requested.get("allocate", [])
            fetched = ledger.register(self._ipam, port, claim.operation_id, _given(claim), allocate)
        except Unavailable as error:
            log.warning("operation.waits", operation=claim.operation_id, step=claim.step, error=error.message)
            return Facts(silent=error.message)
        with self._db.transaction() as tx:
            locked = instances.port(tx, port.id, lock=True)
            if locked is not None:
                store_addresses(tx, locked, fetched)
        return Facts(ledger_done=True)

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(
        self,
        tx: Transaction,
        judged: Mapping[UUID, tuple[Step, UUID | None]],
        outside: Mapping[UUID, Facts],
        outcomes: Mapping[UUID, Outcome],
    ) -> dict[UUID, Step]:
        """The step each port has reached that went on; one at another step than judged is another worker's by now."""
        ports = [port for port in instances.ports(tx, list(judged), lock=True) if passage_of(port.claim) is not None]
        of_claims = operations.named(tx, [_claim(port).operation_id for port in ports])
        behind = entries.pending(tx, [port.id for port in ports])
        destinations = {node for port in ports if (node := _claim(port).destination_id)}
        fenced = {node.id: node.name for node in nodes.by_id(tx, destinations) if node.fence}
        reached: dict[UUID, Step] = {}
        changed = []
        for port in ports:
            claim = _claim(port)
            operation = of_claims[claim.operation_id]
            if _where(claim) != judged[port.id]:
                reached[port.id] = Step(claim.step)
                continue
            outcome = outcomes.get(port.id)
            if isinstance(outcome, Refused):
                reached[port.id] = self._go_back(tx, port, claim, operation, outcome)
                changed.append(port)
                continue
            if isinstance(outcome, Done) and outcome.archive is not None:
                self._leave(tx, port, claim, outcome.archive)
            apart = fenced.get(claim.destination_id) if claim.destination_id else None
            facts = replace(outside[port.id], pending=describe(behind[port.id]), fenced=apart)
            match move.next_step(Kind(claim.kind), Step(claim.step), facts):
                case Advance(step):
                    reached[port.id] = step
                    if self._enter(tx, port, claim, operation, step):
                        changed.append(port)
                case Wait() as wait:
                    operation.wait(wait.code, wait.text, wait.unblock)
        tx.session.flush()
        derive_ports(tx, changed)
        return reached

    def _enter(self, tx: Transaction, port: Port, claim: Claim, operation: Operation, step: Step) -> bool:
        """Whether the port is still there, so that its entries are to be derived."""
        kind = Kind(claim.kind)
        if step is Step.DONE:
            return self._finish(tx, port, claim, operation)
        if step is Step.ARCHIVE:
            archives.begin(tx, port, self._archive_url)
        if kind in {Kind.RESTART, Kind.COLD} and step is Step.PREPARE:  # no node holds anything of it
            adoption.adopt(tx, port)
        claim.step, claim.entered_at = step, datetime.now(UTC)
        operation.reach(step, move.progress(kind, step))
        return True

    @staticmethod
    def _leave(tx: Transaction, port: Port, claim: Claim, archive: DiskArchive) -> None:
        """The point of no return of a stop: what the port holds of its node is free, for its disk is in the store."""
        archives.complete(tx, port.id, archive)
        nodes.free(tx, port.target_id)
        if modes.MODES[port.mode].rebinds:
            instances.free_node_addresses(tx, port, keep=claim.destination_id)
        port.node_id = None
        port.instance.revision += 1

    @staticmethod
    def _go_back(tx: Transaction, port: Port, claim: Claim, operation: Operation, refused: Refused) -> Step:
        """A disk that is refused leaves its port as it was; at the end of the way back the Operation has failed."""
        into = move.undone(Kind(claim.kind), Step(claim.step))
        assert into is not None  # noqa: S101  at each step at which a disk is refused
        stays = "it runs again where it was" if into[0] is Kind.RETURN else "it stays archived"
        message = f"{refused.message}; {stays}: ask again when that is mended"
        claims.turn(tx, port, into, {"code": refused.code, "message": message})
        operation.reach(into[1], move.progress(*into))
        return into[1]

    @staticmethod
    def _finish(tx: Transaction, port: Port, claim: Claim, operation: Operation) -> bool:
        instance = port.instance
        kind = Kind(claim.kind)
        if kind not in move.AT_HOME:
            nodes.transfer(tx, claim.consumer, instance.id)
            if modes.MODES[port.mode].rebinds:
                instances.free_node_addresses(tx, port, keep=claim.destination_id)
        port.node_id = claim.destination_id
        instance.revision += 1
        for node_id in {claim.source_id, claim.destination_id} & nodes.worked_on(tx):
            tx.ring(bells.NODE_WORK, str(node_id))
        if kind in RUNS_FROM_DISK and archives.release(tx, [port.id]):  # the disk holds more by now
            tx.ring(bells.ARCHIVES)
        _conclude(tx, claim, operation)
        if kind is Kind.DELETE:
            instances.remove(tx, instance)
            return False
        tx.session.delete(claim)
        port.claim = None
        return True

    def _refused(self, operation_id: str, error: DomainError) -> bool:
        """The ledger refuses a creation's addresses: from now on it is abandoned, whatever another worker is about."""
        with self._db.transaction() as tx:
            claim = instances.claim_of_operation(tx, operation_id, lock=True)
            if claim is None or claim.step != Step.REGISTER:
                return False
            claim.step = Step.ABANDON
            claim.requested = {**claim.requested, "refusal": {"code": error.code, "message": error.message}}
        return True

    def _abandon(self, claim: Claim, port: Port) -> None:
        """Leave nothing of a creation behind, neither here nor in the ledger, and say why."""
        try:
            ledger.undo(self._ipam, port, _given(claim))
        except Unavailable as error:
            log.warning("operation.waits", operation=claim.operation_id, step=claim.step, error=error.message)
            return
        with self._db.transaction() as tx:
            current = instances.claim_of_operation(tx, claim.operation_id, lock=True)
            operation = operations.get(tx, claim.operation_id, lock=True)
            locked = instances.port(tx, claim.port_id, lock=True)
            if current is None or operation is None or locked is None:
                return
            nodes.free(tx, current.consumer)
            operation.fail(**current.requested["refusal"])
            instances.remove(tx, locked.instance)


def _conclude(tx: Transaction, claim: Claim, operation: Operation) -> None:
    if "undone" not in claim.requested:
        destination = nodes.node(tx, claim.destination_id) if claim.destination_id else None
        operation.succeed({"hypervisor": destination.name if destination else None})
    elif (why := claim.requested["undone"]) is None:
        operation.cancel()
    else:
        operation.fail(**why)


def _where(claim: Claim) -> tuple[Step, UUID | None]:
    """How far it is, and where it goes: what is found out of it holds for that alone."""
    return Step(claim.step), claim.destination_id


def _missing(outcome: Outcome) -> Wait | None:
    return outcome if isinstance(outcome, Wait) else None


def _claim(port: Port) -> Claim:
    assert port.claim is not None  # noqa: S101  ports are chosen by it
    return port.claim


def _with_facts(tx: Transaction, ports: Sequence[Port]) -> list[tuple[Port, PortFacts]]:
    facts = port_facts(tx, ports)
    return [(port, facts[port.id]) for port in ports]


def _given(claim: Claim) -> list[UUID]:
    """The addresses that the creation's request named."""
    return [UUID(text) for text in claim.requested.get("addresses", [])]
