"""Takes moves to their end, one step at a time: asks `move.next_step`, writes what it decides, and acts.

A worker killed after any commit is resumed by another: every step re-reads, and writes only while the claim is still at
the step it was judged at.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable
from services.ipam.client import IpamClient
from services.placement import ledger, modes, move
from services.placement.address_sets import AddressSets, store_addresses
from services.placement.conversion import adoption
from services.placement.desired import announced_prefixes, derive_port, passage_of, port_facts
from services.placement.edges import Edges
from services.placement.model import Claim, Operation, Port
from services.placement.move import Advance, Facts, Kind, Step
from services.placement.store import instances, nodes, operations
from services.placement.sync import NodeSync, pending

log = structlog.get_logger()


class Progress:
    """Drives the claims that change where a port is."""

    def __init__(self, database: Database, edges: Edges, ipam: IpamClient, sync: NodeSync, sets: AddressSets) -> None:
        self._db = database
        self._edges = edges
        self._ipam = ipam
        self._sync = sync
        self._sets = sets

    def take(self, operation_id: str) -> None:
        """Take an operation as far as it goes now."""
        while self._step(operation_id):
            pass

    def _step(self, operation_id: str) -> bool:
        """One step; False when there is nothing more to do now."""
        with self._db.transaction() as tx:
            claim = instances.claim_of_operation(tx, operation_id)
            port = instances.port(tx, claim.port_id) if claim else None
        if claim is None or port is None:
            return False
        if claim.step == Step.ABANDON:
            return self._abandon(claim, port)
        self._sync.ports([port.id])
        try:
            outside = self._outside_facts(claim, port)
        except (Conflict, Invalid, NotFound) as error:
            return self._refused(operation_id, error)
        reached = self._judge(operation_id, Step(claim.step), outside)
        if reached is Step.DONE:
            self._sets.report(port.id)
        return reached not in {None, Step.DONE}

    def _judge(self, operation_id: str, judged: Step, outside: Facts) -> Step | None:
        """The step reached; None when it must wait, or another worker ended it."""
        with self._db.transaction() as tx:
            claim = instances.claim_of_operation(tx, operation_id, lock=True)
            operation = operations.get(tx, operation_id, lock=True)
            if claim is None or operation is None:
                return None
            if claim.step != judged:
                return Step(claim.step)
            facts = replace(outside, pending=pending(tx, claim.port_id))
            decision = move.next_step(Kind(claim.kind), judged, facts)
            if isinstance(decision, Advance):
                self._advance(tx, claim, operation, decision.step)
                return decision.step
            operation.wait(decision.code, decision.text, decision.unblock)
            return None

    def _outside_facts(self, claim: Claim, port: Port) -> Facts:
        """What the ledger or the edge must be asked for at this step. Raises the ledger's refusal."""
        try:
            if claim.step == Step.REGISTER:
                allocate = claim.requested.get("allocate", [])
                fetched = ledger.register(self._ipam, port, claim.operation_id, _given(claim), allocate)
                with self._db.transaction() as tx:
                    locked = instances.port(tx, port.id, lock=True)
                    if locked is not None:
                        store_addresses(tx, locked, fetched)
                return Facts(ledger_done=True)
            if claim.step == Step.FORGET:
                self._ipam.delete_target(port.kind, port.target_id)
                return Facts(ledger_done=True)
            if claim.step == Step.ANNOUNCE:
                return Facts(converged=self._converged(claim, port))
        except Unavailable as error:
            log.warning("operation.waits", operation=claim.operation_id, step=claim.step, error=error.message)
            return Facts(silent=error.message)
        return Facts()

    def _converged(self, claim: Claim, port: Port) -> bool:
        """Whether the edge's kernel sends every announced address of the port to the destination, and there alone."""
        if claim.destination_id is None:
            return True
        with self._db.transaction() as tx:
            prefixes = announced_prefixes(port_facts(tx, [port])[port.id])
        view = self._edges.view(port.instance.zone, prefixes, {claim.destination_id})
        return view.all_send(prefixes, claim.destination_id)

    def _advance(self, tx: Transaction, claim: Claim, operation: Operation, step: Step) -> None:
        port = instances.port(tx, claim.port_id, lock=True)
        if port is None:
            return
        passage = passage_of(claim)
        assert passage is not None  # noqa: S101  the claim is there
        if step is Step.DONE:
            self._finish(tx, port, claim, operation)
            return
        if passage.kind is Kind.RESTART and step is Step.PREPARE:  # no node holds anything of it
            adoption.adopt(tx, port)
        claim.step, claim.entered_at = step, datetime.now(UTC)
        operation.reach(step, move.progress(passage.kind, step))
        tx.session.flush()
        derive_port(tx, port)

    @staticmethod
    def _finish(tx: Transaction, port: Port, claim: Claim, operation: Operation) -> None:
        instance = port.instance
        kind = Kind(claim.kind)
        if kind is not Kind.RESTART:  # which keeps what it holds of its node
            nodes.transfer(tx, claim.consumer, instance.id)
            if modes.MODES[port.mode].rebinds:
                instances.free_node_addresses(tx, port, keep=claim.destination_id)
        port.node_id = claim.destination_id
        instance.revision += 1
        destination = nodes.node(tx, claim.destination_id) if claim.destination_id else None
        operation.succeed({"hypervisor": destination.name if destination else None})
        if kind is Kind.DELETE:
            tx.session.delete(instance)
        else:
            tx.session.delete(claim)
            port.claim = None
            tx.session.flush()
            derive_port(tx, port)

    def _refused(self, operation_id: str, error: DomainError) -> bool:
        """The ledger refuses a creation's addresses: from now on it is abandoned, whatever another worker is about."""
        with self._db.transaction() as tx:
            claim = instances.claim_of_operation(tx, operation_id, lock=True)
            if claim is None or claim.step != Step.REGISTER:
                return False
            claim.step = Step.ABANDON
            claim.requested = {**claim.requested, "refusal": {"code": error.code, "message": error.message}}
        return True

    def _abandon(self, claim: Claim, port: Port) -> bool:
        """Leave nothing of a creation behind, neither here nor in the ledger, and say why."""
        try:
            ledger.undo(self._ipam, port, _given(claim))
        except Unavailable as error:
            log.warning("operation.waits", operation=claim.operation_id, step=claim.step, error=error.message)
            return False
        with self._db.transaction() as tx:
            current = instances.claim_of_operation(tx, claim.operation_id, lock=True)
            operation = operations.get(tx, claim.operation_id, lock=True)
            locked = instances.port(tx, claim.port_id, lock=True)
            if current is None or operation is None or locked is None:
                return False
            nodes.free(tx, current.consumer)
            operation.fail(**current.requested["refusal"])
            tx.session.delete(locked.instance)
        return False


def _given(claim: Claim) -> list[UUID]:
    """The addresses that the creation's request named."""
    return [UUID(text) for text in claim.requested.get("addresses", [])]
