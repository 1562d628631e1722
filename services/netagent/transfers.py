"""Long transfers behind short requests: one at a time for a guest, and a request that is repeated joins in."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from services.netagent.errors import DiskBusy, StoreUnreachable

T = TypeVar("T")

PATIENCE_S: Final = 20.0  # a request waits so long for its answer
STALLED_S: Final = 60.0  # who moved no block for so long is given up
MOST: Final = 16  # transfers at once


class Pulse:
    """A transfer's sign of life, and how it learns that it was given up."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._abandoned = False

    def beat(self) -> None:
        """Raises StoreUnreachable when nobody waits for the transfer any more: it must not take effect."""
        if self._abandoned:
            raise StoreUnreachable("the transfer was given up")
        self._last = time.monotonic()

    def give_up(self, stalled_s: float) -> bool:
        """Whether the transfer stalled; from then on it has no effect."""
        self._abandoned = time.monotonic() - self._last > stalled_s
        return self._abandoned


@dataclass(frozen=True)
class _Transfer:
    what: object
    pulse: Pulse
    outcome: Future[Any]


class Transfers:
    """The transfers of one node. What came of one is kept until somebody has asked for it: else a slow failure would
    begin again unseen."""

    def __init__(self, patience_s: float = PATIENCE_S, stalled_s: float = STALLED_S) -> None:
        self._patience_s = patience_s
        self._stalled_s = stalled_s
        self._lock = threading.Lock()
        self._known: dict[str, _Transfer] = {}

    async def run(self, guest: str, what: object, work: Callable[[Pulse], T]) -> T:
        """The outcome of `work`, which is started unless `what` is under way already.

        Raises what `work` does; DiskBusy when it takes longer than a request may, or something else is under way;
        StoreUnreachable when it stalled.
        """
        transfer = self._join(guest, what, work)
        try:
            ended = asyncio.wrap_future(transfer.outcome)
            ended.add_done_callback(_heard)
            await asyncio.wait([ended], timeout=self._patience_s)
            if transfer.outcome.done():
                result: T = transfer.outcome.result()
                return result
            if transfer.pulse.give_up(self._stalled_s):
                self._forget(guest, transfer)
                raise StoreUnreachable("the store took nothing more, and gave nothing")
            raise DiskBusy(f"{guest} is under way; ask again")
        finally:
            if transfer.outcome.done():
                self._forget(guest, transfer)

    def _join(self, guest: str, what: object, work: Callable[[Pulse], T]) -> _Transfer:
        with self._lock:
            known = self._known.get(guest)
            if known is not None and known.what == what:
                return known
            if known is not None and not known.outcome.done():
                raise DiskBusy(f"another transfer of {guest} is under way")
            if sum(not other.outcome.done() for other in self._known.values()) >= MOST:
                raise DiskBusy(f"{MOST} transfers are under way")
            made = self._known[guest] = _Transfer(what, Pulse(), Future())
            made.outcome.set_running_or_notify_cancel()
        threading.Thread(target=_run, args=(made, work), name=f"transfer-{guest[:8]}", daemon=True).start()
        return made

    def _forget(self, guest: str, transfer: _Transfer) -> None:
        with self._lock:
            if self._known.get(guest) is transfer:
                del self._known[guest]


def _heard(ended: asyncio.Future[Any]) -> None:
    """A failure is told by the transfer's outcome: asyncio need not log that nobody asked this one."""
    if not ended.cancelled():
        ended.exception()


def _run(transfer: _Transfer, work: Callable[[Pulse], Any]) -> None:
    try:
        transfer.outcome.set_result(work(transfer.pulse))
    except BaseException as error:  # raised again where the outcome is awaited
        transfer.outcome.set_exception(error)
