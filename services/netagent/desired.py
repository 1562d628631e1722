"""What a node is to hold: wire entries, the rows they ask for, and who asks for which row. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dataplane.entries import Entry
from services.netagent import wire
from services.netagent.render import Unrenderable, render

RowKey = tuple[type[Any], Hashable]  # class of entry, its key


def row_key(row: Entry) -> RowKey:
    return (type(row), row.key)


@dataclass
class Touched:
    """What a change concerns: wire entries to judge anew; rows that are new or other than before; rows that nobody
    wants any more, and who wanted them."""

    entries: set[wire.EntryKey] = field(default_factory=set)
    rows: dict[RowKey, Entry] = field(default_factory=dict)
    orphans: dict[RowKey, tuple[Entry, wire.EntryKey]] = field(default_factory=dict)


class Desired:
    """The wanted rows, by wire entry. A change costs its own size, and a port's change that of its addresses."""

    def __init__(self) -> None:
        self.entries: dict[wire.EntryKey, wire.Entry] = {}
        self.unrenderable: dict[wire.EntryKey, Unrenderable] = {}
        self._ports: dict[UUID, wire.Port] = {}
        self._on_port: dict[UUID, set[wire.EntryKey]] = {}
        self._rows: dict[wire.EntryKey, list[Entry]] = {}
        self._owners: dict[RowKey, dict[wire.EntryKey, Entry]] = {}

    def rows(self, key: wire.EntryKey) -> list[Entry]:
        return self._rows.get(key, [])

    def on_port(self, port: UUID) -> Collection[wire.EntryKey]:
        """The entries of what is on a port, without its own."""
        return self._on_port.get(port, set())

    def row(self, key: RowKey) -> Entry:
        """The wanted row of that key; if several entries ask for it, the last one's."""
        return next(reversed(self._owners[key].values()))

    def holds(self, key: RowKey) -> bool:
        return key in self._owners

    def owners(self, key: RowKey) -> Iterable[wire.EntryKey]:
        return self._owners.get(key, {})

    def change(self, puts: Iterable[wire.Entry], removals: Iterable[wire.EntryKey]) -> Touched:
        """Take a change in."""
        touched = Touched()
        for key in removals:
            self._unplace(key)
            self.entries.pop(key, None)
            touched.entries.add(key)
        for entry in puts:
            key = wire.EntryKey.of(entry)
            self._unplace(key)
            self.entries[key] = entry
            self._place(key, entry)
            touched.entries.add(key)
        ports = {key.key for key in touched.entries if key.kind is wire.Kind.PORT}
        for port in ports:
            touched.entries |= self._on_port.get(UUID(bytes=port), set())
        for key in touched.entries:
            self._render(key, touched)
        return touched

    def _place(self, key: wire.EntryKey, entry: wire.Entry) -> None:
        if isinstance(entry, wire.Port):
            self._ports[entry.port] = entry
        elif isinstance(entry, wire.Address | wire.HostNat):
            self._on_port.setdefault(entry.port, set()).add(key)

    def _unplace(self, key: wire.EntryKey) -> None:
        entry = self.entries.get(key)
        if isinstance(entry, wire.Port):
            self._ports.pop(entry.port, None)
        elif isinstance(entry, wire.Address | wire.HostNat):
            on_port = self._on_port[entry.port]
            on_port.discard(key)
            if not on_port:
                del self._on_port[entry.port]

    def _render(self, key: wire.EntryKey, touched: Touched) -> None:
        before = self._rows.pop(key, [])
        self.unrenderable.pop(key, None)
        after: list[Entry] = []
        if key in self.entries:
            try:
                after = render(self.entries[key], self._ports)
            except Unrenderable as error:
                self.unrenderable[key] = error
            self._rows[key] = after
        unchanged = {row_key(row): row for row in before}
        for row in after:
            place = row_key(row)
            self._owners.setdefault(place, {})[key] = row
            orphaned = touched.orphans.pop(place, None) is not None
            if orphaned or unchanged.get(place) != row:
                touched.rows[place] = row
        kept = {row_key(row) for row in after}
        for row in before:
            place = row_key(row)
            if place in kept:
                continue
            owners = self._owners.get(place, {})
            owners.pop(key, None)
            if not owners:
                self._owners.pop(place, None)
                touched.orphans[place] = (row, key)
