"""The network between controller, agents and ledger: late, twice, out of order, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.errors import DomainError
from common.http import Unreachable
from tests.simulation.engine import Engine
from tests.simulation.workers import Answer

LEDGER = "ledger"


@dataclass
class Network:
    """Carries requests to named places. `cut`: places that nothing reaches or leaves."""

    engine: Engine
    lose_share: float = 0.0
    double_share: float = 0.0
    slow_share: float = 0.0
    cut: set[str] = field(default_factory=set)
    lost: int = 0
    doubled: int = 0
    slowed: int = 0

    def call(self, place: str, what: str, serve: Callable[[], Any], timeout_s: float, answer: Answer) -> None:
        """Let `place` serve a request; answer what it returned or raised, or Unreachable after `timeout_s`.

        A request that arrives late is served all the same, and a doubled one twice.
        """

        def arrive() -> None:
            if place in self.cut:
                return
            value, error = None, None
            try:
                value = serve()
            except Silence:
                return
            except DomainError as refused:
                error = refused
            self._carry(place, f"{what} answered", lambda: None if place in self.cut else answer(value, error))

        self._carry(place, what, arrive)
        given_up = lambda: answer(None, Unreachable(f"{place} does not answer"))  # noqa: E731
        self.engine.after(timeout_s, f"{what} given up", given_up)

    def _carry(self, place: str, what: str, act: Callable[[], None]) -> None:
        random = self.engine.random
        if place in self.cut:
            return
        if self.lose_share and random.random() < self.lose_share:
            self.lost += 1
            return
        copies = 1
        if self.double_share and random.random() < self.double_share:
            self.doubled += 1
            copies = 2
        for _ in range(copies):
            delay = random.uniform(0.0005, 0.01)
            if self.slow_share and random.random() < self.slow_share:
                self.slowed += 1
                delay = random.uniform(0.01, 8.0)
            self.engine.after(delay, what, act)


class Silence(Exception):
    """Whoever should serve the request is not there."""
