"""What a tour tells the person who watches: chapters, short lines, a table of figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Story:
    """Prints as it goes, and remembers what fell short."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(highlight=False)
        self._clock = clock
        self._started = clock()
        self.shortfalls: list[str] = []

    def chapter(self, title: str) -> None:
        seconds = self._clock() - self._started
        self._console.print(f"\n[bold]{escape(title)}[/bold]  [dim]{seconds:.0f} s[/dim]")

    def say(self, text: str) -> None:
        self._console.print(f"  {escape(text)}", soft_wrap=True)

    def check(self, holds: bool, text: str) -> None:
        """A line that is true or not; one that is not makes the tour fall short."""
        if holds:
            self._console.print(f"  [green]✓[/green] {escape(text)}", soft_wrap=True)
        else:
            self._console.print(f"  [red]✗ {escape(text)}[/red]", soft_wrap=True)
            self.shortfalls.append(text)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """A line that says what is going on, on a terminal; its text may change."""
        if not self._console.is_terminal:
            yield lambda _text: None
            return
        with self._console.status(escape(text)) as status:
            yield lambda more: status.update(escape(f"{text}: {more}"))

    def table(self, title: str, names: list[str], rows: list[list[str]]) -> None:
        table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for number, name in enumerate(names):
            table.add_column(name, justify="left" if number in {0, len(names) - 1} else "right")
        for row in rows:
            table.add_row(*(escape(value) for value in row))
        self._console.print()
        self._console.print(table)

    def end(self) -> None:
        seconds = self._clock() - self._started
        if self.shortfalls:
            self._console.print(f"[red]fell short after {seconds:.0f} s:[/red]")
            for text in self.shortfalls:
                self._console.print(f"  [red]✗[/red] {escape(text)}")
        else:
            self._console.print(f"[green]everything held[/green], {seconds:.0f} s")
