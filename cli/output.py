"""What the command prints: tables for people, JSON for scripts, one line of progress while something is under way."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

STATE_COLOURS = {
    "attached": "green",
    "running": "green",
    "up": "green",
    "enabled": "green",
    "succeeded": "green",
    "verified": "green",
    "adopted": "green",
    "sealed": "green",
    "as_asked": "green",
    "✓": "green",
    "reserved": "cyan",
    "archived": "cyan",
    "not_served": "cyan",
    "failed": "red",
    "unreachable": "red",
    "needs_operator": "red",
    "blocks": "red",
    "differs": "red",
    "unknown": "red",
    "✗": "red",
    "disabled": "yellow",
    "waiting": "yellow",
    "blocked": "yellow",
    "rolling_back": "yellow",
    "warns": "yellow",
    "changing": "yellow",
    "quarantined": "yellow",
}


class Model(Protocol):
    """A resource of either generated client."""

    def to_dict(self) -> dict[str, Any]: ...


M = TypeVar("M", bound=Model)
Column = tuple[str, Callable[[M], object]]


def console() -> Console:
    """Standard output. Not a terminal: no colours, and lines as long as they need to be."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def show_list(found: Iterable[M], columns: Sequence[Column[M]], as_json: bool, empty: str) -> None:
    """A table of what was found, or a JSON list; `empty` is what a person reads when there is nothing."""
    items = list(found)
    if as_json:
        print_json([item.to_dict() for item in items])
    elif not items:
        print(empty)
    else:
        print_table([name for name, _ in columns], [[value(item) for _, value in columns] for item in items])


def show_one(item: Model, fields: Mapping[str, object], as_json: bool) -> None:
    """The fields of one resource, a line each, or the whole of it as JSON."""
    if as_json:
        print_json(item.to_dict())
    else:
        show_fields(fields)


def show_fields(fields: Mapping[str, object]) -> None:
    print_all(fields_table(fields))


def fields_table(fields: Mapping[str, object]) -> Table:
    """A name and a value a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, cell(value))
    return table


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print_all(rows_table(names, rows))


def rows_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=not sys.stdout.isatty())
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    return table


def print_all(what: RenderableType) -> None:
    """Print without cutting anything off where the output is no terminal."""
    out = console()
    if not out.is_terminal:
        out.width = max(out.width, 400)
    out.print(what, crop=False)


def cell(value: object) -> str:
    """One value as a person reads it: `-` for nothing, local time to the second, states in colour."""
    if value is None or value == "" or type(value).__name__ == "Unset":
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(cell(part) for part in value) or "-"
    text = str(value)
    colour = STATE_COLOURS.get(text)
    return f"[{colour}]{escape(text)}[/{colour}]" if colour else escape(text)


class Progress:
    """One line on standard error that says what is going on; silent where that is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status = self._console.status("")
        self._shown = False

    def say(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if not self._shown:
            self._status.start()
            self._shown = True
        self._status.update(escape(text))

    def done(self) -> None:
        if self._shown:
            self._status.stop()
            self._shown = False
