"""Raw logs of probes: plain lines, so that a person or another program can count them again.

The first line is a JSON object that says which log it is (`log`) and how it was made. Each further line is one record:
a letter and its fields, separated by spaces. The last line is `end N`, the number of records: a log that was cut short
is refused. All times are CLOCK_MONOTONIC nanoseconds of one machine, which its network namespaces share.

| log | record | meaning |
|---|---|---|
| `probe` | `s TARGET SEQ NS` | probe SEQ was handed to the kernel for the TARGETth address |
| | `r TARGET SEQ NS RESPONDER` | its answer arrived (kernel's receive time); RESPONDER: who answered, or `-` |
| | `w TARGET SEQ NS ADDRESS` | it was answered from ADDRESS, which was not asked: it had reached a wrong guest |
| `tcp` | `s CONNECTION SEQ NS` | a line was written to the CONNECTIONth target |
| | `r CONNECTION SEQ NS` | its echo was read; `x CONNECTION NS REASON`: the connection ended |
| `legs` | `l LINK RX TX NS` | a hypervisor's packet counters of a guest's link: from the guest, to the guest |
| `sent` | `s FLOW SEQ NS` | a packet left a sender for FLOW |
| `seen` | `r FLOW SEQ NS LINK` | a packet of FLOW arrived on LINK |
| `heard` | `r CALL PROTOCOL SOURCE` | CALL arrived from that address |
| `called` | `r CALL` | CALL was answered |
| `events` | `e NS NAME DETAIL…` | something was asked for or observed |
| `timelines` | `t GUEST OPERATION STEP NS` | an Operation on a guest's port reached STEP |
| `paths` | `p GUEST BY_GATEWAYS DIRECT NS` | a guest's packets so far, rewritten by gateways and at its own link |
| `strays` | `c NODE PACKETS NS` | packets a hypervisor dropped so far at a guest's link, for they were another's |
| `answerers` | `a ADDRESS NAME` | who answers there; `-`: nobody |
| `ports` | `p GUEST STATE` | where a guest's port was in the end |
| `traces` | `t ADDRESS SEEDED FOUND` | traced: the drift put there, the codes found; `-`: none |
| `dump` | `d …` | one row of what a cloud holds |
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 1


class Damaged(Exception):
    """The file is no complete raw log of the wanted kind."""


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as read back: its header, and its records, a line each."""

    header: Mapping[str, Any]
    lines: list[str]

    @property
    def records(self) -> Iterator[list[str]]:
        """Split into fields, letter first."""
        return (line.split(" ") for line in self.lines)

    def of(self, letter: str, fields: int) -> Iterator[list[str]]:
        """The fields of each record that starts with `letter`. Raises Damaged where their number is another."""
        for line in self.lines:
            if line.startswith(f"{letter} "):
                record = line.split(" ")
                if len(record) != fields + 1:
                    raise Damaged(f"record {line!r} has {len(record) - 1} fields instead of {fields}")
                yield record[1:]


def write(path: Path, kind: str, header: Mapping[str, Any], records: Iterable[str]) -> None:
    """Write a whole log; it appears under its name only when it is complete."""
    temporary = path.with_suffix(path.suffix + ".part")
    with temporary.open("w", encoding="ascii") as out:
        out.writelines(_lines(kind, header, records))
    temporary.rename(path)


def tell(kind: str, header: Mapping[str, Any], records: Iterable[str]) -> None:
    """Write a whole log to standard output."""
    sys.stdout.writelines(_lines(kind, header, records))
    sys.stdout.flush()


def _lines(kind: str, header: Mapping[str, Any], records: Iterable[str]) -> Iterator[str]:
    yield json.dumps({"log": kind, "version": VERSION, **header}) + "\n"
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007  the last number is what `end` tells
        yield record + "\n"
    yield f"end {count}\n"


def read(path: Path, kind: str) -> RawLog:
    """Raises Damaged unless `path` is a complete log of `kind`."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{path.name}: {error}") from error
    return parse(lines, kind, path.name)


def parse(lines: list[str], kind: str, name: str = "log") -> RawLog:
    """Raises Damaged unless `lines` are a complete log of `kind`."""
    if len(lines) < 2:
        raise Damaged(f"{name}: cut short")
    try:
        header = json.loads(lines[0])
    except ValueError as error:
        raise Damaged(f"{name}: the first line is no header") from error
    if not isinstance(header, dict) or header.get("log") != kind or header.get("version") != VERSION:
        raise Damaged(f"{name}: not a {kind} log of version {VERSION}")
    if lines[-1] != f"end {len(lines) - 2}":
        raise Damaged(f"{name}: cut short or altered: {len(lines) - 2} records, and it ends in {lines[-1]!r}")
    return RawLog(header, lines[1:-1])
