"""Guests' disks: a folder each, on storage that hypervisors may share.

    <directory>/<guest>/content/   what the guest sees, and may write
    <directory>/<guest>/running    there while a guest runs on it, or has run when its host died
    <directory>/<guest>/settled    which archive holds the same, or is about to; gone as soon as a guest starts

A disk outlives its guest: it goes when it is discarded, and only as long as an archive holds the same.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from services.netagent.guest import NOBODY


class Disk:
    """One guest's; `guest` is a name that the caller has checked."""

    def __init__(self, directory: Path, guest: str) -> None:
        self.folder = directory / guest
        self.content = self.folder / "content"
        self._settled = self.folder / "settled"
        self._running = self.folder / "running"

    @property
    def exists(self) -> bool:
        return self.content.is_dir()

    @property
    def in_use(self) -> bool:
        return self._running.exists()

    def begin(self) -> None:
        """A guest is about to start on it; it is made if need be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._running.touch()  # first: who settles it looks for this last
        self.unsettle()
        if not self.exists:
            make_content(self.content)

    @property
    def note(self) -> str:
        """What was noted since the last guest started; empty if nothing was."""
        try:
            return self._settled.read_text()
        except FileNotFoundError:
            return ""

    def settle(self, note: str) -> None:
        fresh = self._settled.with_suffix(".new")
        fresh.write_text(note)
        fresh.replace(self._settled)

    def unsettle(self) -> None:
        self._settled.unlink(missing_ok=True)

    def end(self) -> None:
        """Its guest has ended, or was never there."""
        self._running.unlink(missing_ok=True)


def make_content(path: Path) -> None:
    """An empty directory of the guest's."""
    path.mkdir(mode=0o700)
    give(path)


def give(path: Path) -> None:
    """To the guest; who runs without privileges runs guests as himself."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def remove(folder: Path) -> None:
    """With all in it, however deep; nothing there is no error. Raises OSError."""
    done = subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
