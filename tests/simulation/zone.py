"""The rows of a zone's conversion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from services.placement.conversion.phases import Phase, PortState


@dataclass(slots=True)
class Wave:
    """Ports that are converted together."""

    phase: Phase
    ended: bool = False


@dataclass(slots=True)
class PortRow:
    """One port in a zone's conversion; it outlives the port."""

    port: UUID
    wave: int
    state: PortState = PortState.WAITING
    operation: str | None = None


@dataclass(slots=True)
class Conversion:
    """A zone's passage nat → dual → routed."""

    operation: str
    from_stack: str
    through: Phase
    in_flight: int
    failure_budget: int
    restarts_guests: bool
    phase: Phase = Phase.PLANNED
    paused: list[str] = field(default_factory=list)  # codes
    waves: list[Wave] = field(default_factory=list)
    ports: dict[UUID, PortRow] = field(default_factory=dict)
    wrong_tenant_packets: dict[str, int] = field(default_factory=dict)

    @property
    def current(self) -> int | None:
        """The first wave of this phase that has not ended."""
        found = (number for number, wave in enumerate(self.waves) if wave.phase is self.phase and not wave.ended)
        return next(found, None)

    @property
    def moving(self) -> int:
        return sum(row.state.moving for row in self.ports.values())

    def of_wave(self, number: int) -> list[PortRow]:
        return [row for row in self.ports.values() if row.wave == number]

    def queue_tail(self, left: Iterable[UUID]) -> None:
        """A wave of all that is left, and of those made since the plan."""
        self.waves.append(Wave(Phase.TAIL))
        number = len(self.waves) - 1
        for row in self.ports.values():
            if row.state in {PortState.WAITING, PortState.BLOCKED, PortState.FAILED}:
                row.wave, row.state = number, PortState.WAITING
        for port in left:
            if port not in self.ports:
                self.ports[port] = PortRow(port, number)

    def forgive(self, left: Iterable[UUID]) -> None:
        """What paused it has been looked at: failures so far count no more, and wait for the tail, tried again."""
        for row in self.ports.values():
            if row.state is PortState.FAILED:
                row.state = PortState.BLOCKED
        self.wrong_tenant_packets = {}
        if (number := self.current) is not None and not any(row.state.unfinished for row in self.of_wave(number)):
            self.waves[number].ended = True
        if self.phase is Phase.TAIL:
            self.queue_tail(left)
