"""The frame of what is shown: a cloud is started, something is done with it, and what was measured is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import httpx
from godwit_client import Refused

from cloud import operations
from cloud.operations import CloudStatus, NotReady, Progress
from cloud.rawlog import Damaged
from cloud.site import LocalSite, Site
from cloud.tour.story import Story
from common.errors import DomainError

Figure = tuple[float, int]
"""A value, and of how many."""

S = TypeVar("S", bound=Site)
S_co = TypeVar("S_co", bound=Site, covariant=True)
S_contra = TypeVar("S_contra", bound=Site, contravariant=True)


@dataclass(frozen=True)
class Stage(Generic[S_co]):
    """A cloud to show something in: how it is started, which answers what then runs, and ended."""

    name: str
    is_up: Callable[[], bool]
    up: Callable[[Progress], str]
    down: Callable[[], object]
    site: Callable[[], S_co]


@dataclass(frozen=True)
class Show(Generic[S_contra]):
    """What is shown: what is done with a cloud, and how its figures are told and judged.

    `checker` is the module that counts the figures again.
    """

    take: Callable[[Story, S_contra, Path], Mapping[str, Figure]]
    row: Callable[[str, Figure], list[str]]
    shortfalls: Callable[[Mapping[str, Figure]], list[str]]
    checker: str


def local(name: str, start: Callable[[str, Progress], CloudStatus]) -> Stage[LocalSite]:
    """A local cloud, which `start` starts by its name."""

    def up(progress: Progress) -> str:
        status = start(name, progress)
        if status.state != "running":
            raise NotReady(f"cloud {name} is {status.state}")
        return f"{len(status.nodes)} nodes and {len(status.processes)} processes run"

    return Stage(name, lambda: name in operations.names(), up, lambda: operations.down(name), lambda: LocalSite(name))


def run(show: Show[S], stage: Stage[S], report: Path, keep: bool) -> int:
    """Start the cloud (or use it, if it is there), show, write `report`; 0 if everything held, else 1.

    A cloud that was started for it is taken down at its end, unless `keep`.
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
        finish(show, story, report, show.take(story, stage.site(), logs))
    except (DomainError, Refused) as error:
        story.check(False, f"the tour broke off: {error.message} ({error.code})")
    except (Damaged, httpx.TransportError) as error:
        story.check(False, f"the tour broke off: {error}")
    finally:
        if keep or was_there:
            story.chapter(f"Cloud {stage.name} goes on; `godwit --cloud {stage.name} cloud down` ends it")
        else:
            story.chapter("Taking the cloud down")
            stage.down()
    story.end()
    return 1 if story.shortfalls else 0


def finish(show: Show[S], story: Story, report: Path, table: Mapping[str, Figure]) -> None:
    """Print and write the figures, and have them counted again by a program of its own."""
    entries = {key: {"value": value, "n": n} for key, (value, n) in table.items()}
    report.write_text(json.dumps(entries, indent=2) + "\n")
    story.table("What was measured", ["figure", "value", "of"], [show.row(key, table[key]) for key in table])
    for text in show.shortfalls(table):
        story.check(False, text)
    checked = subprocess.run(
        [sys.executable, "-m", show.checker, str(report)], capture_output=True, text=True, check=False
    )
    said = (checked.stdout + checked.stderr).strip()
    story.check(checked.returncode == 0, f"checked: {said} in {report.with_suffix('')}")
