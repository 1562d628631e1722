"""Compiles what the kernel runs, on the machine or in the image that runs it: no object files are shipped.

`python -m dataplane.bpf.build CACHE` compiles everything, for an image without a compiler.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEADERS = Path(f"/usr/include/{platform.machine()}-linux-gnu")  # asm/types.h, which the bpf target does not find

PROGRAM = ("clang", "-O2", "-g", "-mcpu=v3", "-target", "bpf", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}", "-c")
LIBRARY = ("clang", "-O2", "-shared", "-fPIC", "-nostdlib", "-Wall", "-Wextra", "-Werror")


class BuildError(Exception):
    """The compiler refused; the text is what it wrote."""


def source_hash(source: Path, command: tuple[str, ...]) -> str:
    """Names one build: the source, every header beside it, and the command."""
    digest = hashlib.sha256(repr(command).encode())
    for path in (source, *sorted(HERE.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def program(name: str, cache: Path) -> Path:
    """The object file of `NAME.bpf.c`, from `cache` or built there. Raises BuildError."""
    return compiled(HERE / f"{name}.bpf.c", cache, PROGRAM, ".o")


def library(name: str, cache: Path) -> Path:
    """The shared library of `NAME.c`, from `cache` or built there. Raises BuildError."""
    return compiled(HERE / f"{name}.c", cache, LIBRARY, ".so")


def compiled(source: Path, cache: Path, command: tuple[str, ...], suffix: str) -> Path:
    """`source` run through `command`, unless `cache` holds it.

    Two processes may build at once: the last rename wins. Raises BuildError.
    """
    target = cache / f"{source.name.split('.')[0]}-{source_hash(source, command)}{suffix}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=cache, suffix=suffix)
    os.close(handle)
    try:
        done = subprocess.run([*command, "-o", draft, str(source)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(done.stderr)
        Path(draft).rename(target)
    finally:
        Path(draft).unlink(missing_ok=True)
    return target


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m dataplane.bpf.build CACHE")
    for source in sorted(HERE.glob("*.c")):
        build = program if source.name.endswith(".bpf.c") else library
        print(build(source.name.split(".")[0], Path(sys.argv[1])))


if __name__ == "__main__":
    main()
