"""Whom to ask, and from which network namespace: a socket stays in the one it was made in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from cloud.namespaces import entered

T = TypeVar("T")


class Target(NamedTuple):
    """An address, and the file of the namespace from which it is asked: None for the process's own."""

    network: Path | None
    address: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """From `ADDRESS` or `NETWORK=ADDRESS`."""
        network, _, address = text.rpartition("=")
        return cls(Path(network) if network else None, address)

    def reach(self, make: Callable[[str], T]) -> T:
        """What `make` answers to the address, called in the target's namespace."""
        if self.network is None:
            return make(self.address)
        with entered(self.network):
            return make(self.address)
