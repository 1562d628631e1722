"""Time, chance and the order of events: one heap, one random generator, one hash of all that happened."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from random import Random

Act = Callable[[], None]


class Engine:
    """Runs events in the order of their times. The same seed runs the same events; `trace` tells whether it did."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.dispatched = 0
        self.after_each: Act = lambda: None
        self._heap: list[tuple[float, int, str, Act]] = []
        self._number = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self.story: list[str] | None = None  # filled when a person asks what happened

    def after(self, delay_s: float, what: str, act: Act) -> None:
        """Let `act` happen in `delay_s` seconds; `what` names it in the trace."""
        self._number += 1
        heapq.heappush(self._heap, (self.now + delay_s, self._number, what, act))

    def soon(self, what: str, act: Act, most_s: float = 0.02) -> None:
        self.after(self.random.uniform(0.0005, most_s), what, act)

    def every(self, period_s: float, what: str, act: Act) -> None:
        """Again and again, about a period apart, the first at any time within one."""

        def again() -> None:
            act()
            self.after(period_s * self.random.uniform(0.9, 1.1), what, again)

        self.after(period_s * self.random.random(), what, again)

    def note(self, text: str) -> None:
        """Put something into the trace that its events' names don't say."""
        self._hash.update(text.encode())
        if self.story is not None:
            self.story.append(f"{self.now:9.4f} {text}")

    def run_until(self, end_s: float) -> None:
        """Run all events before `end_s`."""
        heap = self._heap
        while heap and heap[0][0] < end_s:
            self.now, _, what, act = heapq.heappop(heap)
            self.dispatched += 1
            self.note(f"{self.now:.6f} {what}")
            act()
            self.after_each()
        self.now = end_s

    @property
    def trace(self) -> str:
        return self._hash.hexdigest()
