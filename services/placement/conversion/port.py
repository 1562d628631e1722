"""Takes one port's conversion to its end, there or back, a stage at a time: asks `steps`, writes what it decides."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from common.db import Database, Transaction
from common.errors import Unavailable
from services.placement import modes, move
from services.placement.conversion import steps
from services.placement.conversion.steps import CONVERT, Advance, Done, Facts, Stage, Wait
from services.placement.desired import derive_port
from services.placement.edges import Edges
from services.placement.model import Claim, Operation, Port
from services.placement.store import entries, instances, operations
from services.placement.sync import NodeSync, describe

log = structlog.get_logger()


class PortConversions:
    """Drives claims of the kinds `convert` and `revert`."""

    def __init__(self, database: Database, edges: Edges, sync: NodeSync) -> None:
        self._db = database
        self._edges = edges
        self._sync = sync

    def step(self, claim: Claim, port: Port) -> bool:
        """One stage; False when there is nothing more to do now."""
        self._sync.port(port.id)
        judged = Stage[claim.step.upper()]
        try:
            sends_here, none_here = self._edge_views(port)
        except Unavailable as error:
            log.warning("conversion.waits", operation=claim.operation_id, stage=claim.step, error=error.message)
            return False
        with self._db.transaction() as tx:
            current = instances.claim_of_operation(tx, claim.operation_id, lock=True)
            operation = operations.get(tx, claim.operation_id, lock=True)
            locked = instances.port(tx, port.id, lock=True)
            if current is None or operation is None or locked is None:
                return False
            if current.step != claim.step:
                return True
            forward = current.kind == CONVERT
            facts = self._facts(tx, current, locked, edge_sends_here=sends_here if forward else not none_here)
            decision = (steps.forward if forward else steps.backward)(judged, facts)
            match decision:
                case Advance(stage):
                    self._enter(tx, current, operation, locked, stage)
                    return True
                case Wait():
                    if decision.settling and current.settled_at is None:
                        current.settled_at = datetime.now(UTC)
                    operation.wait(decision.code, decision.text, "it is read back")
                case Done():
                    self._finish(tx, current, operation, locked)
            return False

    def _edge_views(self, port: Port) -> tuple[bool, bool]:
        """Whether the edges all send the port's addresses to its hypervisor, and whether none does."""
        prefixes = [address.prefix for address in port.addresses if address.prefix.version == 4]
        if port.node_id is None:  # archived: nobody sends anything, and nobody needs to
            return True, True
        zone = port.instance.zone
        return self._edges.all_send(zone, prefixes, port.node_id), self._edges.none_sends(zone, prefixes, port.node_id)

    @staticmethod
    def _facts(tx: Transaction, claim: Claim, port: Port, *, edge_sends_here: bool) -> Facts:
        behind = entries.pending(tx, port.id)
        hypervisors = describe([(node, failure) for node, failure in behind if node.role != "gateway"])
        gateways = describe([(node, failure) for node, failure in behind if node.role == "gateway"])
        settled = (datetime.now(UTC) - claim.settled_at).total_seconds() if claim.settled_at else 0.0
        return Facts(
            hypervisor_pending=move.unrealized(hypervisors).text if hypervisors else None,
            gateways_pending=move.unrealized(gateways).text if gateways else None,
            edge_sends_here=edge_sends_here,
            settled_s=settled,
            verdict=None if edge_sends_here else "the edge no longer sends the address to its hypervisor",
        )

    @staticmethod
    def _enter(tx: Transaction, claim: Claim, operation: Operation, port: Port, stage: Stage) -> None:
        claim.step, claim.settled_at = stage.name.lower(), None
        share = stage / Stage.SWITCHED
        operation.reach(claim.step, share if claim.kind == CONVERT else 1 - share)
        tx.session.flush()
        derive_port(tx, port)

    @staticmethod
    def _finish(tx: Transaction, claim: Claim, operation: Operation, port: Port) -> None:
        port.mode = modes.HOSTNAT if claim.kind == CONVERT else modes.NAT
        port.instance.revision += 1
        operation.succeed({"mode": port.mode})
        tx.session.delete(claim)
        port.claim = None
        tx.session.flush()
        derive_port(tx, port)
