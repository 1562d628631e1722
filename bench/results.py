"""Figures as they are kept in docs/bench, and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "bench"


class Figure(NamedTuple):
    """A measured value, and over how many it was measured."""

    value: float
    n: int


def keep(name: str, figures: Mapping[str, Figure]) -> None:
    """Put figures beside those of the bench's other parts."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {key: {"value": round(figure.value, 3), "n": figure.n} for key, figure in figures.items()}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def show(title: str, figures: Mapping[str, Figure]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("n", justify="right")
    for key, figure in figures.items():
        table.add_row(key, f"{figure.value:,.3f}".rstrip("0").rstrip("."), f"{figure.n:,}")
    Console().print(table)
