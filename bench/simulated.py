"""A zone's conversion under simulation, at a size that no machine here has: the production steps on rows in memory.

Nodes confirm late or not at all, guests fall silent, an edge hears late, whole nodes are away; what follows is decided
by `steps`, `phases` and `snapshot`. What a node holds of a port is what `snapshot.port_entries` asked of it when it
last confirmed, so that a way in and a way out can be followed at every moment, and compared after the way back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_interface
from random import Random
from uuid import UUID

from services.netagent import wire
from services.netagent.wire import PortState as LegState
from services.placement import modes, snapshot
from services.placement.conversion import phases, steps
from services.placement.conversion.phases import Phase, PortState, WaveFacts, ZoneFacts
from services.placement.conversion.steps import CONVERT, REVERT, Stage
from services.placement.move import Seat
from services.placement.snapshot import FlexibleAddress, NodeBound, PortFacts, Sequenced

TICK_S = 0.25
IN_FLIGHT = 1000
BUDGET = 10_000  # of failures, but for once
LATE_SHARE = 0.05  # of answers, and of what the edge hears
ALARMS = ("failures", "fruitless", "overdue", "wrong_tenant", "duplicate", "stale", "budget")
Entries = tuple[wire.Entry, ...]


class Lost(AssertionError):
    """A port had no way in, or none out."""


@dataclass(slots=True)
class Node:
    id: UUID
    name: str
    generation: int = 0
    applied: int = 0
    silent_until: float = 0.0
    heard_at: float = 0.0
    due: list[tuple[Port, int]] = field(default_factory=list)  # whose entries, in which place of theirs, have changed


@dataclass(slots=True)
class Port:
    """`wanted` and `held`: of its hypervisor, then of each gateway. `since`: the generation it is wanted from."""

    number: int
    host: Node
    facts: PortFacts
    mode: str = modes.NAT
    state: PortState = PortState.WAITING
    wave: int = 0
    kind: str = ""
    stage: Stage = Stage.NAT
    entered_at: float = 0.0
    settled_at: float | None = None
    failed: bool = False
    silent: bool = False  # its guest, from the switch on
    routed_here: bool = False  # by the edge
    wanted: list[Entries] = field(default_factory=list)
    held: list[Entries] = field(default_factory=list)
    since: list[int] = field(default_factory=list)


@dataclass
class Simulation:
    """One zone."""

    ports: list[Port]
    hypervisors: list[Node]
    gateways: list[Node]
    random: Random
    now: float = 0.0
    phase: Phase = Phase.PLANNED
    waves: list[Phase] = field(default_factory=list)
    wave: int = 0
    budget: int = 0
    counts: dict[int, Counter[PortState]] = field(default_factory=dict)
    moving: dict[int, Port] = field(default_factory=dict)
    wrong_tenant: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    paused_by: Counter[str] = field(default_factory=Counter)
    converted: int = 0
    rollbacks: int = 0
    differences: int = 0
    failed: list[Port] = field(default_factory=list)  # and not looked at yet
    before: dict[int, tuple[Entries, ...]] = field(default_factory=dict)

    @property
    def nodes(self) -> list[Node]:
        return [*self.hypervisors, *self.gateways]

    # --- what nodes hold ---------------------------------------------------------------------------------------------

    def derive(self, port: Port) -> None:
        path = steps.path(port.stage) if port.kind else snapshot.settled_path(port.mode)
        gateways = [gateway.id for gateway in self.gateways] if path and path.mapping else []
        entries = snapshot.port_entries(replace(port.facts, path=path, gateways=gateways))
        for place, node in enumerate((port.host, *self.gateways)):
            wanted = tuple(entries.get(node.id, ()))
            if wanted != port.wanted[place]:
                node.generation += 1
                port.wanted[place], port.since[place] = wanted, node.generation
                node.due.append((port, place))

    def answer(self, node: Node) -> None:
        """A node reads back what it was sent, unless it is away or its answer is late."""
        if self.now < node.silent_until:
            return
        node.heard_at = self.now
        if not node.due or self.random.random() < LATE_SHARE:
            return
        for port, place in node.due:
            port.held[place] = port.wanted[place]
            self.check(port)
        node.due.clear()
        node.applied = node.generation

    def hear(self, port: Port) -> None:
        """The edge follows what the hypervisor announces, at times late."""
        if self.random.random() >= LATE_SHARE:
            port.routed_here = any(isinstance(entry, wire.HostNat) and entry.sequence for entry in port.held[0])
            self.check(port)

    def check(self, port: Port) -> None:
        """Raises Lost if there is no way in or no way out by what kernels hold and the edge does."""
        rewrites = [entry for entry in port.held[0] if isinstance(entry, wire.HostNat)]
        mapped = all(port.held[1:])
        way_in = any(entry.inbound for entry in rewrites) if port.routed_here else mapped
        if not way_in or not (mapped or any(entry.outbound for entry in rewrites)):
            raise Lost(f"port {port.number} at {port.kind} {port.stage.name}: {port.held}, {port.routed_here}")

    # --- ports -------------------------------------------------------------------------------------------------------

    def enter(self, port: Port, state: PortState) -> None:
        of_wave = self.counts[port.wave]
        of_wave[port.state] -= 1
        of_wave[state] += 1
        port.state = state
        if state.moving:
            self.moving[port.number] = port
        else:
            self.moving.pop(port.number, None)

    def begin(self, port: Port, kind: str) -> None:
        stage = Stage.NAT if kind == CONVERT else Stage.SWITCHED
        port.kind, port.stage, port.entered_at, port.settled_at, port.failed = kind, stage, self.now, None, False
        self.enter(port, PortState.CONVERTING if kind == CONVERT else PortState.ROLLING_BACK)

    def step(self, port: Port) -> None:
        facts = steps.Facts(
            hypervisor_pending="behind" if port.since[0] > port.host.applied else None,
            gateways_pending="behind" if self._gateways_behind(port) else None,
            edge_sends_here=port.routed_here,
            settled_s=self.now - port.settled_at if port.settled_at is not None else 0.0,
            at_stage_s=self.now - port.entered_at,
            silent=("echo",) if port.silent and port.stage is Stage.SWITCHED else (),
        )
        match steps.next_step(port.kind, port.stage, facts):
            case steps.Advance(following):
                port.stage, port.entered_at, port.settled_at = following, self.now, None
                self.derive(port)
            case steps.Wait(settling=True) if port.settled_at is None:
                port.settled_at = self.now
            case steps.RollBack():
                port.kind, port.failed, port.entered_at, port.settled_at = REVERT, True, self.now, None
                self.enter(port, PortState.ROLLING_BACK)
            case steps.Done():
                self._end(port)

    def _gateways_behind(self, port: Port) -> bool:
        return any(since > node.applied for since, node in zip(port.since[1:], self.gateways, strict=True))

    def _end(self, port: Port) -> None:
        port.mode = modes.HOSTNAT if port.kind == CONVERT else modes.NAT
        self.enter(port, phases.state_at_end(port.kind, failed=port.failed))
        if port.state is PortState.FAILED:
            self.failed.append(port)
        if port.kind == CONVERT:
            self.converted += 1
        else:
            self.rollbacks += 1
            self.differences += tuple(port.held) != self.before[port.number]
        port.kind = ""

    # --- the zone ----------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        self.phase, self.wave, self.waves, self.counts = Phase.PLANNED, 0, [], {}
        for number, (phase, ports) in enumerate(phases.waves(self.ports)):
            self.waves.append(phase)
            self.counts[number] = Counter({PortState.WAITING: len(ports)})
            for port in ports:
                port.wave, port.state = number, PortState.WAITING

    def judge(self) -> bool:
        """Whether there is more to do at once."""
        facts = self._facts()
        if self.phase is not Phase.ABORTING and (reasons := phases.alarms(self.phase, facts)):
            self._resume([reason.code for reason in reasons])
            return False
        match phases.next_phase(self.phase, facts):
            case phases.Wait():
                self._give_turns()
                return False
            case phases.EndWave():
                self.wave += 1
            case phases.Advance(following):
                self.phase = following
                if following is Phase.TAIL:
                    self._queue_tail()
        return not self.phase.over

    def _facts(self) -> ZoneFacts:
        self.known, wrong = phases.misdelivered(self.wrong_tenant, self.known)
        return ZoneFacts(
            wave=self._wave_facts() if self._here() else None,
            nat_ports=sum(port.mode == modes.NAT for port in self.ports) if self.phase is Phase.TAIL else 0,
            reverting=len(self.moving) + self._to_revert() if self.phase is Phase.ABORTING else 0,
            stale_nodes=[node.name for node in self.nodes if self.now - node.heard_at > phases.STALE_S],
            nodes=len(self.nodes),
            wrong_tenant=wrong,
            duplicates=self.duplicates,
            failures=sum(of_wave[PortState.FAILED] for of_wave in self.counts.values()),
            failure_budget=self.budget,
        )

    def _here(self) -> bool:
        return self.wave < len(self.waves) and self.waves[self.wave] is self.phase

    def _wave_facts(self) -> WaveFacts:
        return WaveFacts(self.wave, +self.counts[self.wave], self._overdue(), self._failed_before())

    def _overdue(self) -> int:
        late = self.now - steps.OVERDUE_S
        return sum(port.wave == self.wave and port.entered_at < late for port in self.moving.values())

    def _failed_before(self) -> int:
        return sum(self.counts[number][PortState.FAILED] for number in range(self.wave))

    def _to_revert(self) -> int:
        return sum(of_wave[PortState.VERIFIED] for of_wave in self.counts.values())

    def _give_turns(self) -> None:
        room = IN_FLIGHT - len(self.moving)
        if self.phase is Phase.ABORTING:
            for port in self.ports:
                if room > 0 and port.state is PortState.VERIFIED:
                    room -= 1
                    self.begin(port, REVERT)
            return
        if not self.phase.converts or self.wave >= len(self.waves):
            return
        for port in self.ports if self.counts[self.wave][PortState.WAITING] else ():
            if room > 0 and port.wave == self.wave and port.state is PortState.WAITING:
                room -= 1
                self.begin(port, CONVERT)

    def _queue_tail(self) -> None:
        self.waves.append(Phase.TAIL)
        self.wave = len(self.waves) - 1
        again = {PortState.WAITING, PortState.BLOCKED, PortState.FAILED}
        left = [port for port in self.ports if port.state in again]
        self.counts[self.wave] = Counter({PortState.WAITING: len(left)})
        for port in left:
            self.counts[port.wave][port.state] -= 1
            port.wave, port.state, port.silent = self.wave, PortState.WAITING, False
        self.failed.clear()

    def _resume(self, codes: Sequence[str]) -> None:
        """A person has looked at what paused it, mends it, and lets it go on: see `transitions.forgive`."""
        self.paused_by.update(codes)
        self.budget = max(self.budget, BUDGET)
        self.duplicates, self.known = [], {}
        for node in self.nodes if "conversion.stale" in codes else ():
            node.silent_until, node.heard_at = 0.0, self.now
        for of_wave in self.counts.values():
            of_wave[PortState.BLOCKED] += of_wave.pop(PortState.FAILED, 0)
        for port in self.failed:
            port.state = PortState.BLOCKED
        self.failed.clear()
        for port in self.moving.values():
            port.entered_at = self.now if self.now - port.entered_at > steps.OVERDUE_S else port.entered_at
        if self._here() and not self._wave_facts().unfinished:
            self.wave += 1

    def abort(self) -> None:
        """Ports between two modes turn round where they are; converted ones follow."""
        self.phase = Phase.ABORTING
        for port in list(self.moving.values()):
            if port.kind == CONVERT:
                port.kind, port.entered_at, port.settled_at = REVERT, self.now, None
                self.enter(port, PortState.ROLLING_BACK)

    # --- time --------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self.now += TICK_S
        for node in self.nodes:
            self.answer(node)
        for port in list(self.moving.values()):
            self.hear(port)
            self.step(port)

    def second(self) -> None:
        for _ in range(round(1 / TICK_S)):
            self.tick()
        while self.judge():
            pass


# --- a story ---------------------------------------------------------------------------------------------------------


def zone(ports: int, hypervisors: int, random: Random) -> Simulation:
    """`ports` NAT ports, each with a public address and a 10.x, held by their hypervisors and two gateways."""
    nodes = [Node(UUID(int=number), f"node-{number}") for number in range(1, hypervisors + 3)]
    simulation = Simulation([], nodes[2:], nodes[:2], random)
    for number in range(ports):
        host = simulation.hypervisors[number % hypervisors]
        port = Port(number, host, _facts_of(number, host))
        places = 1 + len(simulation.gateways)
        port.wanted, port.held, port.since = [()] * places, [()] * places, [0] * places
        simulation.ports.append(port)
        simulation.derive(port)
    for node in nodes:  # as it was before anybody thought of converting it
        for port, place in node.due:
            port.held[place] = port.wanted[place]
        node.due.clear()
        node.applied = node.generation
    simulation.before = {port.number: tuple(port.held) for port in simulation.ports}
    return simulation


def _facts_of(number: int, host: Node) -> PortFacts:
    public, private = IPv4Network((0xC6120000 + number, 32)), IPv4Network((0x0A000000 + number, 32))
    sequence = Sequenced(1, host.id, None)
    return PortFacts(
        port=UUID(int=(1 << 64) + number),
        name=f"guest-{number}",
        mac="02:00:00:00:00:01",
        path=None,
        owns=False,
        seats=(Seat(host.id, LegState.ACTIVE, announces=True),),
        addresses=[FlexibleAddress(public, ip_interface(public), sequence)],
        node_bound=[NodeBound(host.id, private, ip_interface(private), rebinds=True)],
        gateways=(),
        endpoints={host.id: IPv4Address("172.31.1.2")},
    )


def convert(simulation: Simulation, until: float = 1.0) -> None:
    """Convert the zone, and turn back when a share `until` of its ports is converted; or on to the end."""
    simulation.plan()
    simulation.budget = BUDGET
    provoked: set[str] = set()
    while not simulation.phase.over:
        simulation.second()
        done = sum(of_wave[PortState.VERIFIED] for of_wave in simulation.counts.values())
        if simulation.phase is not Phase.ABORTING and until < 1.0 and done >= until * len(simulation.ports):
            simulation.abort()
        if until == 1.0 and len(provoked) < len(ALARMS):
            _provoke(simulation, provoked)


def _provoke(simulation: Simulation, provoked: set[str]) -> None:
    """Each case in which a conversion pauses by itself, once, at its time."""
    before_verdict = [
        port
        for port in simulation.ports
        if port.wave == simulation.wave and port.state in {PortState.WAITING, PortState.CONVERTING}
        if port.stage < Stage.SWITCHED
    ]

    def once(what: str, phase: Phase, *, now: bool = True) -> bool:
        if what in provoked or simulation.phase is not phase or not now:
            return False
        provoked.add(what)
        return True

    if once("fruitless", Phase.CANARY, now=bool(before_verdict)):
        before_verdict[0].silent = True  # it is alone in its wave
    elif once("budget", Phase.CANARY, now=bool(before_verdict)):
        simulation.budget, before_verdict[0].silent = 0, True
    elif once("failures", Phase.WAVES, now=bool(before_verdict)):
        for port in before_verdict[: len(before_verdict) // 100 + 1]:
            port.silent = True
    elif once("stale", Phase.WAVES):
        for node in simulation.hypervisors[: len(simulation.nodes) // 50 + 1]:
            node.silent_until = simulation.now + 2 * phases.STALE_S
    elif once("wrong_tenant", Phase.WAVES):
        simulation.known, simulation.wrong_tenant = {"node-3": 6}, {"node-3": 7}
    elif once("duplicate", Phase.WAVES):
        simulation.duplicates = ["198.18.0.1/32"]
    elif once("overdue", Phase.WAVES, now=bool(before_verdict) and "conversion.stale" in simulation.paused_by):
        before_verdict[0].host.silent_until = simulation.now + 2 * steps.OVERDUE_S
