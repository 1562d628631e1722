"""The checker believes what the raw logs bear out, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud import checker, rawlog
from tests.unit import demo_logs

FIGURES = {
    "nat_move_gap_ms": {"value": 20.0, "n": 6000},
    "nat_move_lost": {"value": 20, "n": 6000},
    "routed_move_gap_ms": {"value": 0.0, "n": 12000},
    "routed_move_lost": {"value": 0, "n": 12000},
    "reattach_gap_ms": {"value": 10.0, "n": 8499},
    "api_to_packet_ms_p50": {"value": 10.7, "n": 20},
    "api_to_packet_ms_p99": {"value": 10.7, "n": 20},
    "isolated_packets": {"value": 0, "n": 100},
    "isolated_control_packets": {"value": 42, "n": 100},
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    demo_logs.write_demo(tmp_path / "demo")
    path = tmp_path / "demo.json"
    path.write_text(json.dumps(FIGURES))
    return path


def test_a_true_report_passes(report: Path) -> None:
    assert checker.differences(report) == []
    assert checker.main([str(report)]) == 0


def test_it_runs_as_a_program_of_its_own(report: Path) -> None:
    code = "import sys, cloud.checker as c; r = c.main(sys.argv[1:]); sys.exit(r or 'cloud.measure' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(report)], check=False).returncode == 0


@pytest.mark.parametrize("key", checker.KEYS)
@pytest.mark.parametrize("field", ["value", "n"])
def test_a_figure_that_is_better_than_its_logs_is_found(report: Path, key: str, field: str) -> None:
    claimed = json.loads(report.read_text())
    claimed[key][field] -= 1
    report.write_text(json.dumps(claimed))
    assert [line.partition(":")[0] for line in checker.differences(report)] == [key]
    assert checker.main([str(report)]) == 1


def test_a_missing_and_an_unknown_figure_are_found(report: Path) -> None:
    claimed = json.loads(report.read_text())
    claimed["uptime"] = claimed.pop("nat_move_lost")
    report.write_text(json.dumps(claimed))
    assert {line.partition(":")[0] for line in checker.differences(report)} == {"uptime", "nat_move_lost"}


def stalled_sender(logs: Path) -> None:
    late = dict.fromkeys(range(1995, 2001), 6)
    demo_logs.write_probe(logs / "routed_move.probe", demo_logs.probe_records(6000, late=late))


def one_leg(logs: Path) -> None:
    demo_logs.write_legs(logs, "routed_move", {"hypervisor-2": 999})


def broken_connection(logs: Path) -> None:
    rawlog.write(logs / "routed_move.tcp", "tcp", demo_logs.TO_ONE, ["s 0 0 1", "r 0 0 2", "x 0 5 closed"])


def never_realised(logs: Path) -> None:
    demo_logs.write_events(logs / "routed_move.events", (1990, "requested"))


def few_probes(logs: Path) -> None:
    demo_logs.write_probe(logs / "routed_move.probe", demo_logs.probe_records(4000))


def cut_short(logs: Path) -> None:
    path = logs / "routed_move.probe"
    path.write_bytes(path.read_bytes()[:-200])


def gone(logs: Path) -> None:
    (logs / "routed_move.probe").unlink()


@pytest.mark.parametrize(
    "harm", [stalled_sender, one_leg, broken_connection, never_realised, few_probes, cut_short, gone]
)
def test_a_move_that_may_not_be_reported_is_refused(report: Path, harm: Callable[[Path], None]) -> None:
    harm(report.with_suffix(""))
    found = {line.partition(":")[0] for line in checker.differences(report)}
    assert found == {"routed_move_gap_ms", "routed_move_lost"}


def test_a_repetition_with_a_stalled_sender_does_not_count(report: Path) -> None:
    demo_logs.write_reattach(report.with_suffix(""), late=dict.fromkeys(range(930, 936), 6))
    assert any("only 19 re-attachments" in line for line in checker.differences(report))


@pytest.mark.parametrize("ending", [".sent", ".seen"])
def test_isolation_without_sender_or_watcher_says_nothing(report: Path, ending: str) -> None:
    for path in report.with_suffix("").glob(f"isolated.*{ending}"):
        path.unlink()
    assert any(line.startswith("isolated_packets: cannot be counted") for line in checker.differences(report))


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "demo.json"
    path.write_text(text)
    assert checker.main([str(path)]) == 2


def test_no_report_at_all_is_refused(tmp_path: Path) -> None:
    assert checker.main([str(tmp_path / "demo.json")]) == 2
    assert checker.main([]) == 2
