"""Takes a zone's conversion from phase to phase: asks `phases`, writes what it decides, gives ports their turn.

Paused, it gives no port its turn and leaves no phase; ports between two modes go on to their end, for both of their
paths are live meanwhile and their owners wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import Conflict, NotFound, Unavailable
from services.ipam import wire as ipam_wire
from services.ipam.client import IpamClient
from services.placement import bells, claims, ledger, modes
from services.placement.conversion import adoption, phases, transitions
from services.placement.conversion.observer import Observer
from services.placement.conversion.phases import (
    Advance,
    EndWave,
    Phase,
    PortState,
    Wait,
    WaveFacts,
    ZoneFacts,
)
from services.placement.conversion.steps import CONVERT, OVERDUE_S, REVERT, Reason, Stage
from services.placement.desired import derive_ports
from services.placement.edges import Edges
from services.placement.model import Conversion, Node, Operation, Port, PortConversion, Wave
from services.placement.move import Kind, first_step
from services.placement.once import Once
from services.placement.service.zones import zone_wire
from services.placement.store import conversions, entries, instances, nodes, operations

log = structlog.get_logger()

CARRIED_AT_ONCE = 100
ASK_S = 5.0
STALE = timedelta(seconds=phases.STALE_S)


@dataclass(frozen=True, slots=True)
class Outside:
    """What agents were asked for, before the transaction that judges it. Who is silent is stale, not well."""

    wrong_tenant: dict[str, int] = field(default_factory=dict)
    duplicates: Sequence[str] = ()


class ZoneConversions:
    """Drives conversions of zones."""

    def __init__(
        self,
        database: Database,
        edges: Edges,
        observer: Observer,
        ipam: IpamClient,
        clock: Callable[[], float],
    ) -> None:
        """`clock`: seconds, of any beginning."""
        self._db = database
        self._edges = edges
        self._observer = observer
        self._ipam = ipam
        self._clock = clock
        self._asked: dict[UUID, tuple[float, Outside]] = {}  # by conversion: when, and what they said
        self._once = Once(self._take)

    def take(self, conversion_id: UUID) -> None:
        """Take a zone's conversion as far as it goes now."""
        self._once.do(conversion_id)

    def _take(self, conversion_id: UUID) -> None:
        while self._step(conversion_id):
            pass

    def _step(self, conversion_id: UUID) -> bool:
        with self._db.transaction() as tx:
            conversion = conversions.get(tx, conversion_id)
        if conversion is None or conversion.operation_id is None or Phase(conversion.phase).over:
            return False
        if conversion.phase == Phase.PLANNED:
            self._carry(conversion.zone)
        outside = self._ask(conversion)
        with self._db.transaction() as tx:
            locked = conversions.get(tx, conversion_id, lock=True)
            if locked is None or locked.phase != conversion.phase:
                return True
            decided = self._judge(tx, locked, outside)
        if decided and locked.phase in {Phase.DONE, Phase.ABORTED}:
            with self._db.transaction() as tx:
                zone = nodes.zone(tx, locked.zone)
            if zone is not None:
                ledger.put_zone(self._ipam, zone_wire(zone))
        return decided

    # --- asking ------------------------------------------------------------------------------------------------------

    def _carry(self, zone: str) -> None:
        """Make legacy IPv6 prefixes the ledger's, which rings for the address sets that bring them to their ports."""
        with self._db.transaction() as tx:
            conversions.keep_legacy(tx, zone)
        after: conversions.Legacy | None = None
        while True:
            with self._db.transaction() as tx:
                due = conversions.legacy_to_carry(tx, zone, CARRIED_AT_ONCE, after)
            if not due:
                return
            self._adopt_each(zone, due)
            after = due[-1]

    def _adopt_each(self, zone: str, due: Sequence[conversions.Legacy]) -> None:
        try:
            self._adopt(zone, due)
        except (Conflict, NotFound):  # one of them is no more as it was read: the others are not held up by it
            for legacy in due:
                try:
                    self._adopt(zone, [legacy])
                except (Conflict, NotFound) as error:
                    log.warning("conversion.not_carried", prefix=legacy.prefix, code=error.code, error=error.message)

    def _adopt(self, zone: str, due: Sequence[conversions.Legacy]) -> None:
        self._ipam.adopt(
            zone,
            [
                ipam_wire.CarriedPrefix(
                    prefix=legacy.prefix,
                    project=legacy.project,
                    name=legacy.name,
                    target=ipam_wire.TargetRef(kind=legacy.kind, id=legacy.target_id),
                )
                for legacy in due
            ],
        )

    def _ask(self, conversion: Conversion) -> Outside:
        """Now and then while ports are in flight, each of which rings at its end; anew for the verdict on a wave."""
        if not Phase(conversion.phase).converts:
            return Outside()
        with self._db.transaction() as tx:
            in_flight = conversions.moving(tx, conversion.id) > 0
        now = self._clock()
        asked_at, answer = self._asked.get(conversion.id, (now - ASK_S, Outside()))
        if not in_flight or now - asked_at >= ASK_S:
            answer = self._ask_agents(conversion, [state for state in PortState if state.moving or not in_flight])
            self._asked[conversion.id] = (now, answer)
        return answer

    def _ask_agents(self, conversion: Conversion, states: Sequence[PortState]) -> Outside:
        """`states`: of the ports whose addresses are looked for at the edges."""
        packets = self._observer.wrong_tenant_packets(conversion.zone)
        with self._db.transaction() as tx:
            wave = conversions.current_wave(tx, conversion)
            announced = conversions.public_of_wave(tx, wave, states) if wave else {}
        try:
            view = self._edges.view(conversion.zone, list(announced), set(announced.values()))
        except Unavailable as error:  # a silent edge is a stale node, which is an alarm of its own
            log.warning("conversion.edge_silent", zone=conversion.zone, error=error.message)
            return Outside(packets)
        return Outside(packets, [str(prefix) for prefix, node in announced.items() if view.shared(prefix, node)])

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, tx: Transaction, conversion: Conversion, outside: Outside) -> bool:
        """Whether there is more to do at once."""
        phase = Phase(conversion.phase)
        operation = operations.get(tx, conversion.operation_id or "", lock=True)
        zone = nodes.zone(tx, conversion.zone, lock=True)
        if operation is None or zone is None:
            return False
        if phase is Phase.ABORTING:
            _turn_back(tx, conversion)
        facts = _facts(tx, conversion, outside)
        _progress(tx, conversion, operation)
        reasons = phases.alarms(phase, facts) if not conversion.paused and phase is not Phase.ABORTING else []
        if reasons:
            transitions.pause(tx, conversion, reasons)
        if conversion.paused:
            operation.wait(
                "conversion.paused", "; ".join(one["text"] for one in conversion.paused), "a person resumes it"
            )
            return False
        match phases.next_phase(phase, facts):
            case Wait() as wait:
                operation.wait(wait.code, wait.text, wait.unblock)
                return phase.converts and _give_turns(tx, conversion)
            case EndWave(number):
                ended = tx.session.get_one(Wave, (conversion.id, number))
                ended.ended_at = datetime.now(UTC)
                return True
            case Advance(following):
                if phase == conversion.through:
                    reached = Reason("conversion.through", f"as far as asked for: {phase}", "resume it")
                    transitions.pause(tx, conversion, [reached])
                    return True
                transitions.enter(tx, conversion, operation, zone, following)
        return True


def _facts(tx: Transaction, conversion: Conversion, outside: Outside) -> ZoneFacts:
    phase = Phase(conversion.phase)
    counts = conversions.counts(tx, conversion.id)
    wave = conversions.current_wave(tx, conversion)
    before = datetime.now(UTC) - timedelta(seconds=OVERDUE_S)
    conversion.wrong_tenant_packets, misdelivered = phases.misdelivered(
        outside.wrong_tenant, conversion.wrong_tenant_packets
    )
    members = nodes.nodes_of_zone(tx, conversion.zone)
    return ZoneFacts(
        uncarried=conversions.uncarried(tx, conversion.zone) if phase is Phase.PLANNED else 0,
        zone_pending=_zone_pending(tx, members),
        wave=WaveFacts(
            wave.number,
            counts.get(wave.number, {}),
            conversions.overdue(tx, conversion.id, wave.number, before),
            sum(found.get(PortState.FAILED, 0) for number, found in counts.items() if number < wave.number),
        )
        if wave
        else None,
        nat_ports=conversions.count_in(tx, conversion.zone, modes.NAT) if phase is Phase.TAIL else 0,
        mappings=conversions.mappings(tx, conversion.zone) if phase is Phase.TAIL else 0,
        unadopted=len(_to_adopt(tx, conversion)) + conversions.moving(tx, conversion.id) if phase is Phase.TAIL else 0,
        reverting=conversions.unreverted(tx, conversion.zone) if phase is Phase.ABORTING else 0,
        stale_nodes=[node.name for node in members if _stale(node)],
        nodes=len(members),
        wrong_tenant=misdelivered,
        duplicates=outside.duplicates,
        failures=sum(found.get(PortState.FAILED, 0) for found in counts.values()),
        failure_budget=conversion.failure_budget,
    )


def _stale(node: Node) -> bool:
    return node.heartbeat is None or datetime.now(UTC) - node.heartbeat.seen_at > STALE


def _zone_pending(tx: Transaction, members: Sequence[Node]) -> str | None:
    behind = {node.name for found in entries.pending(tx, [node.id for node in members]).values() for node, _ in found}
    return f"{', '.join(sorted(behind))} not yet at what the zone asks" if behind else None


# --- turns -----------------------------------------------------------------------------------------------------------


def _give_turns(tx: Transaction, conversion: Conversion) -> bool:
    """Claim ports for what is due, as many as may be in flight. Whether one was at its end without that."""
    room = conversion.in_flight - conversions.moving(tx, conversion.id)
    wave = conversions.current_wave(tx, conversion)
    if wave is None:
        turn = _to_adopt(tx, conversion)[: max(room, 0)]
        _begin(tx, turn, Kind.RESTART, first_step(Kind.RESTART), f"{conversion.id}/restarts")
        derive_ports(tx, [port for _, port in turn])
        return False
    wave.started_at = wave.started_at or datetime.now(UTC)
    conversions.mark_busy(tx, conversion.id, wave.number)
    due = conversions.due(tx, conversion.id, wave.number, max(room, 0))
    ports = {port.id: port for port in instances.ports(tx, [row.port_id for row in due], lock=True)}
    ended, turn = False, []
    for row in due:
        port = ports.get(row.port_id)
        to = phases.turn(port.mode if port else None, busy=port is not None and port.claim is not None, room=True)
        if port is not None and to is PortState.CONVERTING:
            turn.append((row, port))
        elif to is not PortState.WAITING:
            row.state, row.reasons, ended = to, [], True
    _begin(tx, turn, CONVERT, Stage.NAT.name.lower(), f"{conversion.id}/{wave.number}")
    return ended


def _begin(tx: Transaction, turn: Sequence[tuple[PortConversion, Port]], kind: str, step: str, wave: str) -> None:
    begun = claims.claim_all(tx, [port for _, port in turn], kind, step, wave=wave)
    for (row, _), operation in zip(turn, begun, strict=True):
        row.state, row.reasons, row.operation_id = PortState.CONVERTING, [], operation.id
        row.attempts += 1
    tx.session.flush()


def _to_adopt(tx: Transaction, conversion: Conversion) -> list[tuple[PortConversion, Port]]:
    """Running guests that we are to restart, so that they take their address."""
    if not conversion.restarts_guests:
        return []
    rows = {row.port_id: row for row in conversions.ports(tx, conversion.id, states=[PortState.VERIFIED])}
    return [
        (rows[port.id], port)
        for port in instances.ports(tx, list(rows), lock=True)
        if port.node_id and port.claim is None and adoption.mode_at_start(tx, port) != port.mode
    ]


def _turn_back(tx: Transaction, conversion: Conversion) -> None:
    """Ports between two modes turn round where they are; converted ones follow, as many as may be in flight."""
    wave = f"{conversion.id}/back"
    turning = conversions.converting(tx, conversion.zone)
    rows = conversions.rows_of_ports(tx, [port.id for port in turning])
    for port in turning:
        assert port.claim is not None  # noqa: S101  chosen by it
        port.claim.kind = REVERT
        port.claim.entered_at = datetime.now(UTC)
        if (row := rows.get(port.id)) is not None:
            row.state = PortState.ROLLING_BACK
        tx.ring(bells.CONVERSION_BATCH, port.claim.wave, str(port.claim.source_id or "-"))
    tx.session.flush()
    room = conversion.in_flight - conversions.moving(tx, conversion.id)
    back = conversions.to_revert(tx, conversion.zone, max(room, 0))
    rows = conversions.rows_of_ports(tx, [port.id for port in back])
    for port, operation in zip(
        back, claims.claim_all(tx, back, REVERT, Stage.SWITCHED.name.lower(), wave=wave), strict=True
    ):
        if (row := rows.get(port.id)) is not None:
            row.state, row.operation_id = PortState.ROLLING_BACK, operation.id
    tx.session.flush()


def _progress(tx: Transaction, conversion: Conversion, operation: Operation) -> None:
    """Counts by state, and how much is done, in the Operation."""
    counts: dict[str, int] = {}
    for found in conversions.counts(tx, conversion.id).values():
        for state, count in found.items():
            counts[state] = counts.get(state, 0) + count
    done = sum(counts.get(state, 0) for state in phases.CONVERTED)
    operation.progress = done / max(1, sum(counts.values()))
    operation.result = {**(operation.result or {}), "ports": counts}
