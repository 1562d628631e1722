"""Guests of a local cloud, as the guest helper leaves them in its directory: one folder each, with `net` and `name`."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cloud import leftovers, namespaces

MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Guest:
    folder: Path

    @property
    def name(self) -> str:
        """The instance's name; empty while the guest is being made."""
        file = self.folder / "name"
        return file.read_text().strip() if file.exists() else ""

    @property
    def link(self) -> str:
        """The name of its legs, on any hypervisor; see `services.netagent.render.link_of`."""
        return f"g{self.folder.name[:12]}"

    @property
    def network(self) -> Path:
        return self.folder / "net"


def all_guests(directory: Path) -> list[Guest]:
    return [Guest(folder) for folder in sorted(directory.iterdir()) if folder.is_dir()] if directory.is_dir() else []


def find(directory: Path, name: str) -> Guest | None:
    return next((guest for guest in all_guests(directory) if guest.name == name), None)


def remove_all(directory: Path) -> None:
    """End every guest's processes and let its namespace go; for a cloud whose helper no longer runs."""
    for guest in all_guests(directory):
        if os.path.ismount(guest.network):
            leftovers.end(namespaces.pids_in(guest.network))
            unmount(guest.network)
        shutil.rmtree(guest.folder)


def unmount(path: Path) -> None:
    """Detach what is mounted on `path`; nothing mounted is no error."""
    while os.path.ismount(path):
        if _libc.umount2(os.fsencode(path), MNT_DETACH):
            error = ctypes.get_errno()
            raise OSError(error, f"unmount {path}: {os.strerror(error)}")
