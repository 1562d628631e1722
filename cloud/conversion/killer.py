"""Kills the migration worker after each kind of commit, by what timelines of ports say was committed last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from godwit_client import read_operation
from godwit_client.placement.models import Operation, OperationStep, PortConversion

from cloud import rawlog
from cloud.site import LocalSite
from cloud.tour.customer import Customer

WORKER = "migration-worker"
MOVING = ("converting", "rolling_back")
STALK_S = 0.3
FORWARD = ("checked", "prepared", "announced", "outbound", "switched", "verified")


@dataclass
class Timelines:
    """Operations of ports, as often as they were read; each with the times of its steps."""

    customer: Customer
    of: dict[str, dict[str, Operation]] = field(default_factory=dict)  # by guest, by the Operation's id

    def know(self, rows: Iterable[PortConversion]) -> None:
        """Remember the Operations that these ports have now."""
        for row in rows:
            if row.operation is not None and row.operation not in self.of.get(row.name, {}):
                self.read(row.name, row.operation)

    def read(self, guest: str, operation_id: str) -> Operation:
        operation = read_operation(self.customer.api, operation_id)
        assert isinstance(operation, Operation)  # noqa: S101  the controller's own
        self.of.setdefault(guest, {})[operation_id] = operation
        return operation

    def reached(self, stage: str) -> bool:
        """Whether any port has by now."""
        known = [(guest, operation_id) for guest, operations in self.of.items() for operation_id in operations]
        return any(stage in {step.name for step in steps(self.read(*one))} for one in known)

    def write(self, log: Path) -> None:
        """All of them as they are now, in CLOCK_MONOTONIC."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        records = [
            f"t {guest} {operation_id} {step.name} {_ns(step) - offset_ns}"
            for guest, operations in sorted(self.of.items())
            for operation_id in operations
            for step in steps(self.read(guest, operation_id))
        ]
        rawlog.write(log, "timelines", {}, records)


def steps(operation: Operation) -> list[OperationStep]:
    return operation.steps if isinstance(operation.steps, list) else []


def _ns(step: OperationStep) -> int:
    return int(step.at.timestamp() * 1e6) * 1000


@dataclass
class Killer:
    """Kills at stages that are `left`, once each; `kills` holds where it struck, and when (CLOCK_REALTIME)."""

    site: LocalSite
    timelines: Timelines
    left: list[str] = field(default_factory=lambda: list(FORWARD))
    kills: list[tuple[str, str, float]] = field(default_factory=list)  # guest, Operation, seconds

    def stalk(self, rows: Sequence[PortConversion]) -> str | None:
        """Follow one of the ports for a moment; kill the worker if it comes to a stage that is left.

        Answers the stage that was committed last before that.
        """
        prey = next((row for row in rows if row.state.value in MOVING and row.operation), None)
        ends = time.monotonic() + STALK_S
        while prey is not None and self.left and time.monotonic() < ends:
            operation = self.timelines.read(prey.name, str(prey.operation))
            if committed(steps(operation)) in self.left:
                killed = self.site.kill(WORKER)
                at = time.time()
                self.site.wait_running(WORKER, not_pid=killed)
                self.kills.append((prey.name, operation.id, at))
                return self._struck(prey.name, operation.id, at)
        return None

    def _struck(self, guest: str, operation_id: str, at: float) -> str:
        """What its timeline says: another commit may have been faster than the signal."""
        before = [step for step in steps(self.timelines.read(guest, operation_id)) if step.at.timestamp() <= at]
        stage = committed(before)
        if stage in self.left:
            self.left.remove(stage)
        return stage


def committed(done: Sequence[OperationStep]) -> str:
    """The stage reached last; `done` is the Operation's own end."""
    return next((step.name for step in reversed(done) if step.name != "done"), "")
