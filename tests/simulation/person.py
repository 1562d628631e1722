"""Who leads a zone's conversion: plans it, looks at what paused it, resumes it or goes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from services.netagent import wire
from services.placement import modes
from services.placement.conversion.phases import FORWARD, Phase
from services.placement.conversion.steps import CONVERT, OVERDUE_S, Stage
from tests.simulation.conversions import Conversions
from tests.simulation.faults import Faults
from tests.simulation.invariants import Broken
from tests.simulation.rows import ConversionClaim
from tests.simulation.zone import Conversion

LOOKS_S = 1.0  # again and again
TURNS = (None, *(phase.value for phase in FORWARD[:-1]), None, "prepared", *(stage.name.lower() for stage in Stage))
"""When a person goes back: as soon as a phase, or a port's stage, is reached; or when chance has it."""
TROUBLES = ("failures", "budget", "wrong_tenant", "duplicate", "stale", "overdue", "blocked")
"""What pauses a conversion by itself, or holds up its tail."""
SILENCED = 3  # guests

Dump = dict[UUID, Any]


@dataclass
class Person:
    """`alone`: nobody else asks for anything meanwhile, so that what an abort leaves can be compared with `before`."""

    controller: Conversions
    faults: Faults
    alone: bool
    turns: str | None
    trouble: str
    before: Dump | None = None
    compared: bool = False
    silenced: set[UUID] = field(default_factory=set)
    patient_until: float = 0.0

    @classmethod
    def number(cls, number: int, controller: Conversions, faults: Faults) -> Person:
        """Persons one after the other go through all that there is."""
        alone = controller.engine.random.random() < 0.4
        return cls(controller, faults, alone, TURNS[number % len(TURNS)], TROUBLES[number % len(TROUBLES)])

    @property
    def leads(self) -> bool:
        return self.before is not None and not (self.done and self.compared)

    @property
    def done(self) -> bool:
        conversion = self.controller.conversion
        return conversion is not None and conversion.phase.over

    def look(self) -> None:
        """Raises Broken if an abort has not left everything as it was."""
        conversion, random = self.controller.conversion, self.controller.engine.random
        if conversion is None:
            self._begin()
        elif conversion.phase.over:
            self._compare()
        elif conversion.phase is Phase.ABORTING:
            return
        elif conversion.paused:
            chance = random.random()
            if chance < 0.05 and self.turns is None:
                self.controller.abort()
            elif chance < 0.5:
                self.controller.resume(random.choice([Phase.DONE, Phase.DONE, conversion.through]))
        elif self.controller.engine.now >= self.patient_until:
            self._go_on(self.controller.rows.operations[conversion.operation].waits)

    def _go_on(self, waits: str | None) -> None:
        chance = self.controller.engine.random.random()
        if chance < 0.004 and self.turns is None:
            self.controller.abort()
        elif chance < 0.02:
            self.controller.pause()
        elif waits in {"conversion.tail", "conversion.nodes"} and chance < 0.2:
            self.controller.resume(Phase.DONE)

    def _begin(self) -> None:
        if self.alone and not self._quiet():
            return
        self.before = self._dump()
        random = self.controller.engine.random
        through = random.choice([*FORWARD[1:-1], *[Phase.DONE] * 4])
        self.controller.plan(
            through,
            random.choice([("1",), ("1", "10", "1%"), ("100%",)]),
            in_flight=random.choice([1, 3, 10]),
            failure_budget=0 if self.trouble == "budget" else 10,
            restarts_guests=random.random() < 0.5,
        )
        if self.trouble == "stale":
            self.faults.silent_for_long("edge")

    def _quiet(self) -> bool:
        """Whether nothing is going on; so that nothing begins by itself, no health is checked any more."""
        ledger, rows = self.controller.ledger, self.controller.rows
        for fip in ledger.failover:
            if fip.health_check is not None:
                ledger.put_health_check(fip.id, None)
        asked = all(operation.finished for operation in ledger.operations.values())
        leaving = any(fip.state in {"detaching", "moving"} for fip in ledger.flexible_ips.values())
        apart = any(node.fence or node.fenced for node in rows.nodes.values()) or rows.address_fences
        return asked and not (leaving or apart or rows.claims or rows.works or ledger.lagging())

    # --- at its time -------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """After every event: turn back, or make trouble, when it is time."""
        conversion = self.controller.conversion
        if conversion is None or not (self.turns or self.trouble):
            return
        if conversion.phase.over or conversion.phase is Phase.ABORTING:
            return
        claims = self.controller.rows.claims.values()
        going = [claim for claim in claims if isinstance(claim, ConversionClaim) and claim.kind == CONVERT]
        if self.turns == conversion.phase.value:
            self.controller.abort()
        elif due := [claim for claim in going if claim.stage.name.lower() == self.turns]:
            if due[0].source is not None:  # so that it is still there when the worker hears of it
                self.faults.cut_off(due[0].source)
            self.controller.abort()
        elif conversion.phase.converts:
            self._trouble(conversion, [claim.port for claim in going if claim.stage is Stage.OUTBOUND])

    def _trouble(self, conversion: Conversion, switching: Sequence[UUID]) -> None:
        """`switching`: ports whose path is about to be switched."""
        due = [port for port in switching if (row := conversion.ports.get(port)) and row.wave == conversion.current]
        match self.trouble:
            case "failures" | "budget":
                for port in due:
                    if port not in self.silenced and len(self.silenced) < SILENCED:
                        self.silenced.add(port)
                        self.faults.guest_silent(port)
            case "wrong_tenant" if conversion.wrong_tenant_packets:
                self.trouble = ""
                self.faults.wrong_tenant()
            case "duplicate":
                public = [one for port in due if (one := self.controller.rows.ports[port]).public]
                if public:
                    self.trouble = ""
                    self.faults.announced_twice(public[0])
            case "overdue":
                hosts = [host for port in due if (host := self.controller.rows.ports[port].node)]
                if hosts:
                    self.trouble, self.patient_until = "", self.controller.engine.now + OVERDUE_S + LOOKS_S
                    self.faults.severed_for_long(hosts[0])
            case "blocked":
                tail = self.controller.rows.operations[conversion.operation].waits == "conversion.tail"
                self.controller.strict, self.trouble = not tail, "" if tail else self.trouble

    def _compare(self) -> None:
        conversion = self.controller.conversion
        if self.compared or conversion is None:
            return
        self.compared = True
        if not self.alone or conversion.phase is not Phase.ABORTED:
            return
        after = self._dump()
        for port, was in (self.before or {}).items():
            if port in after and after[port] != was:
                raise Broken("not as before", f"{self.controller.rows.ports[port].name}: {was}, {after[port]}")

    def _dump(self) -> Dump:
        """What there is of each port behind the central NAT, in rows and for nodes; carried prefixes left out."""
        rows = self.controller.rows
        found = {}
        for port in rows.ports.values():
            if port.mode != modes.NAT:
                continue
            own = [address.prefix for address in port.addresses if address.prefix not in rows.carried]
            bound = [p for p, (_, holder) in rows.node_bound.items() if holder == port.id and p.version == 4]
            held = {(node, _without_sequence(entry)) for node, entry in rows.held_of(port.id)}
            found[port.id] = (port.mode, port.node, sorted(map(str, own)), sorted(map(str, bound)), held)
        return found


def _without_sequence(entry: wire.Entry) -> wire.Entry:
    return replace(entry, sequence=0) if isinstance(entry, wire.Address | wire.HostNat) else entry
