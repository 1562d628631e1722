"""`godwit cloud demo`: a tour of a cloud with real packets, which ends in figures and what they follow from."""

from __future__ import annotations

from pathlib import Path

from cloud import operations
from cloud.site import LocalSite, Site
from cloud.tour import figures, show
from cloud.tour.chapters import Tour
from cloud.tour.show import Show, Stage

TOUR: Show[Site] = Show(
    take=lambda story, site, logs: figures.figures(Tour(story, site, logs).take()),
    row=figures.row,
    shortfalls=figures.shortfalls,
    checker="cloud.checker",
)


def local(name: str) -> Stage[LocalSite]:
    """A local cloud of the usual size."""
    return show.local(name, lambda name, progress: operations.up(name, progress=progress))


def run(stage: Stage[Site], report: Path, keep: bool) -> int:
    """As `show.run`."""
    return show.run(TOUR, stage, report, keep)
