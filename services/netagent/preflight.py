"""Whether this kernel can run agents: tried by having it take the programs of a guest's link."""

from __future__ import annotations

from pathlib import Path

from dataplane.bpf import build
from dataplane.libbpf import BpfError, Object


def refusal(pins: Path, cache: Path) -> str | None:
    """Why it cannot, in one line; None when it can. `pins` is a directory on a BPF file system."""
    try:
        Object(build.program("guest_link", cache), pins).close()
    except BpfError as error:
        return f"this kernel, or what this container may do, does not allow BPF programs: {str(error).splitlines()[0]}"
    return None
