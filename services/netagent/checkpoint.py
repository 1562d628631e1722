"""What the node was last told, on disk: read at start, written before the kernel is touched."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.netagent import wire
from services.netagent.admission import Change, Position

SCHEMA = """
CREATE TABLE IF NOT EXISTS position (only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER, generation INTEGER);
CREATE TABLE IF NOT EXISTS entry (kind INTEGER, key BLOB, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint's content."""

    position: Position
    entries: dict[wire.EntryKey, wire.Entry]


class Checkpoint(Protocol):
    """Where a reconciler keeps what it was told."""

    def load(self) -> Stored | None:
        """None if nothing was ever stored."""

    def store(self, change: Change) -> None:
        """All of a change or nothing of it."""


class SqliteCheckpoint:
    """A checkpoint in an SQLite file; a change costs its own size. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.DatabaseError if the file is none of ours."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        # What is acknowledged as withdrawn must not come back with a power cut.
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        self._database.close()

    def load(self) -> Stored | None:
        row = self._database.execute("SELECT epoch, generation FROM position").fetchone()
        if row is None:
            return None
        entries = [wire.unpack(*row) for row in self._database.execute("SELECT kind, key, value FROM entry")]
        return Stored(Position(*row), {wire.EntryKey.of(entry): entry for entry in entries})

    def store(self, change: Change) -> None:
        puts = [(int(entry.kind), entry.key(), entry.value()) for entry in change.puts.values()]
        removals = [(int(key.kind), key.key) for key in change.removals]
        position = (change.position.epoch, change.position.generation)
        self._database.execute("BEGIN")
        try:
            self._database.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", puts)
            self._database.executemany("DELETE FROM entry WHERE kind = ? AND key = ?", removals)
            self._database.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", position)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            self._database.execute("ROLLBACK")
            raise


class MemoryCheckpoint:
    """A checkpoint that outlives its reconciler only: for simulations and tests."""

    def __init__(self) -> None:
        self._stored: Stored | None = None

    def load(self) -> Stored | None:
        return self._stored

    def store(self, change: Change) -> None:
        entries = dict(self._stored.entries) if self._stored else {}
        entries.update(change.puts)
        for key in change.removals:
            entries.pop(key, None)
        self._stored = Stored(change.position, entries)
