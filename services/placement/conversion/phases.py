"""The phases of a zone's conversion, its waves, and what stops it. Pure: facts in, a decision out."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from services.placement import modes
from services.placement.conversion.steps import CONVERT, Reason

T = TypeVar("T")


class Phase(enum.StrEnum):
    """Where a zone's conversion is. What a phase stands for is done when it is left."""

    PLANNED = "planned"  # legacy IPv6 becomes the ledger's
    DUAL = "dual"  # both stacks; new instances are routed unless asked otherwise
    CANARY = "canary"
    WAVES = "waves"
    NO_NEW_NAT = "no_new_nat"  # before the tail is counted, or it never empties
    TAIL = "tail"
    DRAINING = "draining"  # the gateways' prefixes are withdrawn
    DONE = "done"
    ABORTING = "aborting"
    ABORTED = "aborted"

    @property
    def over(self) -> bool:
        return self in {Phase.DONE, Phase.ABORTED}

    @property
    def converts(self) -> bool:
        """Whether it takes ports wave by wave."""
        return self in {Phase.CANARY, Phase.WAVES, Phase.TAIL}


FORWARD = (
    Phase.PLANNED,
    Phase.DUAL,
    Phase.CANARY,
    Phase.WAVES,
    Phase.NO_NEW_NAT,
    Phase.TAIL,
    Phase.DRAINING,
    Phase.DONE,
)


class PortState(enum.StrEnum):
    """Where one port is in its zone's conversion."""

    WAITING = "waiting"  # its turn, or what `reasons` say
    BLOCKED = "blocked"
    CONVERTING = "converting"  # how far: its Operation
    VERIFIED = "verified"  # mode `hostnat`
    ROLLING_BACK = "rolling_back"
    FAILED = "failed"  # rolled back: as it was
    NEEDS_OPERATOR = "needs_operator"  # the way back does not get on
    ADOPTED = "adopted"  # the guest has its address itself
    SEALED = "sealed"  # its 10.x is free: no way back
    GONE = "gone"  # deleted, or no NAT port any more

    @property
    def moving(self) -> bool:
        return self in {PortState.CONVERTING, PortState.ROLLING_BACK, PortState.NEEDS_OPERATOR}

    @property
    def unfinished(self) -> bool:
        """Whether it has not come to its wave's end."""
        return self.moving or self is PortState.WAITING


CONVERTED = frozenset({PortState.VERIFIED, PortState.ADOPTED, PortState.SEALED, PortState.GONE})


def turn(mode: str | None, *, busy: bool, room: bool) -> PortState:
    """Where a port of the current wave goes that has not begun: on its way if there is `room` for one more.

    `mode` None: it is deleted. One that is no NAT port any more, for its owner was faster, is at its end. `busy`:
    something else is changing it.
    """
    if mode is None:
        return PortState.GONE
    if mode != modes.NAT:
        return PortState.VERIFIED if mode == modes.HOSTNAT else PortState.ADOPTED
    return PortState.CONVERTING if room and not busy else PortState.WAITING


def state_at_end(kind: str, *, failed: bool) -> PortState:
    """Where a port is when its conversion, or its way back, is done. `failed`: that is why it went back."""
    if kind == CONVERT:
        return PortState.VERIFIED
    return PortState.FAILED if failed else PortState.WAITING


CANARY_FAILURES = 2
WAVE_FAILURES = 0.005  # of a wave's ports
STALE_SHARE = 0.01  # of the zone's nodes
STALE_S = 120.0

SIZE = r"^[1-9][0-9]{0,5}$|^([1-9][0-9]?|100)%$"
"""A wave's size, as a pattern: a number of ports, or a share of all."""
CANARY = ("1", "10", "1%")
WAVES = ("5%", "10%", "25%")


def waves(
    ports: Sequence[T], canary: Sequence[str] = CANARY, sizes: Sequence[str] = WAVES
) -> list[tuple[Phase, Sequence[T]]]:
    """The order of conversion: the canary's waves, then `sizes`, of which the last goes on to the end."""
    phases = [(Phase.CANARY, size) for size in canary] + [(Phase.WAVES, size) for size in sizes]
    found: list[tuple[Phase, Sequence[T]]] = []
    taken = 0
    while taken < len(ports):
        phase, size = phases[min(len(found), len(phases) - 1)]
        count = _count(size, len(ports))
        found.append((phase, ports[taken : taken + count]))
        taken += count
    return found


def _count(size: str, total: int) -> int:
    """How many of `total` ports a wave of this size has."""
    return math.ceil(total * int(size[:-1]) / 100) if size.endswith("%") else int(size)


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """The wave that is being converted: its ports by state."""

    number: int
    counts: Mapping[PortState, int]
    overdue: int = 0  # of those in flight, how many for too long
    failed_before: int = 0  # ports of earlier waves

    @property
    def ports(self) -> int:
        return sum(self.counts.values())

    @property
    def failures(self) -> int:
        """Missing or timed out is a failure."""
        return self.counts.get(PortState.FAILED, 0) + self.counts.get(PortState.ROLLING_BACK, 0) + self.overdue

    @property
    def unfinished(self) -> int:
        return sum(count for state, count in self.counts.items() if state.unfinished)

    @property
    def stuck(self) -> bool:
        """It is not at its end, and will not come there by itself."""
        return 0 < self.unfinished <= self.overdue

    @property
    def fruitless(self) -> bool:
        """It is at its end, and none of its ports is converted."""
        return self.ports > 0 and not self.unfinished and not any(self.counts.get(state) for state in CONVERTED)


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What is known when a phase is judged."""

    uncarried: int = 0  # legacy IPv6 prefixes that are not yet the ledger's
    zone_pending: str | None = None  # why a node does not yet hold what the zone's stack asks
    wave: WaveFacts | None = None  # the first of this phase that has not ended
    nat_ports: int = 0
    mappings: int = 0  # entries that gateways still hold
    unadopted: int = 0  # guests that we are to restart
    reverting: int = 0  # ports that are not yet back
    stale_nodes: Sequence[str] = ()  # silent, or behind, for longer than STALE_S
    nodes: int = 0
    wrong_tenant: Sequence[str] = ()  # hypervisors that dropped packets for an address their guest has not
    duplicates: Sequence[str] = ()  # addresses that the edge sends to several hypervisors
    failures: int = 0  # over the whole conversion
    failure_budget: int = 0


def alarms(phase: Phase, facts: ZoneFacts) -> list[Reason]:
    """What pauses a conversion by itself; only a person resumes it."""
    found = []
    look = "look at the failed ports, then resume or abort"
    wave = facts.wave
    if wave is not None and phase.converts:
        text = f"{wave.failures} of {wave.ports} ports of wave {wave.number} failed"
        if phase is Phase.CANARY:
            too_many = wave.failures + wave.failed_before >= CANARY_FAILURES
            text += f", {wave.failed_before} of the canary before it" if wave.failed_before else ""
        else:
            too_many = wave.failures > wave.ports * WAVE_FAILURES
        if too_many:
            found.append(Reason("conversion.failures", text, look))
        elif wave.fruitless and phase is not Phase.TAIL:
            text = f"none of the {wave.ports} ports of wave {wave.number} could be converted"
            mend = "mend what their reasons say, then resume: the tail tries them again"
            found.append(Reason("conversion.fruitless", text, mend))
        if wave.stuck:
            text = f"{wave.overdue} of {wave.ports} ports of wave {wave.number} do not come to their end"
            mend = "look at what their Operations wait for, then resume or abort"
            found.append(Reason("conversion.overdue", text, mend))
    if facts.wrong_tenant:
        names = ", ".join(facts.wrong_tenant)
        found.append(Reason("conversion.wrong_tenant", f"packets reached a wrong guest's link on {names}", look))
    if facts.duplicates:
        addresses = ", ".join(facts.duplicates)
        found.append(Reason("conversion.duplicate", f"several hypervisors announce {addresses}", look))
    if facts.nodes and len(facts.stale_nodes) > facts.nodes * STALE_SHARE:
        names = ", ".join(facts.stale_nodes[:10])
        text = f"{len(facts.stale_nodes)} of {facts.nodes} nodes are silent or behind: {names}"
        found.append(Reason("conversion.stale", text, "mend these nodes, or take them out, then resume"))
    if facts.failures > facts.failure_budget:
        text = f"{facts.failures} ports failed, {facts.failure_budget} may"
        found.append(Reason("conversion.budget", text, look))
    return found


def misdelivered(counted: Mapping[str, int], known: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """What to remember of counters, and the hypervisors where more was counted than is known.

    What was counted before a counter was first read is not ours.
    """
    return {**counted, **known}, [name for name, count in counted.items() if count > known.get(name, count)]


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to `phase`."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class EndWave:
    """The wave's verdict is positive; the next one begins."""

    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and say for what."""

    code: str
    text: str
    unblock: str


def next_phase(phase: Phase, facts: ZoneFacts) -> Advance | EndWave | Wait:
    """What follows `phase`: it is left on a positive verdict alone."""
    if phase.converts and facts.wave is not None:
        if facts.wave.unfinished:
            text = (
                f"{facts.wave.unfinished} of {facts.wave.ports} ports of wave {facts.wave.number} are not at their end"
            )
            return Wait("conversion.wave", text, "they are verified, or rolled back")
        return EndWave(facts.wave.number)
    wait = _waiting(phase, facts)
    if wait is not None:
        return wait
    if phase is Phase.ABORTING:
        return Advance(Phase.ABORTED)
    return Advance(FORWARD[FORWARD.index(phase) + 1])


def _waiting(phase: Phase, facts: ZoneFacts) -> Wait | None:
    match phase:
        case Phase.PLANNED if facts.uncarried:
            text = f"{facts.uncarried} legacy IPv6 prefixes are not yet the ledger's"
            return Wait("conversion.carry", text, "the ledger takes them")
        case Phase.DUAL | Phase.NO_NEW_NAT | Phase.DRAINING if facts.zone_pending:
            return Wait("conversion.nodes", facts.zone_pending, "they read back what they must hold")
        case Phase.TAIL if facts.nat_ports or facts.mappings:
            text = f"{facts.nat_ports} NAT ports and {facts.mappings} gateway mappings are left"
            return Wait("conversion.tail", text, "what blocks them is mended, then the conversion is resumed")
        case Phase.TAIL if facts.unadopted:
            return Wait("conversion.restarts", f"{facts.unadopted} guests are to be restarted", "they are")
        case Phase.ABORTING if facts.reverting:
            return Wait("conversion.aborting", f"{facts.reverting} ports are not yet back", "they are")
    return None


def stack_at(phase: Phase, from_stack: str, routed_ports: int) -> str | None:
    """The stack that a zone has from `phase` on; None: the one it has.

    What is routed by now stays so when it is aborted: no guest is restarted by us for a way back.
    """
    match phase:
        case Phase.DUAL:
            return "dual"
        case Phase.DRAINING:
            return "routed"
        case Phase.ABORTING | Phase.ABORTED:
            return "dual" if routed_ports else from_stack
    return None


def rate(verified: int, first_checked: datetime | None, last_verified: datetime | None) -> float | None:
    """Ports a second, from the first one checked to the last one verified."""
    if first_checked is None or last_verified is None or last_verified <= first_checked:
        return None
    return verified / (last_verified - first_checked).total_seconds()


def estimated_end(ports: Mapping[PortState, int], per_s: float | None, at: datetime) -> datetime | None:
    """When the last port will have been converted, if it goes on as it went."""
    left = sum(count for state, count in ports.items() if state.unfinished)
    return at + timedelta(seconds=left / per_s) if per_s and left else None
