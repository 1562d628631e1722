"""Nodes: the production agent on an in-memory kernel, which can die between two tables and start again."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any
from uuid import UUID

from dataplane import memory
from dataplane.driver import DriverError
from dataplane.entries import Anchor, Entry, Forward, Inbound, Leg
from services.netagent import wire
from services.netagent.checkpoint import MemoryCheckpoint
from services.netagent.errors import MalformedMessage
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_of
from tests.simulation.network import Silence

STRAY = IPv4Network("203.0.113.0/24")  # where rows of nobody's asking come from: no pool's


class Died(BaseException):
    """The process ends here, in the middle of whatever it does."""


class Agent:
    """One node: kernel and checkpoint outlive the process.

    `disturbed` from a fault of the kernel or the process until it was seen to hold again all it must: the promises of
    our ordering are about nodes that are left in peace.
    """

    def __init__(
        self, node_id: UUID, name: str, role: str, world: memory.World, touched: Callable[[Agent], None]
    ) -> None:
        self.id = node_id
        self.name = name
        self.role = role
        self.kernel = memory.Kernel(name, world)
        self.checkpoint = MemoryCheckpoint()
        self.disturbed = False
        self.written: list[Entry] = []  # since somebody looked
        self.overhauled = True  # by another hand, or by a power cut, since then
        self.lost_legs = False  # a leaving leg that went is made anew as leaving, and its guest hears nobody
        self.refuses: Callable[[Entry], bool] | None = None
        self.dies_at: type[Entry] | None = None  # at the first write to that table
        self._touched = touched
        self._process: Reconciler | None = None
        self.kernel.refuse = self._before_write
        self.start()

    # --- the process -------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """As `netagent.app.build`: make the kernel match the checkpoint, then answer."""
        drivers = getattr(memory.drivers(self.kernel, link_of), self.role)
        self._process = Reconciler(self.id, drivers, self.checkpoint)
        self._alive(self._process.repair)

    def restart(self) -> None:
        try:
            self.start()
        except Silence:  # it died again: the next start finds it
            self._process = None

    def kill(self) -> None:
        """Between two orders: the kernel holds what it held."""
        self._process = None

    def reboot(self) -> None:
        """Power off: the kernel's rows are gone, the checkpoint is not."""
        self.kill()
        self.disturbed = self.lost_legs = self.overhauled = True
        for link in list(self.kernel.table(Leg)):
            self.kernel.remove(Leg, link)
        self.kernel.rows.clear()
        self._touched(self)

    def lose_disk(self) -> None:
        self.kill()
        self.checkpoint = MemoryCheckpoint()

    def _running(self) -> Reconciler:
        if self._process is None:
            raise Silence
        return self._process

    def _alive(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Died:
            self.kill()
            self.dies_at, self.disturbed = None, True
            raise Silence from None
        finally:
            if self.written:
                self._touched(self)

    # --- what is asked of it -----------------------------------------------------------------------------------------

    def apply(self, raw: bytes) -> wire.Realized:
        process = self._running()
        try:
            message = wire.parse(raw)
        except wire.Malformed as error:
            raise MalformedMessage(str(error)) from error
        answer: wire.Realized = self._alive(lambda: process.apply(message))
        return answer

    def state(self) -> wire.Realized:
        return self._running().realized()

    def watch(self) -> None:
        """As `netagent.app.Watch`: compare the whole, mend what differs."""
        if self._process is None:
            return
        process = self._process
        try:
            if self._alive(process.verify):
                self._alive(lambda: process.repair(tell=False))
            elif self.refuses is None and self.dies_at is None and self.checkpoint.load() is not None:
                self._in_peace()  # one that was told nothing yet finds nothing wrong
        except Silence:
            return

    def _in_peace(self) -> None:
        if self.disturbed:
            self.disturbed, self.overhauled = False, True
            self._touched(self)

    def sound(self) -> bool:
        """Whether its kernel holds what it was told, and nothing else of ours."""
        return self._process is not None and not self._process.verify()

    # --- what happens to it ------------------------------------------------------------------------------------------

    def _before_write(self, entry: Entry) -> None:
        if self.dies_at is type(entry):
            raise Died
        if self.refuses is not None and self.refuses(entry):
            raise DriverError("route.refused", "the kernel refuses")
        self.written.append(entry)

    def alter(self, random: Random) -> str:
        """Another hand takes a row of ours away, or adds one that bears our mark; the table it did it to."""
        self.disturbed = self.overhauled = True
        tables = sorted((of for of, rows in self.kernel.rows.items() if rows), key=lambda of: str(of.__name__))
        if not tables or random.random() < 0.25:
            number = random.randrange(STRAY.num_addresses)
            stray = IPv4Network((STRAY.network_address + number, 32))
            row: Entry = Anchor(stray, 1)
            if self.role == "gateway":
                row = Inbound(stray.network_address, IPv4Address("10.255.0.0") + number)
            self.kernel.alter(row)
            self._touched(self)
            return type(row).__name__
        table = random.choice(tables)
        self.lost_legs |= table is Leg
        self.kernel.remove(table, random.choice(sorted(self.kernel.rows[table], key=str)))
        self._touched(self)
        return str(table.__name__)

    # --- what it holds -----------------------------------------------------------------------------------------------

    def anchors(self) -> list[Anchor]:
        return list(self.kernel.table(Anchor).values())

    def forwards(self) -> list[Forward]:
        return list(self.kernel.table(Forward).values())
