"""Takes ports' conversions to their end, there or back, a stage at a time: asks `steps`, writes what it decides.

Ports go in batches, those of one wave on one node: all that are due are stepped in one transaction, and each node is
told in one Delta. A worker killed after any commit is resumed by another, for every round reads again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import Unavailable
from services.placement import bells, modes, move
from services.placement.conversion import phases, prechecks, steps
from services.placement.conversion.observer import Observer, Tried
from services.placement.conversion.phases import PortState
from services.placement.conversion.steps import (
    CONVERT,
    REVERT,
    Advance,
    Blocked,
    Done,
    Facts,
    Reason,
    RollBack,
    Stage,
    Wait,
)
from services.placement.desired import derive_ports
from services.placement.edges import Edges, EdgeView
from services.placement.model import Claim, Operation, Port, PortConversion, Prefix
from services.placement.once import Once
from services.placement.store import conversions, entries, instances, operations
from services.placement.store.conversions import Batch
from services.placement.store.entries import Behind
from services.placement.sync import NodeSync, describe

log = structlog.get_logger()

LARGEST = 200  # ports in one transaction


@dataclass(frozen=True, slots=True)
class Outside:
    """What agents were asked for, before the transaction that judges it."""

    stages: Mapping[UUID, tuple[str, Stage]]  # what each port's claim was at when they were asked
    edge: EdgeView = field(default_factory=lambda: EdgeView({}, {}))
    edge_unknown: str | None = None
    blockers: Mapping[UUID, tuple[Reason, ...]] = field(default_factory=dict)
    tried: Mapping[UUID, Tried] = field(default_factory=dict)


class PortConversions:
    """Drives claims of the kinds `convert` and `revert`."""

    def __init__(
        self, database: Database, edges: Edges, observer: Observer, sync: NodeSync, sleep: Callable[[float], None]
    ) -> None:
        self._db = database
        self._edges = edges
        self._observer = observer
        self._sync = sync
        self._sleep = sleep
        self._once = Once(self._take)

    def take(self, batch: Batch) -> None:
        """Take a batch as far as it goes now."""
        self._once.do(batch)

    def _take(self, batch: Batch) -> None:
        after: UUID | None = None
        while True:
            with self._db.transaction() as tx:
                port_ids = conversions.claimed(tx, batch, LARGEST, after)
                ports: Sequence[Port] = instances.ports(tx, port_ids)
            if not port_ids:
                return
            self._sync.ports(port_ids)
            while ports:
                ports = self._round(ports)
            after = port_ids[-1]

    def _round(self, ports: Sequence[Port]) -> Sequence[Port]:
        """One stage of each port that is due; those to look at again, at once or in a moment."""
        ports = [port for port in ports if port.claim is not None and port.claim.kind in steps.CONVERSIONS]
        if not ports:
            return ()
        outside = self._ask(ports)
        with self._db.transaction() as tx:
            judged = self._judge(tx, list(outside.stages), outside)
        if judged.advanced:
            self._sync.nodes(judged.nodes, of=outside.stages)
            return judged.ports
        if judged.again_s is None:
            return ()
        self._sleep(judged.again_s)
        self._sync.ports(list(outside.stages))
        return judged.ports

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, ports: Sequence[Port]) -> Outside:
        stages = {port.id: (port.claim.kind, Stage[port.claim.step.upper()]) for port in ports if port.claim}
        zone = ports[0].instance.zone
        asked = [port for port in ports if steps.asks_edge(*stages[port.id]) and port.node_id]
        new = [port for port in ports if stages[port.id] == (CONVERT, Stage.NAT)]
        tried = [port for port in ports if steps.tries_guest(*stages[port.id])]
        try:
            edge = self._edges.view(
                zone,
                [prefix for port in asked for prefix in _watched(port)],
                {port.node_id for port in asked if port.node_id},
            )
            again = {port.id: _answered(port) for port in tried if stages[port.id][1] is Stage.SWITCHED}
            answers = self._observer.tried(zone, tried, again) if tried else {}
        except Unavailable as error:
            return Outside(stages, edge_unknown=error.message)
        seen = self._observer.seen(zone, new) if new else {}
        blockers = {port_id: prechecks.blockers(prechecks.findings(one)) for port_id, one in seen.items()}
        return Outside(stages, edge, None, blockers, answers)

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, tx: Transaction, port_ids: Sequence[UUID], outside: Outside) -> _Judged:
        ports = [port for port in instances.ports(tx, port_ids, lock=True) if port.claim is not None]
        judged = _Judged(ports)
        of_claims = operations.named(tx, [port.claim.operation_id for port in ports if port.claim])
        rows = conversions.of_operations(tx, of_claims)
        behind = entries.pending(tx, [port.id for port in ports])
        changed = []
        for port in ports:
            assert port.claim is not None  # noqa: S101  chosen above
            claim, operation = port.claim, of_claims[port.claim.operation_id]
            at = (claim.kind, Stage[claim.step.upper()]) if claim.kind in steps.CONVERSIONS else None
            if at != outside.stages[port.id]:
                judged.advanced = True  # another worker was faster
                continue
            facts = _facts(port, claim, behind[port.id], outside)
            row = rows.get(claim.operation_id)
            if self._decide(tx, port, claim, operation, row, facts, outside, judged):
                changed.append(port)
        for (kind, stage), entering in judged.entering.items():
            conversions.enter(tx, kind, stage, entering)
        tx.session.flush()
        if changed:
            judged.nodes = derive_ports(tx, changed)
        for conversion_id in {row.conversion_id for row in rows.values() if not PortState(row.state).moving}:
            tx.ring(bells.CONVERSION, str(conversion_id))
        return judged

    def _decide(
        self,
        tx: Transaction,
        port: Port,
        claim: Claim,
        operation: Operation,
        row: PortConversion | None,
        facts: Facts,
        outside: Outside,
        judged: _Judged,
    ) -> bool:
        """Whether the port's entries change."""
        stage = Stage[claim.step.upper()]
        match steps.next_step(claim.kind, stage, facts):
            case Advance(following):
                if following is Stage.PREPARED and claim.kind == CONVERT:
                    claim.answered = dict(outside.tried[port.id].ways)
                judged.entering.setdefault((claim.kind, following), []).append(port.id)
                judged.advanced = True
                return steps.path(following) != steps.path(stage)
            case Wait() as wait:
                claim.settled_at = (claim.settled_at or datetime.now(UTC)) if wait.settling else None
                if wait.soon:
                    judged.look_again(steps.SETTLE_S - facts.settled_s if wait.settling else steps.SETTLE_S)
                operation.wait(wait.code, wait.text, "it is read back")
                if row is not None and claim.kind == REVERT and facts.at_stage_s > steps.OVERDUE_S:
                    row.state, row.reasons = PortState.NEEDS_OPERATOR, [_reason(wait.code, wait.text)]
                return False
            case Blocked(reasons):
                operation.fail(reasons[0].code, "; ".join(reason.text for reason in reasons))
                _leave(row, PortState.BLOCKED, reasons)
            case RollBack(reason):
                claim.kind = REVERT
                claim.requested = {**claim.requested, "failed": _reason(reason.code, reason.text, reason.remedy)}
                judged.entering.setdefault((REVERT, stage), []).append(port.id)
                _leave(row, PortState.ROLLING_BACK, [reason])
                judged.advanced = True
                return False
            case Done():
                _finish(port, claim, operation, row, outside.tried.get(port.id, Tried({})))
        tx.session.delete(claim)
        port.claim = None
        return True


@dataclass(slots=True)
class _Judged:
    """`advanced`: there is more to do at once; `again_s`: after so many seconds. `nodes`: that have to be told."""

    ports: Sequence[Port]
    advanced: bool = False
    again_s: float | None = None
    nodes: set[UUID] = field(default_factory=set)
    entering: dict[tuple[str, Stage], list[UUID]] = field(default_factory=dict)

    def look_again(self, after_s: float) -> None:
        self.again_s = min(after_s, self.again_s or after_s)


def _answered(port: Port) -> list[str]:
    """The ways by which a port's guest answered before its switch."""
    return [way for way, answered in port.claim.answered.items() if answered] if port.claim else []


def _watched(port: Port) -> list[Prefix]:
    """The addresses whose way at the edge a conversion changes."""
    return [address.prefix for address in port.addresses if address.prefix.version == 4]


def _facts(port: Port, claim: Claim, behind: Behind, outside: Outside) -> Facts:
    hypervisors = describe([(node, failure) for node, failure in behind if node.role != "gateway"])
    gateways = describe([(node, failure) for node, failure in behind if node.role == "gateway"])
    now = datetime.now(UTC)
    node = port.node_id
    watched = _watched(port) if steps.asks_edge(*outside.stages[port.id]) and node else []
    unknown = outside.edge_unknown or (None if outside.edge.knows(watched) else "its addresses have just changed")
    watched = [] if unknown else watched
    sends_here = not watched
    if watched and node:
        ask = outside.edge.all_send if claim.kind == CONVERT else outside.edge.any_sends
        sends_here = ask(watched, node)
    elif claim.kind == REVERT:
        sends_here = False
    tried = outside.tried.get(port.id)
    return Facts(
        blockers=outside.blockers.get(port.id, ()),
        hypervisor_pending=move.unrealized(hypervisors).text if hypervisors else None,
        gateways_pending=move.unrealized(gateways).text if gateways else None,
        edge_sends_here=sends_here,
        edge_unknown=unknown,
        settled_s=(now - claim.settled_at).total_seconds() if claim.settled_at else 0.0,
        at_stage_s=(now - claim.entered_at).total_seconds(),
        silent=steps.failed(claim.answered, tried.ways) if tried else (),
    )


def _leave(row: PortConversion | None, state: PortState, reasons: Sequence[Reason] = ()) -> None:
    if row is not None:
        row.state = state
        row.reasons = [_reason(one.code, one.text, one.remedy) for one in reasons]


def _reason(code: str, text: str, remedy: str = "") -> dict[str, str]:
    return {"code": code, "text": text, "remedy": remedy}


def _finish(port: Port, claim: Claim, operation: Operation, row: PortConversion | None, tried: Tried) -> None:
    port.enter(modes.HOSTNAT if claim.kind == CONVERT else modes.NAT)
    port.instance.revision += 1
    actual = {"mode": port.mode, "probes": tried.sent, "probes_lost": tried.lost}
    result = {**(operation.result or {}), "actual": actual}
    failure = claim.requested.get("failed")
    if claim.kind == CONVERT:
        operation.reach("verified", 1.0)
    if claim.requested.get("cancelled"):
        operation.cancel()
    elif failure:
        operation.fail(failure["code"], f"rolled back: {failure['text']}")
        operation.result = result
    else:
        operation.succeed(result)
    if row is None:
        return
    row.state = phases.state_at_end(claim.kind, failed=bool(failure))
    if claim.kind == CONVERT:
        row.reasons = []
        row.verified_at = datetime.now(UTC)
        row.probes_sent += tried.sent
        row.probes_lost += tried.lost
