"""`godwit cloud failure-demo`: machines of a local cloud fail, and its addresses go on answering."""

from __future__ import annotations

from pathlib import Path

from cloud import operations
from cloud.failures import figures
from cloud.failures.chapters import Failing
from cloud.operations import CloudStatus, Progress
from cloud.plan import Stack
from cloud.site import LocalSite
from cloud.tour import show
from cloud.tour.show import Show

FAILING: Show[LocalSite] = Show(
    take=lambda story, site, logs: Failing(story, site, logs).take(),
    row=figures.row,
    shortfalls=figures.shortfalls,
    checker="cloud.failures.checker",
)


def run(name: str, report: Path, keep: bool) -> int:
    """As `show.run`, in a local cloud."""
    return show.run(FAILING, show.local(name, _start), report, keep)


def _start(name: str, progress: Progress) -> CloudStatus:
    return operations.up(name, [3], [2], progress, stack=Stack.DUAL)
