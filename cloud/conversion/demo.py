"""`godwit cloud convert-demo`: of two zones one leaves the central NAT, comes back half-way, and goes to the end."""

from __future__ import annotations

from pathlib import Path

from cloud import operations
from cloud.conversion import figures
from cloud.conversion.chapters import Crossing
from cloud.operations import CloudStatus, Progress
from cloud.plan import Stack
from cloud.site import LocalSite
from cloud.tour import show
from cloud.tour.show import Show

CROSSING: Show[LocalSite] = Show(
    take=lambda story, site, logs: Crossing(story, site, logs).take(),
    row=figures.row,
    shortfalls=figures.shortfalls,
    checker="cloud.conversion.checker",
)


def run(name: str, report: Path, keep: bool) -> int:
    """As `show.run`, in a local cloud."""
    return show.run(CROSSING, show.local(name, _start), report, keep)


def _start(name: str, progress: Progress) -> CloudStatus:
    """Two zones on the NAT; the second is small, and nothing is done to it."""
    return operations.up(name, [3, 1], [2, 1], progress, zones=2, stack=Stack.NAT)
