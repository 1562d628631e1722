"""`python -m cloud.checker build/demo.json`: counts every figure again from the raw logs beside it, in its own way.

It shares no code with what produced the figures: no parser, no arithmetic. It answers 0 when every figure follows from
the logs and may be reported, 1 when one does not, 2 when there is nothing to check. What the logs hold is told in
`cloud.rawlog`, what the figures mean in `cloud.measure`.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

KEYS = (
    "nat_move_gap_ms",
    "nat_move_lost",
    "routed_move_gap_ms",
    "routed_move_lost",
    "reattach_gap_ms",
    "api_to_packet_ms_p50",
    "api_to_packet_ms_p99",
    "isolated_packets",
    "isolated_control_packets",
)
TOLERANCE_MS = 0.002  # figures are written with three decimals
SECOND = 10**9

Figure = tuple[float, int]
Parts = tuple[tuple[tuple[str, ...], Callable[[], dict[str, Figure]]], ...]
"""Keys of figures, and what counts them."""


class Unsound(Exception):
    """A log cannot be counted, or says that a figure may not be reported."""


def load(path: Path, kind: str) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Header and records of a raw log. Raises Unsound unless it is whole."""
    header, rows = lines_of(path, kind)
    return header, [tuple(row.split()) for row in rows]


def lines_of(path: Path, kind: str) -> tuple[dict[str, Any], list[str]]:
    """The same with records as they stand there, for a log that is long."""
    try:
        head, *rows = path.read_text("ascii").splitlines()
        header: dict[str, Any] = json.loads(head)
        word, number = rows.pop().split()
        whole = header["log"] == kind and header["version"] == 1 and word == "end" and int(number) == len(rows)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise Unsound(f"{path.name} is no raw log: {error or type(error).__name__}") from error
    if not whole:
        raise Unsound(f"{path.name} is cut short, altered, or not a {kind} log")
    return header, rows


# --- moves -----------------------------------------------------------------------------------------------------------


def sends_and_answers(path: Path) -> dict[int, tuple[dict[int, int], list[tuple[int, int, str]]]]:
    """By target: send time of each sequence number, and the answers (sequence number, time, responder)."""
    header, rows = lines_of(path, "probe")
    targets: dict[int, tuple[dict[int, int], list[tuple[int, int, str]]]] = {
        number: ({}, []) for number in range(len(header["targets"]))
    }
    for row in rows:
        match row.split():
            case ["s", target, sequence, at]:
                sends = targets[int(target)][0]
                if int(sequence) in sends:
                    raise Unsound(f"{path.name}: probe {sequence} was sent twice")
                sends[int(sequence)] = int(at)
            case ["r", target, sequence, at, responder]:
                targets[int(target)][1].append((int(sequence), int(at), responder))
            case ["w", _, _, _, _]:
                continue  # not whom it was sent to
            case _:
                raise Unsound(f"{path.name}: cannot read {row!r}")
    for sends, answers in targets.values():
        if sorted(sends) != list(range(len(sends))):
            raise Unsound(f"{path.name}: sequence numbers are missing")
        if not {sequence for sequence, _, _ in answers} <= sends.keys():
            raise Unsound(f"{path.name}: an answer to a probe that was never sent")
    return targets


def longest_gap_ms(sends: dict[int, int], answered: set[int]) -> float:
    """From the first lost probe of a run to the next answered one, or to the last probe of all."""
    last = max(sends, default=-1)
    longest = 0
    for lost, run in itertools.groupby(sorted(sends), lambda sequence: sequence not in answered):
        if lost:
            numbers = list(run)
            longest = max(longest, sends[min(numbers[-1] + 1, last)] - sends[numbers[0]])
    return longest / 1e6


def event_rows(path: Path) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(int(row[1]), row[2], row[3:]) for row in load(path, "events")[1]]


def check_pace(name: str, sends: dict[int, int], start: int, end: int) -> None:
    """Raises Unsound unless at least 990 probes a second were sent from `start` to `end` without a stall of 5 ms."""
    times = sorted(at for at in sends.values() if start <= at <= end)
    if len(times) < 2:
        raise Unsound(f"{name}: nothing was sent during the change")
    stall = max(b - a for a, b in itertools.pairwise(times))
    rate = (len(times) - 1) * SECOND / (times[-1] - times[0])
    if stall >= 5_000_000 or rate < 990:
        raise Unsound(f"{name}: the sender made {rate:.0f}/s with a stall of {stall / 1e6:.1f} ms")


def to_guest(path: Path) -> int:
    """Packets sent over the busiest leg in one hypervisor's log."""
    rows = load(path, "legs")[1]
    links: dict[str, list[int]] = {}
    for _, link, _, sent, at in rows:
        links.setdefault(link, [] if at == rows[0][4] else [0]).append(int(sent))
    return max(
        (sum(b - a if b >= a else b for a, b in itertools.pairwise(counts)) for counts in links.values()), default=0
    )


def check_move(logs: Path, name: str) -> dict[str, Figure]:
    targets = sends_and_answers(logs / f"{name}.probe")
    happened = event_rows(logs / f"{name}.events")
    start = min((at for at, what, _ in happened if what == "requested"), default=None)
    end = max((at for at, what, _ in happened if what == "realised"), default=None)
    if start is None or end is None:
        raise Unsound(f"{name}: the move was not requested, or never realised")
    lost = probes = 0
    gap = 0.0
    for sends, answers in targets.values():
        check_pace(name, sends, start - SECOND, end + SECOND)
        answered = {sequence for sequence, _, _ in answers}
        probes += len(sends)
        lost += len(sends.keys() - answered)
        gap = max(gap, longest_gap_ms(sends, answered))
    if probes < 5000:
        raise Unsound(f"{name}: only {probes} probes were sent")
    counted = {path.name: to_guest(path) for path in sorted(logs.glob(f"{name}.*.legs"))}
    if sum(packets >= 1000 for packets in counted.values()) < 2:
        raise Unsound(f"{name}: fewer than two legs carried 1,000 packets: {counted}")
    if (logs / f"{name}.tcp").exists():
        check_connection(logs / f"{name}.tcp")
    return {f"{name}_gap_ms": (gap, probes), f"{name}_lost": (lost, probes)}


def check_connection(path: Path) -> None:
    if broken_connections(path)[0]:
        raise Unsound(f"{path.name}: the connection did not survive")


def broken_connections(path: Path) -> Figure:
    """How many did not survive, of how many."""
    header, rows = load(path, "tcp")
    lines = Counter(row[:2] for row in rows)
    numbers = [str(number) for number in range(len(header["targets"]))]
    broken = [n for n in numbers if lines["x", n] or not lines["s", n] or lines["s", n] != lines["r", n]]
    return len(broken), len(numbers)


# --- re-attachments --------------------------------------------------------------------------------------------------


def check_reattach(logs: Path) -> dict[str, Figure]:
    sends, answers = sends_and_answers(logs / "reattach.probe")[0]
    requests = [(at, detail) for at, what, detail in event_rows(logs / "reattach.events") if what == "requested"]
    answered = {sequence for sequence, _, _ in answers}
    times: list[float] = []
    gaps: list[float] = []
    probes = 0
    for index, (asked, detail) in enumerate(requests):
        until = requests[index + 1][0] if index + 1 < len(requests) else max(sends.values()) + 1
        new = sorted(at for _, at, responder in answers if responder == detail[1] and asked <= at < until)
        if not new:
            raise Unsound(f"re-attachment {detail[0]}: {detail[1]} never answered")
        try:
            check_pace("reattach", sends, asked, max(new[0], asked + SECOND // 10))
        except Unsound:
            continue  # not measured: another repetition stands for it
        here = {sequence: at for sequence, at in sends.items() if asked <= at < until}
        probes += len(here)
        gaps.append(longest_gap_ms(here, answered))
        times.append((new[0] - asked) / 1e6)
    if len(times) < 20:
        raise Unsound(f"only {len(times)} re-attachments can be believed")
    times.sort()
    half, most = -(-len(times) * 50 // 100), -(-len(times) * 99 // 100)
    return {
        "reattach_gap_ms": (max(gaps), probes),
        "api_to_packet_ms_p50": (times[half - 1], len(times)),
        "api_to_packet_ms_p99": (times[most - 1], len(times)),
    }


# --- isolation -------------------------------------------------------------------------------------------------------


def check_flows(logs: Path, name: str) -> Figure:
    """Packets that arrived where they may not, and how many were sent: every flow must have been."""
    goes: dict[str, tuple[str, str]] = {}
    sent: set[tuple[str, str]] = set()
    for path in sorted(logs.glob(f"{name}.*.sent")):
        header, rows = load(path, "sent")
        goes.update((str(flow["number"]), (flow["origin"], flow["towards"])) for flow in header["flows"])
        sent.update((flow, sequence) for _, flow, sequence, _ in rows)
    sinks = {header["place"]: rows for header, rows in (load(path, "seen") for path in logs.glob(f"{name}.*.seen"))}
    if not sent or not sinks or {flow for flow, _ in sent} != goes.keys():
        raise Unsound(f"{name}: some flow was not sent, or nobody watched")
    reached = set()
    for flow, (origin, towards) in goes.items():
        places = sinks.keys() - {origin} if towards == "anywhere" else sinks.keys() & {towards}
        reached |= {(flow, row[2]) for place in places for row in sinks[place] if row[1] == flow}
    return len(reached), len(sent)


# --- the whole -------------------------------------------------------------------------------------------------------


def recomputed(logs: Path) -> Iterator[tuple[str, Figure | str]]:
    """Each key with its figure, or with the reason why the logs do not yield one."""
    parts: Parts = (
        (KEYS[0:2], lambda: check_move(logs, "nat_move")),
        (KEYS[2:4], lambda: check_move(logs, "routed_move")),
        (KEYS[4:7], lambda: check_reattach(logs)),
        (KEYS[7:8], lambda: {KEYS[7]: check_flows(logs, "isolated")}),
        (KEYS[8:9], lambda: {KEYS[8]: check_flows(logs, "isolated_control")}),
    )
    yield from counted(parts)


def counted(parts: Parts) -> Iterator[tuple[str, Figure | str]]:
    """What each part's logs yield, or for all of its keys why they do not."""
    for keys, figures in parts:
        try:
            yield from figures().items()
        except (Unsound, ValueError, IndexError, KeyError, TypeError) as error:
            yield from ((key, f"cannot be counted: {error}") for key in keys)


Recompute = Callable[[Path], Iterator[tuple[str, Figure | str]]]


def differences(report: Path, keys: Sequence[str] = KEYS, recompute: Recompute = recomputed) -> list[str]:
    """One line for each figure of `report` that its raw logs do not bear out. Raises Unsound without a report."""
    try:
        claimed = json.loads(report.read_text())
    except (OSError, ValueError) as error:
        raise Unsound(f"{report} cannot be read: {error}") from error
    if not isinstance(claimed, dict):
        raise Unsound(f"{report} holds no figures")
    found = [f"{key}: an unknown figure" for key in claimed if key not in keys]
    for key, figure in recompute(report.with_suffix("")):
        entry = claimed.get(key)
        if isinstance(figure, str):
            found.append(f"{key}: {figure}")
        elif not isinstance(entry, dict) or not {"value", "n"} <= entry.keys():
            found.append(f"{key}: not reported; the logs say {figure[0]:g} of {figure[1]}")
        elif not isinstance(entry["value"], int | float) or abs(entry["value"] - figure[0]) > TOLERANCE_MS:
            found.append(f"{key}: reported {entry['value']}, the logs say {figure[0]:g}")
        elif entry["n"] != figure[1]:
            found.append(f"{key}: reported n = {entry['n']}, the logs say {figure[1]}")
    return found


def main(arguments: list[str], keys: Sequence[str] = KEYS, recompute: Recompute = recomputed) -> int:
    if len(arguments) != 1:
        print("usage: python -m cloud.checker build/demo.json", file=sys.stderr)
        return 2
    try:
        found = differences(Path(arguments[0]), keys, recompute)
    except Unsound as error:
        print(error, file=sys.stderr)
        return 2
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(keys)} figures follow from the raw logs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
