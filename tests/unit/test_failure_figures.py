"""What is counted of machines that fail follows from raw logs, counted twice; and nothing false is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from cloud import checker, rawlog
from cloud.failures import checker as failures_checker, figures
from cloud.failures.checker import KEYS
from cloud.rawlog import Damaged
from tests.unit.demo_logs import MS, START_NS, probe_records, write_probe

COUNT = 4000  # probes to each address, a millisecond apart
FENCED = 1000  # by the number of the probe that was sent then
FIGURES: dict[str, dict[str, float]] = {
    "evacuate_last_address_ms": {"value": 1500.2, "n": 2},
    "evacuated_addresses": {"value": 2, "n": 2},
    "failover_process_gap_ms": {"value": 500, "n": COUNT},
    "failover_host_gap_ms": {"value": 700, "n": COUNT},
    "swap_gap_ms": {"value": 90, "n": 2 * COUNT},
    "drain_lost_packets": {"value": 0, "n": COUNT},
    "management_cut_lost_packets": {"value": 0, "n": COUNT},
    "returning_host_stolen_packets": {"value": 0, "n": COUNT},
    "returning_host_stolen_control_packets": {"value": 20, "n": COUNT},
    "trace_drifts_named": {"value": 2, "n": 2},
    "trace_false_alarms": {"value": 0, "n": 3},
}


def probes(path: Path, *lost: Collection[int]) -> None:
    write_probe(path, *(probe_records(COUNT, of, number) for number, of in enumerate(lost)))


def legs(path: Path, counts: Mapping[str, tuple[int, int]]) -> None:
    rows = [f"l {link} 0 {both[sample]} {START_NS + sample}" for sample in (0, 1) for link, both in counts.items()]
    rawlog.write(path, "legs", {}, rows)


def fence(logs: Path, *at: int) -> None:
    rawlog.write(logs / "evacuation.events", "events", {}, [f"e {START_NS + one * MS} fenced" for one in at])


def traces(logs: Path, *rows: str) -> None:
    rawlog.write(logs / "drifts.traces", "traces", {}, [f"t {row}" for row in rows])


WELL = ("198.18.0.1 - -", "198.18.0.2 - -", "198.18.0.3 - -")
DRIFTED = ("198.18.0.1/32 link.down link.down", "198.18.0.2/32 nat.stale nat.stale")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    logs = tmp_path / "failures"
    logs.mkdir()
    probes(logs / "evacuation.probe", range(900, 2000), range(900, 2500))
    fence(logs, FENCED)
    probes(logs / "process.probe", range(600, 1100))
    probes(logs / "host.probe", [*range(100, 200), *range(600, 1300)])
    probes(logs / "swap.probe", range(600, 650), range(600, 690))
    for name in ("drain", "management", "returning"):
        probes(logs / f"{name}.probe", ())
    legs(logs / "returning.legs", {"g1": (70, 70)})
    probes(logs / "overtaking.probe", range(100, 115))
    legs(logs / "overtaking.legs", {"g1": (70, 73), "g2": (10, 12)})
    traces(logs, *WELL, *DRIFTED)
    return logs


@pytest.fixture
def report(logs: Path) -> Path:
    path = logs.with_suffix(".json")
    path.write_text(json.dumps(FIGURES))
    return path


def found(report: Path) -> list[str]:
    """The keys that the checker does not believe."""
    lines = checker.differences(report, KEYS, failures_checker.recomputed)
    return sorted(line.partition(":")[0] for line in lines)


def test_both_counts_say_the_same(logs: Path, report: Path) -> None:
    table = figures.figures(logs)
    assert {key: {"value": value, "n": n} for key, (value, n) in table.items()} == FIGURES
    assert found(report) == []
    assert figures.shortfalls(table) == []
    assert all(figures.row(key, table[key]) for key in table)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("field", ["value", "n"])
def test_a_figure_that_is_better_than_its_logs_is_found(report: Path, key: str, field: str) -> None:
    claimed = json.loads(report.read_text())
    claimed[key][field] -= 1
    report.write_text(json.dumps(claimed))
    assert found(report) == [key]


@pytest.mark.parametrize(
    ("harm", "key"),
    [
        (lambda logs: probes(logs / "evacuation.probe", range(900, 2000), range(900, COUNT)), "evacuated_addresses"),
        (lambda logs: probes(logs / "drain.probe", [7]), "drain_lost_packets"),
        (lambda logs: probes(logs / "management.probe", [7]), "management_cut_lost_packets"),
        (lambda logs: legs(logs / "returning.legs", {"g1": (70, 71)}), "returning_host_stolen_packets"),
        (lambda logs: probes(logs / "returning.probe", [7]), "returning_host_stolen_packets"),
        (lambda logs: traces(logs, *WELL, DRIFTED[0], "198.18.0.2/32 nat.stale -"), "trace_drifts_named"),
        (lambda logs: traces(logs, *WELL[:2], "198.18.0.3 - link.down", *DRIFTED), "trace_false_alarms"),
    ],
)
def test_a_fault_is_counted_and_falls_short(logs: Path, report: Path, harm: Callable[[Path], None], key: str) -> None:
    harm(logs)
    table = figures.figures(logs)
    assert table[key][0] != FIGURES[key]["value"]
    assert key in found(report)
    assert [line.split()[0] for line in figures.shortfalls(table)] == [key]


def test_a_control_that_saw_nothing_falls_short(logs: Path) -> None:
    probes(logs / "overtaking.probe", ())
    legs(logs / "overtaking.legs", {"g1": (70, 70)})
    assert figures.shortfalls(figures.figures(logs)) == [
        "returning_host_stolen_control_packets is 0: then the zero beside it says nothing"
    ]


@pytest.mark.parametrize("times", [(), (900, FENCED)])
def test_an_evacuation_without_its_one_fence_is_not_counted(logs: Path, report: Path, times: tuple[int, ...]) -> None:
    fence(logs, *times)
    with pytest.raises(Damaged):
        figures.figures(logs)
    assert found(report) == ["evacuate_last_address_ms", "evacuated_addresses"]
