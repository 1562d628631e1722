"""`python -m cloud.failures.checker build/failures.json`: counts the figures again, from raw logs alone.

As `cloud.checker` does for a tour's, whose reader of logs it takes: it shares no code with what produced the figures.
What the figures mean is told in `cloud.failures.figures`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cloud import checker
from cloud.checker import Figure, Parts, Unsound, event_rows, load, longest_gap_ms, sends_and_answers

EVACUATED = ("evacuate_last_address_ms", "evacuated_addresses")
GAPS = ("failover_process_gap_ms", "failover_host_gap_ms", "swap_gap_ms")
LOST = ("drain_lost_packets", "management_cut_lost_packets")
STOLEN = ("returning_host_stolen_packets", "returning_host_stolen_control_packets")
TRACES = ("trace_drifts_named", "trace_false_alarms")
KEYS = EVACUATED + GAPS + LOST + STOLEN + TRACES


def check_evacuation(logs: Path) -> dict[str, Figure]:
    moments = [at for at, what, _ in event_rows(logs / "evacuation.events") if what == "fenced"]
    if len(moments) != 1:
        raise Unsound(f"{len(moments)} fences")
    (fenced,) = moments
    after = []
    targets = sends_and_answers(logs / "evacuation.probe")
    for sends, answers in targets.values():
        arrivals = [at for sequence, at, _ in answers if sends[sequence] >= fenced]
        after += [min(arrivals) - fenced] if arrivals else []
    return {
        EVACUATED[0]: (max(after, default=0) / 1e6, len(after)),
        EVACUATED[1]: (len(after), len(targets)),
    }


def lost_gap_and_sent(path: Path) -> tuple[int, float, int]:
    lost, gap, sent = 0, 0.0, 0
    for sends, answers in sends_and_answers(path).values():
        answered = {sequence for sequence, _, _ in answers}
        lost += len(sends.keys() - answered)
        gap = max(gap, longest_gap_ms(sends, answered))
        sent += len(sends)
    if not sent:
        raise Unsound(f"{path.name}: nothing was sent")
    return lost, gap, sent


def gap_of(path: Path) -> Figure:
    _, gap, sent = lost_gap_and_sent(path)
    return gap, sent


def lost_of(path: Path) -> Figure:
    lost, _, sent = lost_gap_and_sent(path)
    return lost, sent


def stolen_of(logs: Path, name: str) -> Figure:
    """Probes that were lost, and what a host's counters of its guests' links rose by."""
    lost, sent = lost_of(logs / f"{name}.probe")
    counted: dict[str, list[int]] = {}
    for _, link, _, to_guest, _ in load(logs / f"{name}.legs", "legs")[1]:
        counted.setdefault(link, []).append(int(to_guest))
    return lost + sum(values[-1] - values[0] for values in counted.values()), sent


def check_traces(logs: Path) -> dict[str, Figure]:
    rows = [(seeded, found) for _, _, seeded, found in load(logs / "drifts.traces", "traces")[1]]
    drifted = [row for row in rows if row[0] != "-"]
    well = [row for row in rows if row[0] == "-"]
    if not drifted or not well:
        raise Unsound("no drift was seeded, or nothing was left without one")
    return {
        TRACES[0]: (sum(a == b for a, b in drifted), len(drifted)),
        TRACES[1]: (sum(b != "-" for _, b in well), len(well)),
    }


def recomputed(logs: Path) -> Iterator[tuple[str, Figure | str]]:
    """Each key with its figure, or with the reason why the logs do not yield one."""
    parts: Parts = (
        (EVACUATED, lambda: check_evacuation(logs)),
        ((GAPS[0],), lambda: {GAPS[0]: gap_of(logs / "process.probe")}),
        ((GAPS[1],), lambda: {GAPS[1]: gap_of(logs / "host.probe")}),
        ((GAPS[2],), lambda: {GAPS[2]: gap_of(logs / "swap.probe")}),
        ((LOST[0],), lambda: {LOST[0]: lost_of(logs / "drain.probe")}),
        ((LOST[1],), lambda: {LOST[1]: lost_of(logs / "management.probe")}),
        ((STOLEN[0],), lambda: {STOLEN[0]: stolen_of(logs, "returning")}),
        ((STOLEN[1],), lambda: {STOLEN[1]: stolen_of(logs, "overtaking")}),
        (TRACES, lambda: check_traces(logs)),
    )
    return checker.counted(parts)


if __name__ == "__main__":
    sys.exit(checker.main(sys.argv[1:], KEYS, recomputed))
