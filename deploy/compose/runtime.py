"""The part of a lock that running takes, by the resolver's notes: `runtime.py < requirements.lock`."""

from __future__ import annotations

import re
import sys

ROOT = "godwit (pyproject.toml)"  # what the project itself asks for; its groups have a name after the file's


def runtime(lock: str) -> str:
    """The entries that the project needs, and those that these need."""
    entries = {re.split(r"[=\[]", entry)[0]: entry for entry in re.split(r"(?m)^(?=\w)", lock) if entry.strip()}
    needers = {name: set(re.findall(r"^ +#(?: via)? +(\S.*)$", entry, re.MULTILINE)) for name, entry in entries.items()}
    needed = {ROOT}
    while more := {name for name, whose in needers.items() if whose & needed} - needed:
        needed |= more
    return "".join(entry for name, entry in entries.items() if name in needed)


if __name__ == "__main__":
    sys.stdout.write(runtime(sys.stdin.read()))
