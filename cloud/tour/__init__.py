"""`godwit cloud demo`: a tour of a cloud with real packets, which ends in figures and what they follow from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from godwit_client import Refused

from cloud import operations
from cloud.operations import NotReady, Progress
from cloud.rawlog import Damaged
from cloud.site import LocalSite, Site
from cloud.tour import figures
from cloud.tour.chapters import Tour
from cloud.tour.story import Story
from common.errors import DomainError


@dataclass(frozen=True)
class Stage:
    """A cloud to tour: how it is started, which answers what then runs, and ended."""

    name: str
    is_up: Callable[[], bool]
    up: Callable[[Progress], str]
    down: Callable[[], object]
    site: Callable[[], Site]


def local(name: str) -> Stage:
    """A local cloud."""

    def up(progress: Progress) -> str:
        status = operations.up(name, progress=progress)
        if status.state != "running":
            raise NotReady(f"cloud {name} is {status.state}")
        return f"{len(status.nodes)} nodes and {len(status.processes)} processes run"

    return Stage(name, lambda: name in operations.names(), up, lambda: operations.down(name), lambda: LocalSite(name))


def run(stage: Stage, report: Path, keep: bool) -> int:
    """Start the cloud (or use it, if it is there), take the tour, write `report`; 0 if everything held, else 1.

    A cloud that the tour started is taken down at its end, unless `keep`.
    """
    story = Story()
    logs = report.with_suffix("")
    logs.mkdir(parents=True, exist_ok=True)
    for old in (report, *logs.iterdir()):
        old.unlink(missing_ok=True)
    was_there = stage.is_up()
    story.chapter(f"Starting cloud {stage.name}")
    try:
        with story.waiting("starting") as more:
            running = stage.up(more)
        story.check(True, running)
        table = figures.figures(Tour(story, stage.site(), logs).take())
        finish(story, report, table)
    except (DomainError, Refused) as error:
        story.check(False, f"the tour broke off: {error.message} ({error.code})")
    except Damaged as error:
        story.check(False, f"the tour broke off: {error}")
    finally:
        if keep or was_there:
            story.chapter(f"Cloud {stage.name} goes on; `godwit --cloud {stage.name} cloud down` ends it")
        else:
            story.chapter("Taking the cloud down")
            stage.down()
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
