"""`python -m cloud.failures.chaos_checker build/chaos.json`: counts the figures again, from raw logs alone.

As `cloud.checker` does for a tour's; it shares no code with what produced the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cloud import checker
from cloud.checker import Figure, event_rows, sends_and_answers

KEYS = (
    "chaos_kills",
    "chaos_processes_back",
    "chaos_operations_ended",
    "chaos_addresses_answering",
    "chaos_trace_drifts",
    "chaos_second_announcers",
)
LOST = "chaos_untouched_lost_packets"


def what_happened(logs: Path) -> dict[str, Figure]:
    details: dict[str, list[tuple[str, ...]]] = {}
    for _, what, detail in event_rows(logs / "chaos.events"):
        details.setdefault(what, []).append(detail)
    of = {what: len(details.get(what, [])) for what in ("killed", "returned", "asked", "ended", "answered", "silent")}
    processes = len({detail[0] for detail in details.get("killed", [])})
    traced, announced = details.get("traced", []), details.get("announced", [])
    values = (
        (of["killed"], processes),
        (of["returned"], processes),
        (of["ended"], of["asked"]),
        (of["answered"], of["answered"] + of["silent"]),
        (len([codes for _, codes in traced if codes != "-"]), len(traced)),
        (len([number for _, number in announced if int(number) > 1]), len(announced)),
    )
    return dict(zip(KEYS, values, strict=True))


def lost(logs: Path) -> dict[str, Figure]:
    targets = sends_and_answers(logs / "chaos.probe").values()
    sent = sum(len(sends) for sends, _ in targets)
    return {LOST: (sent - sum(len({sequence for sequence, _, _ in answers}) for _, answers in targets), sent)}


def recomputed(logs: Path) -> Iterator[tuple[str, Figure | str]]:
    return checker.counted(((KEYS, lambda: what_happened(logs)), ((LOST,), lambda: lost(logs))))


if __name__ == "__main__":
    sys.exit(checker.main(sys.argv[1:], (*KEYS, LOST), recomputed))
