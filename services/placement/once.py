"""Work that many wake-ups ask for: one thread of a process does it, the others leave it to that one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Once(Generic[Name]):
    """Does `work` of each name in one thread at a time. Asked for meanwhile, it is done once more: facts may be newer.

    Other processes do not know: correctness lies in the database, this spares threads that wait for each other's rows.
    """

    def __init__(self, work: Callable[[Name], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._again: dict[Name, bool] = {}  # what is being done, and whether it was asked for meanwhile

    def do(self, name: Name) -> None:
        """Do it, or have the thread that is about it do it again. Raises what the work raises, and leaves it then."""
        with self._lock:
            if name in self._again:
                self._again[name] = True
                return
            self._again[name] = True
        try:
            while self._due(name):
                self._work(name)
        except BaseException:
            with self._lock:
                del self._again[name]
            raise

    def _due(self, name: Name) -> bool:
        with self._lock:
            if not self._again[name]:
                del self._again[name]
                return False
            self._again[name] = False
            return True
