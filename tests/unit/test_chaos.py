"""What is counted of chaos follows from raw logs, counted twice; and a promise that was broken is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloud import checker, rawlog
from cloud.failures import chaos, chaos_checker
from tests.unit.demo_logs import START_NS, probe_records, write_probe

COUNT = 500
HELD = (
    *("killed worker", "killed redis", "killed worker", "returned worker", "returned redis"),
    *("asked p-1 instance.move", "asked i-2 flexible_ip.attach", "ended p-1 succeeded", "ended i-2 failed"),
    *("traced 198.18.0.1 -", "announced 198.18.0.1 1", "answered 198.18.0.1"),
    *("traced 198.18.0.2 -", "announced 198.18.0.2 0"),
)
BROKEN = {
    "chaos_processes_back": ("killed beat",),
    "chaos_operations_ended": ("asked p-3 node.drain", "unended p-3 node.behind"),
    "chaos_addresses_answering": ("silent 198.18.0.3",),
    "chaos_trace_drifts": ("traced 198.18.0.3 route.missing,nat.stale",),
    "chaos_second_announcers": ("announced 198.18.0.3 2",),
}


def write(logs: Path, events: tuple[str, ...], lost: range = range(0)) -> None:
    logs.mkdir(exist_ok=True)
    rawlog.write(logs / "chaos.events", "events", {}, [f"e {START_NS} {event}" for event in events])
    write_probe(logs / "chaos.probe", probe_records(COUNT, lost, 0), probe_records(COUNT, range(0), 1))


def checked(logs: Path) -> list[str]:
    """What the checker says to the figures."""
    report = logs.with_suffix(".json")
    table = chaos.figures(logs)
    report.write_text(json.dumps({key: {"value": value, "n": n} for key, (value, n) in table.items()}))
    return checker.differences(report, (*chaos_checker.KEYS, chaos_checker.LOST), chaos_checker.recomputed)


def test_chaos_that_came_to_rest_falls_short_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "chaos", HELD)
    table = chaos.figures(tmp_path / "chaos")
    assert table == {
        "chaos_kills": (3, 2),
        "chaos_processes_back": (2, 2),
        "chaos_operations_ended": (2, 2),
        "chaos_addresses_answering": (1, 1),
        "chaos_trace_drifts": (0, 2),
        "chaos_second_announcers": (0, 2),
        "chaos_untouched_lost_packets": (0, 2 * COUNT),
    }
    assert chaos.shortfalls(table) == []
    assert checked(tmp_path / "chaos") == []


@pytest.mark.parametrize("key", BROKEN)
def test_a_promise_that_was_broken_is_told(tmp_path: Path, key: str) -> None:
    write(tmp_path / "chaos", HELD + BROKEN[key])
    (shortfall,) = chaos.shortfalls(chaos.figures(tmp_path / "chaos"))
    assert shortfall.startswith(key)
    assert checked(tmp_path / "chaos") == []


def test_a_probe_that_nobody_answered_is_told(tmp_path: Path) -> None:
    write(tmp_path / "chaos", HELD, range(100, 103))
    table = chaos.figures(tmp_path / "chaos")
    assert table["chaos_untouched_lost_packets"] == (3, 2 * COUNT)
    assert chaos.shortfalls(table) == ["chaos_untouched_lost_packets is 3, not 0"]
    assert checked(tmp_path / "chaos") == []


def test_chaos_in_which_nothing_happened_shows_nothing(tmp_path: Path) -> None:
    write(tmp_path / "chaos", ("traced 198.18.0.1 -",))
    assert "chaos_operations_ended is of none" in chaos.shortfalls(chaos.figures(tmp_path / "chaos"))
