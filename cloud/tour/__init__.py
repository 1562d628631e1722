"""`godwit cloud demo`: a tour of a local cloud with real packets, which ends in figures and what they follow from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from godwit_client import Refused

from cloud import operations
from cloud.rawlog import Damaged
from cloud.site import LocalSite
from cloud.tour import figures
from cloud.tour.chapters import Tour
from cloud.tour.story import Story
from common.errors import DomainError


def run(name: str, report: Path, keep: bool) -> int:
    """Start cloud `name` (or use it, if it is there), take the tour, write `report`; 0 if everything held, else 1.

    A cloud that the tour started is taken down at its end, unless `keep`.
    """
    story = Story()
    logs = report.with_suffix("")
    logs.mkdir(parents=True, exist_ok=True)
    for old in (report, *logs.iterdir()):
        old.unlink(missing_ok=True)
    was_there = name in operations.names()
    story.chapter(f"Starting cloud {name}")
    try:
        with story.waiting("starting") as more:
            status = operations.up(name, progress=more)
        story.check(status.state == "running", f"{len(status.nodes)} nodes and {len(status.processes)} processes run")
        table = figures.figures(Tour(story, LocalSite(name), logs).take())
        finish(story, report, table)
    except (DomainError, Refused) as error:
        story.check(False, f"the tour broke off: {error.message} ({error.code})")
    except Damaged as error:
        story.check(False, f"the tour broke off: {error}")
    finally:
        if keep or was_there:
            story.chapter(f"Cloud {name} goes on; `godwit cloud down {name}` ends it")
        else:
            story.chapter("Taking the cloud down")
            operations.down(name)
    story.end()
    return 1 if story.shortfalls else 0


def finish(story: Story, report: Path, table: dict[str, figures.Figure]) -> None:
    """Print and write the figures, and have them counted again by a program of its own."""
    figures.write(report, table)
    story.table("What was measured", ["figure", "value", "of"], [figures.row(key, table[key]) for key in table])
    for text in figures.shortfalls(table):
        story.check(False, text)
    checked = subprocess.run(
        [sys.executable, "-m", "cloud.checker", str(report)], capture_output=True, text=True, check=False
    )
    said = (checked.stdout + checked.stderr).strip()
    story.check(checked.returncode == 0, f"checked: {said} in {report.with_suffix('')}")
