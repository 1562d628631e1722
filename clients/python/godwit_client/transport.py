"""HTTP with patience: a request that may be repeated is repeated, and repeating it changes nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Patient:
    """How long to go on, in seconds: while nothing answers, and while the answer is 503 (try again)."""

    unreachable_s: float = 3.0
    unavailable_s: float = 15.0


class RetryingTransport(httpx.BaseTransport):
    """Gives every change an Idempotency-Key, so that one whose answer was lost can be sent again."""

    def __init__(
        self,
        patience: Patient,
        inner: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._patience = patience
        self._inner = inner or httpx.HTTPTransport()
        self._clock = clock
        self._pause = pause

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError when patience is at its end."""
        if request.method != "GET":
            request.headers.setdefault("Idempotency-Key", str(uuid4()))
        started = self._clock()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                response = self._inner.handle_request(request)
            except httpx.TransportError:
                if self._clock() - started + pause_s > self._patience.unreachable_s:
                    raise
            else:
                in_flight = response.status_code == 409 and _code(response) == "idempotency.in_flight"
                retryable = response.status_code == 503 or in_flight
                if not retryable or self._clock() - started + pause_s > self._patience.unavailable_s:
                    return response
                response.close()
            self._pause(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    def close(self) -> None:
        self._inner.close()


def _code(response: httpx.Response) -> str:
    response.read()
    try:
        return str(response.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""
