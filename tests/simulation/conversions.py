"""The migration worker's tasks: ports go there or back in batches, the zone from phase to phase.

They follow `services.placement.conversion.ports` and `.zones`; what comes next is decided by `steps`, `phases`,
`prechecks` and `snapshot` as in production.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from common.errors import DomainError, Unavailable
from services.placement import bells, modes
from services.placement.conversion import phases, prechecks, steps
from services.placement.conversion.phases import Phase, PortState, WaveFacts, ZoneFacts
from services.placement.conversion.prechecks import Host, Seen
from services.placement.conversion.steps import (
    CONVERT,
    OVERDUE_S,
    REVERT,
    SETTLE_S,
    Advance,
    Blocked,
    Done,
    Reason,
    RollBack,
    Stage,
    Wait,
)
from services.placement.edges import EdgeView
from services.placement.move import Kind, Pending, first_step, unrealized
from services.placement.snapshot import Prefix, fence_entries, node_entries
from tests.simulation.agents import Agent
from tests.simulation.controller import COMMIT, Controller
from tests.simulation.paths import Paths
from tests.simulation.rows import Claim, ConversionClaim, Operation, Port
from tests.simulation.workers import Call, Task
from tests.simulation.zone import Conversion, PortRow, Wave

NOTHING = EdgeView({}, {})
Ways = dict[str, bool]


@dataclass(frozen=True, slots=True)
class Outside:
    """What agents were asked for, before the transaction that judges it."""

    edge: EdgeView = NOTHING
    edge_unknown: str | None = None
    blockers: dict[UUID, tuple[Reason, ...]] = field(default_factory=dict)
    tried: dict[UUID, Ways] = field(default_factory=dict)


@dataclass
class Conversions(Controller):
    """The controller with its migration worker."""

    silent: set[UUID] = field(default_factory=set)  # ports whose guests answer nobody
    strict: bool = False  # the edge filters by reverse path
    misdelivered: dict[UUID, int] = field(default_factory=dict)  # packets by hypervisor: see `phases.misdelivered`
    conversion: Conversion | None = None  # the latest

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = Paths(self)

    def _task(self, bell: str, names: tuple[Any, ...]) -> Task:
        if bell == bells.CONVERSION_BATCH:
            return self.take_batch(*names)
        if bell == bells.CONVERSION:
            return self.take_zone()
        return super()._task(bell, names)

    def sweep(self) -> Task:
        if self.conversion is not None and not self.conversion.phase.over:
            self.ring(bells.CONVERSION, ("zone",))
        return super().sweep()

    def _sleep(self, seconds: float) -> Call:
        return Call(lambda answer: self.engine.after(seconds, "settled", lambda: answer(None, None)))

    # --- claims ------------------------------------------------------------------------------------------------------

    def begin(self, port: Port, kind: str, stage: Stage, wave: str, row: PortRow | None = None) -> None:
        """Claim a port that nothing is changing."""
        number = f"placement-{len(self.rows.operations)}"
        self.rows.operations[number] = Operation(number, kind, port.id)
        claim = ConversionClaim(port.id, number, kind, stage, port.node, wave, self.engine.now)
        assert self.rows.swap(None, claim)
        if row is not None:
            row.operation = number
            row.state = PortState.CONVERTING if kind == CONVERT else PortState.ROLLING_BACK
        self.engine.note(f"{number} {kind} {port.name}")
        self.ring_claim(claim)

    def _row(self, port: UUID) -> PortRow | None:
        conversion = self.conversion
        return conversion.ports.get(port) if conversion and conversion.phase is not Phase.ABORTED else None

    # --- ports -------------------------------------------------------------------------------------------------------

    def take_batch(self, wave: str, node: UUID | None) -> Task:
        """Take the ports of a wave on a node as far as they go now."""
        again = True
        while again:
            found = [claim for claim in self.rows.claims.values() if isinstance(claim, ConversionClaim)]
            port_ids = sorted(claim.port for claim in found if (claim.wave, claim.source) == (wave, node))
            yield COMMIT
            again = bool(port_ids) and (yield from self._round(port_ids))

    def _round(self, port_ids: list[UUID]) -> Task:
        """One stage of each port that is due; whether there is more to do now."""
        behind = dict.fromkeys(node for port in port_ids for node in self._reachable_behind(port))
        yield COMMIT
        yield from self._sync_nodes(behind, port_ids)
        claims = [claim for port in port_ids if (claim := self.rows.converting(port))]
        yield COMMIT
        outside = yield from self._ask(claims)
        advanced, again_s = self._judge_ports(claims, outside)
        yield COMMIT
        if advanced or again_s is None:
            return advanced
        yield self._sleep(again_s)
        return True

    def _ask(self, claims: list[ConversionClaim]) -> Task:
        ports = {claim.port: self.rows.ports[claim.port] for claim in claims if claim.port in self.rows.ports}
        claims = [claim for claim in claims if claim.port in ports]
        asked = [ports[claim.port] for claim in claims if steps.asks_edge(claim.kind, claim.stage)]
        tried = [ports[claim.port] for claim in claims if steps.tries_guest(claim.kind, claim.stage)]
        new = [ports[claim.port] for claim in claims if (claim.kind, claim.stage) == (CONVERT, Stage.NAT)]
        try:
            edge = yield from self._edge_view([prefix for port in asked if port.node for prefix in port.public])
            answers = yield from self._try(tried)
        except Unavailable as error:
            return Outside(edge_unknown=error.message)
        return Outside(edge, None, self._blockers(new), answers)

    def _try(self, ports: list[Port]) -> Task:
        """By which ways guests answer, as an edge sees it."""
        if not ports:
            return {}

        def probe(agent: Agent) -> dict[UUID, Ways]:
            agent.state()
            return {port.id: self._answers(port) for port in ports}

        return (yield self._agent(self.rows.of_role("edge")[0].id, "probes", probe))

    def _answers(self, port: Port) -> Ways:
        if port.node is None or port.id in self.silent:
            return {str(prefix): False for prefix in port.public}
        return {str(prefix): self.paths.answers(port, prefix) for prefix in port.public}

    def _blockers(self, ports: list[Port]) -> dict[UUID, tuple[Reason, ...]]:
        """Prechecks of what is seen."""
        now = self.engine.now
        filters = {"edge": {"uplink": "strict" if self.strict else "loose"}}
        found = {}
        for port in ports:
            host = self.rows.nodes[port.node] if port.node else None
            stale = None if host is None or (host.up(now) and not host.refusal) else f"{host.name} is not heard"
            versions = [address.prefix.version for address in port.addresses]
            seen = Seen(
                Host(host.name, hostnat=True, stale=stale, room=100) if host else None,
                versions.count(4),
                versions.count(6),
                filters,
                (),
            )
            found[port.id] = prechecks.blockers(prechecks.findings(seen))
        return found

    def _judge_ports(self, judged: list[ConversionClaim], outside: Outside) -> tuple[bool, float | None]:
        """Whether one went on, and else after how long to look again."""
        advanced, waits = False, []
        for before in judged:
            claim = self.rows.converting(before.port)
            if claim is None:
                continue
            if (claim.kind, claim.stage) != (before.kind, before.stage):
                advanced = True
                continue
            went, wait_s = self._decide(claim, self.rows.ports[claim.port], outside)
            advanced |= went
            waits += [] if wait_s is None else [wait_s]
        conversion = self.conversion
        if conversion is not None and any(
            (row := conversion.ports.get(claim.port)) and not row.state.moving for claim in judged
        ):
            self.ring(bells.CONVERSION, ("zone",))
        return advanced, min(waits, default=None)

    def _decide(self, claim: ConversionClaim, port: Port, outside: Outside) -> tuple[bool, float | None]:
        rows, now = self.rows, self.engine.now
        facts = self._port_facts(claim, port, outside)
        operation, row = rows.operations[claim.operation], self._row(claim.port)
        decision = self.decisions.convert(claim.kind, claim.stage, facts)
        stage = claim.stage.name.lower()
        match decision:
            case Advance(following):
                self.edges.add((claim.kind, stage, following.name.lower()))
                answered = claim.answered
                if following is Stage.PREPARED and claim.kind == CONVERT:
                    answered = tuple(sorted(outside.tried[port.id].items()))
                operation.state, operation.waits = "running", None
                rows.swap(claim, replace(claim, stage=following, entered_at=now, settled_at=None, answered=answered))
                self.engine.note(f"{claim.operation} {claim.kind} {following.name}")
                if self.decisions.path(following) != self.decisions.path(claim.stage):
                    self.derive(port)
                return True, None
            case Wait() as wait:
                self.edges.add((claim.kind, stage, wait.code))
                operation.state, operation.waits = "waiting", wait.code
                settled_at = (now if claim.settled_at is None else claim.settled_at) if wait.settling else None
                rows.swap(claim, replace(claim, settled_at=settled_at))
                if row is not None and claim.kind == REVERT and facts.at_stage_s > OVERDUE_S:
                    row.state = PortState.NEEDS_OPERATOR
                return False, (SETTLE_S - facts.settled_s if wait.settling else SETTLE_S) if wait.soon else None
            case RollBack(reason):
                self.edges.add((claim.kind, stage, "rolling_back"))
                rows.swap(claim, replace(claim, kind=REVERT, entered_at=now, settled_at=None, failed=reason.code))
                if row is not None:
                    row.state = PortState.ROLLING_BACK
                return True, None
            case Blocked(reasons):
                self.edges.add((claim.kind, stage, "blocked"))
                operation.state, operation.waits, operation.error = "failed", None, reasons[0].code
                if row is not None:
                    row.state = PortState.BLOCKED
            case Done():
                self.edges.add((claim.kind, stage, "done"))
                self._end(claim, port, row)
        rows.swap(rows.claims[port.id], None)
        self.derive(port)
        return False, None

    def _end(self, claim: ConversionClaim, port: Port, row: PortRow | None) -> None:
        operation = self.rows.operations[claim.operation]
        port.mode = modes.HOSTNAT if claim.kind == CONVERT else modes.NAT
        operation.state, operation.waits = "failed" if claim.failed else "succeeded", None
        operation.error = claim.failed
        if row is not None:
            row.state = phases.state_at_end(claim.kind, failed=bool(claim.failed))
        self.ring(bells.REPORT, (port.id,))

    def _port_facts(self, claim: ConversionClaim, port: Port, outside: Outside) -> steps.Facts:
        now = self.engine.now
        behind = self.rows.pending(port.id)
        seen = [(node.role, Pending(node.name, node.up(now), failure)) for node, failure in behind]
        hypervisors = tuple(one for role, one in seen if role != "gateway")
        gateways = tuple(one for role, one in seen if role == "gateway")
        watched = port.public if steps.asks_edge(claim.kind, claim.stage) and port.node else []
        unknown = outside.edge_unknown or (None if outside.edge.knows(watched) else "its addresses have just changed")
        sends_here = claim.kind == CONVERT
        if watched and port.node and not unknown:
            ask = outside.edge.all_send if claim.kind == CONVERT else outside.edge.any_sends
            sends_here = ask(watched, port.node)
        tried = outside.tried.get(port.id)
        return steps.Facts(
            blockers=outside.blockers.get(port.id, ()),
            hypervisor_pending=unrealized(hypervisors).text if hypervisors else None,
            gateways_pending=unrealized(gateways).text if gateways else None,
            edge_sends_here=sends_here,
            edge_unknown=unknown,
            settled_s=now - claim.settled_at if claim.settled_at is not None else 0.0,
            at_stage_s=now - claim.entered_at,
            silent=steps.failed(dict(claim.answered), tried) if tried is not None else (),
        )

    # --- the zone ----------------------------------------------------------------------------------------------------

    def nat_ports(self) -> list[UUID]:
        return sorted(port.id for port in self.rows.ports.values() if port.mode == modes.NAT)

    def take_zone(self) -> Task:
        """Take the zone's conversion as far as it goes now."""
        again = True
        while again:
            conversion = self.conversion
            if conversion is None or conversion.phase.over:
                return
            phase = conversion.phase
            yield COMMIT
            if phase is Phase.PLANNED:
                yield from self._carry()
            packets, duplicates = yield from self._ask_zone(conversion)
            if conversion.phase is not phase:
                continue
            again = self._judge_zone(conversion, packets, duplicates)
            yield COMMIT

    def _legacy(self) -> list[tuple[Prefix, UUID]]:
        held = self.rows.node_bound.items()
        return [(prefix, holder) for prefix, (_, holder) in held if holder is not None and prefix.version == 6]

    def _carry(self) -> Task:
        """Make legacy IPv6 prefixes the ledger's; one whose port is being changed is taken when it has been."""
        for prefix, holder in self._legacy():
            if holder not in self.rows.claims:
                self.rows.carried.add(prefix)
        due = [(prefix, holder) for prefix, holder in self._legacy() if prefix in self.rows.carried]
        yield COMMIT
        for prefix, holder in due:
            try:
                yield self._ledger("adopt", lambda one=(prefix, holder): self.ledger.adopt(*one))  # type: ignore[misc]
            except DomainError as error:
                self.engine.note(f"{prefix} is not carried: {error.code}")
                continue
            self.ring(bells.ADDRESS_SET, (holder,))

    def _ask_zone(self, conversion: Conversion) -> Task:
        if not conversion.phase.converts:
            return {}, []
        packets: dict[str, int] = {}
        for node in self.rows.of_role("hypervisor"):
            if not node.up(self.engine.now):
                continue
            try:
                yield self._agent(node.id, "observed", lambda agent: agent.state())
            except Unavailable:
                continue
            packets[node.name] = self.misdelivered.get(node.id, 0)
        wave = conversion.current
        rows = conversion.of_wave(wave) if wave is not None else []
        ports = [self.rows.ports[row.port] for row in rows if row.port in self.rows.ports]
        announced = {prefix: port.node for port in ports if port.node for prefix in port.public}
        try:
            view = yield from self._edge_view(list(announced))
        except Unavailable:
            return packets, []
        return packets, [str(prefix) for prefix, node in announced.items() if view.shared(prefix, node)]

    def _judge_zone(self, conversion: Conversion, packets: dict[str, int], duplicates: list[str]) -> bool:
        """Whether there is more to do at once."""
        phase, operation = conversion.phase, self.rows.operations[conversion.operation]
        if phase is Phase.ABORTING:
            self._turn_back(conversion)
        facts = self._zone_facts(conversion, packets, duplicates)
        if not conversion.paused and phase is not Phase.ABORTING:
            for reason in self.decisions.alarms(phase, facts):
                self.edges.add(("alarm", reason.code, "paused"))
                conversion.paused.append(reason.code)
        if conversion.paused:
            operation.state, operation.waits = "waiting", "conversion.paused"
            return False
        match self.decisions.next_phase(phase, facts):
            case phases.Wait(code):
                self.edges.add(("zone", str(phase), code))
                operation.state, operation.waits = "waiting", code
                return phase.converts and self._give_turns(conversion)
            case phases.EndWave(number):
                self.edges.add(("zone", str(phase), "wave ends"))
                conversion.waves[number].ended = True
            case phases.Advance(following):
                if phase is conversion.through:
                    conversion.paused.append("conversion.through")
                else:
                    self.edges.add(("zone", str(phase), str(following)))
                    self.enter(conversion, following)
        return True

    def _zone_facts(self, conversion: Conversion, packets: dict[str, int], duplicates: list[str]) -> ZoneFacts:
        rows, now, phase, number = self.rows, self.engine.now, conversion.phase, conversion.current
        tail = phase is Phase.TAIL
        conversion.wrong_tenant_packets, wrong = phases.misdelivered(packets, conversion.wrong_tenant_packets)
        claims = [claim for claim in rows.claims.values() if isinstance(claim, ConversionClaim)]
        members = rows.nodes.values()
        wave = None
        if number is not None:
            counts: dict[PortState, int] = {}
            for row in conversion.of_wave(number):
                counts[row.state] = counts.get(row.state, 0) + 1
            late = [claim for claim in claims if now - claim.entered_at > OVERDUE_S]
            of_wave = {row.port for row in conversion.of_wave(number)}
            before = [row for row in conversion.ports.values() if row.wave < number]
            failed_before = sum(row.state is PortState.FAILED for row in before)
            wave = WaveFacts(number, counts, sum(claim.port in of_wave for claim in late), failed_before)
        pending = [node.name for node in members if any(of == node for of, _ in rows.pending(node.id))]
        between = {claim.port for claim in claims}
        back = [port.id for port in rows.ports.values() if port.mode == modes.HOSTNAT or port.id in between]
        return ZoneFacts(
            uncarried=len(self._legacy()) if phase is Phase.PLANNED else 0,
            zone_pending=f"{', '.join(pending)} are behind" if pending else None,
            wave=wave,
            nat_ports=len(self.nat_ports()) if tail else 0,
            mappings=rows.mappings() if tail else 0,
            unadopted=len(self._to_adopt(conversion)) if tail else 0,
            reverting=len(back) if phase is Phase.ABORTING else 0,
            stale_nodes=[node.name for node in members if now - node.seen_at > phases.STALE_S],
            nodes=len(members),
            wrong_tenant=wrong,
            duplicates=duplicates,
            failures=sum(row.state is PortState.FAILED for row in conversion.ports.values()),
            failure_budget=conversion.failure_budget,
        )

    def _to_adopt(self, conversion: Conversion) -> list[Port]:
        """Running guests that we are to restart, so that they take their address."""
        if not conversion.restarts_guests:
            return []
        rows = self.rows
        verified = [row.port for row in conversion.ports.values() if row.state is PortState.VERIFIED]
        return [
            port
            for port_id in verified
            if (port := rows.ports.get(port_id)) and port.node and port_id not in rows.claims
            if self.mode_at_start(port) != port.mode
        ]

    def _give_turns(self, conversion: Conversion) -> bool:
        """Claim ports for what is due; whether one was at its end without that."""
        room, number = conversion.in_flight - conversion.moving, conversion.current
        if number is None:
            for port in self._to_adopt(conversion)[: max(room, 0)]:
                conversion.ports[port.id].state = PortState.CONVERTING
                self.restart(port)
            return False
        ended = False
        for row in [row for row in conversion.of_wave(number) if row.state is PortState.WAITING]:
            due = self.rows.ports.get(row.port)
            to = phases.turn(due.mode if due else None, busy=row.port in self.rows.claims, room=room > 0)
            if due is not None and to is PortState.CONVERTING:
                room -= 1
                self.begin(due, CONVERT, Stage.NAT, f"wave {number}", row)
            elif to is not PortState.WAITING:
                row.state, ended = to, True
        return ended

    def restart(self, port: Port) -> None:
        """Stop and start a guest where it is."""
        number = f"placement-{len(self.rows.operations)}"
        self.rows.operations[number] = Operation(number, Kind.RESTART, port.id)
        claim = Claim(port.id, number, Kind.RESTART, first_step(Kind.RESTART), port.node, port.node)
        assert self.rows.swap(None, claim)
        self.engine.note(f"{number} restart {port.name}")
        self.derive(port)
        self.ring_claim(claim)

    def adopt(self, port: Port) -> None:
        before = port.mode
        super().adopt(port)
        row = self._row(port.id)
        if row is not None and port.mode != before:
            row.state = PortState.ADOPTED

    def _turn_back(self, conversion: Conversion) -> None:
        """Ports between two modes turn round where they are; converted ones follow, as many as may be in flight."""
        for claim in list(self.rows.claims.values()):
            if isinstance(claim, ConversionClaim) and claim.kind == CONVERT:
                turned = replace(claim, kind=REVERT, entered_at=self.engine.now)
                self.rows.swap(claim, turned)
                self.edges.add(("turn", claim.stage.name.lower(), REVERT))
                if (row := self._row(claim.port)) is not None:
                    row.state = PortState.ROLLING_BACK
                self.ring_claim(turned)
        room = max(conversion.in_flight - conversion.moving, 0)
        found = [port for port in self.rows.ports.values() if port.mode == modes.HOSTNAT]
        for port in [port for port in found if port.id not in self.rows.claims][:room]:
            self.begin(port, REVERT, Stage.SWITCHED, "back", self._row(port.id))

    # --- phases and a person's words ---------------------------------------------------------------------------------

    def enter(self, conversion: Conversion, phase: Phase) -> None:
        """What a phase begins with, as `transitions.enter`."""
        self.engine.note(f"zone: {phase}")
        conversion.phase = phase
        if phase is Phase.TAIL:
            conversion.queue_tail(self.nat_ports())
        if phase is Phase.NO_NEW_NAT:
            self.rows.nat_closed = True
        if phase in {Phase.ABORTING, Phase.ABORTED}:
            self.rows.nat_closed = False
        routed = sum(port.mode == modes.ROUTED for port in self.rows.ports.values())
        stack = phases.stack_at(phase, conversion.from_stack, routed)
        if stack is not None:
            self.rows.stack = stack
            self.derive_zone()
        operation = self.rows.operations[conversion.operation]
        operation.state, operation.waits = "succeeded" if phase.over else "running", None

    def derive_zone(self) -> None:
        """What nodes hold whatever runs on them."""
        rows = self.rows
        peers = [node.endpoint for node in rows.of_role("hypervisor")]
        edges = [node.id for node in rows.of_role("edge")]
        for node in rows.nodes.values():
            others = [peer for peer in peers if peer != node.endpoint]
            wanted = node_entries(node.role, node.prefixes, rows.zone_prefixes, others, nat=rows.stack != "routed")
            apart = dict.fromkeys(edges if node.fence else [], fence_entries([str(node.neighbour)]))
            for changed in rows.replace(node.id, {**apart, node.id: wanted}, node.id):
                self.ring(bells.NODE, (changed,))

    def plan(
        self, through: Phase, canary: Sequence[str], in_flight: int, failure_budget: int, *, restarts_guests: bool
    ) -> None:
        """Plan and start the zone's conversion."""
        number = f"placement-{len(self.rows.operations)}"
        self.rows.operations[number] = Operation(number, "zone.convert", "zone", "running")
        self.conversion = Conversion(number, self.rows.stack, through, in_flight, failure_budget, restarts_guests)
        for phase, ports in phases.waves(self.nat_ports(), canary):
            self.conversion.waves.append(Wave(phase))
            wave = len(self.conversion.waves) - 1
            self.conversion.ports |= {port: PortRow(port, wave) for port in ports}
        self.ring(bells.CONVERSION, ("zone",))

    def pause(self) -> None:
        if self.conversion is not None and not self.conversion.paused:
            self.conversion.paused.append("conversion.asked")

    def resume(self, through: Phase) -> None:
        assert self.conversion is not None
        self.conversion.paused.clear()
        self.conversion.through = through
        self.conversion.forgive(self.nat_ports())
        for port, claim in self.rows.claims.items():
            if isinstance(claim, ConversionClaim) and self.engine.now - claim.entered_at > OVERDUE_S:
                self.rows.claims[port] = replace(claim, entered_at=self.engine.now)
        self.ring(bells.CONVERSION, ("zone",))

    def abort(self) -> None:
        assert self.conversion is not None
        self.conversion.paused.clear()
        if self.conversion.phase is not Phase.ABORTING:
            self.edges.add(("abort", str(self.conversion.phase), str(Phase.ABORTING)))
            self.enter(self.conversion, Phase.ABORTING)
        self.ring(bells.CONVERSION, ("zone",))
