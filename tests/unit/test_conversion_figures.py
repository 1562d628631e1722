"""What is counted of a zone's conversion follows from its raw logs, counted twice; and nothing false is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud import checker, rawlog
from cloud.conversion import checker as conversion_checker, figures
from cloud.conversion.checker import KEYS
from tests.unit import conversion_logs
from tests.unit.conversion_logs import FIGURES, at
from tests.unit.demo_logs import TO_ONE


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    conversion_logs.write(tmp_path / "convert")
    return tmp_path / "convert"


@pytest.fixture
def report(logs: Path) -> Path:
    path = logs.with_suffix(".json")
    path.write_text(json.dumps(FIGURES))
    return path


def found(report: Path) -> list[str]:
    """The keys that the checker does not believe."""
    lines = checker.differences(report, KEYS, conversion_checker.recomputed)
    return sorted(line.partition(":")[0] for line in lines)


def test_both_counts_say_the_same(logs: Path, report: Path) -> None:
    table = figures.figures(logs)
    assert {key: {"value": value, "n": n} for key, (value, n) in table.items()} == FIGURES
    assert found(report) == []
    assert figures.shortfalls(table) == []
    assert all(figures.row(key, table[key]) for key in table)


def test_it_runs_as_a_program_of_its_own(report: Path) -> None:
    code = (
        "import sys; from cloud import checker; from cloud.conversion import checker as c;"
        "sys.exit(checker.main(sys.argv[1:], c.KEYS, c.recomputed) or 'cloud.measure' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(report)], check=False).returncode == 0


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("field", ["value", "n"])
def test_a_figure_that_is_better_than_its_logs_is_found(report: Path, key: str, field: str) -> None:
    claimed = json.loads(report.read_text())
    claimed[key][field] -= 1
    report.write_text(json.dumps(claimed))
    assert found(report) == [key]


def lost_on_the_way(logs: Path) -> None:
    conversion_logs.probes(logs / "switches.probe", list(conversion_logs.GUESTS.values()), lost=[1500, 1501])


def lost_on_the_way_back(logs: Path) -> None:
    conversion_logs.probes(logs / "switches.probe", list(conversion_logs.GUESTS.values()), lost=[3500])


def lost_in_the_other_zone(logs: Path) -> None:
    conversion_logs.probes(logs / "other.probe", ["198.18.64.1"], lost=[7])


def reset(logs: Path) -> None:
    rawlog.write(logs / "streams.tcp", "tcp", TO_ONE, ["s 0 0 1", "r 0 0 3", "x 0 5 ConnectionResetError"])


def answered_by_a_neighbour(logs: Path) -> None:
    conversion_logs.probes(logs / "switches.probe", list(conversion_logs.GUESTS.values()), astray=[1500])


def dropped_at_a_wrong_link(logs: Path) -> None:
    rawlog.write(logs / "after.strays", "strays", {}, [f"c hypervisor-1 8 {at(9)}"])


def by_a_gateway_still(logs: Path) -> None:
    conversion_logs.paths(logs / "switched.paths", {"web-1": (1, 20), "web-2": (0, 20)})


def another_route(logs: Path) -> None:
    conversion_logs.dump(logs / "after.dump", ["edge route {}"])


def another_holder(logs: Path) -> None:
    rawlog.write(logs / "after.answerers", "answerers", {}, ["a 198.18.0.1 web-1", "a 198.18.0.2 web-1"])


@pytest.mark.parametrize(
    ("harm", "keys"),
    [
        (lost_on_the_way, ["fabric_lost_packets"]),
        (lost_on_the_way_back, ["rollback_lost_packets"]),
        (lost_in_the_other_zone, ["other_zone_lost_packets"]),
        (reset, ["tcp_resets"]),
        (answered_by_a_neighbour, ["fabric_lost_packets", "wrong_tenant_packets"]),
        (dropped_at_a_wrong_link, ["wrong_tenant_packets"]),
        (by_a_gateway_still, ["ports_still_by_gateway"]),
        (another_route, ["rollback_differences"]),
        (another_holder, ["addresses_changed"]),
    ],
)
def test_a_fault_is_counted_and_falls_short(
    logs: Path, report: Path, harm: Callable[[Path], None], keys: list[str]
) -> None:
    harm(logs)
    table = figures.figures(logs)
    assert [key for key in FIGURES if table[key][0] != FIGURES[key]["value"]] == keys
    assert found(report) == keys
    assert [line.split()[0] for line in figures.shortfalls(table)] == sorted(keys, key=figures.MUST_BE_ZERO.index)


def seldom_probed(logs: Path) -> None:
    conversion_logs.timelines(logs / "forward.timelines", {"web-1": ("there", conversion_logs.STEPS, -1000)})


def aborted_twice(logs: Path) -> None:
    rawlog.write(logs / "convert.events", "events", {}, ["e 1 aborted", "e 2 aborted"])


def never_by_a_gateway(logs: Path) -> None:
    conversion_logs.paths(logs / "before.paths", {"web-1": (0, 0), "web-2": (20, 0)})


def sampled_once(logs: Path) -> None:
    rawlog.write(logs / "switched.paths", "paths", {}, ["p web-1 1 1 1", "p web-2 1 1 1"])


def cut_short(logs: Path) -> None:
    path = logs / "switches.probe"
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("harm", "key"),
    [
        (seldom_probed, "fabric_lost_packets"),
        (aborted_twice, "rollback_lost_packets"),
        (never_by_a_gateway, "ports_still_by_gateway"),
        (sampled_once, "ports_still_by_gateway"),
        (cut_short, "fabric_lost_packets"),
    ],
)
def test_what_may_not_be_reported_is_refused(logs: Path, report: Path, harm: Callable[[Path], None], key: str) -> None:
    harm(logs)
    with pytest.raises(rawlog.Damaged):
        figures.figures(logs)
    assert key in found(report)


@pytest.mark.parametrize("name", ["wrong_entry.probe", "reversed_order.probe"])
def test_a_control_that_sees_nothing_falls_short(logs: Path, name: str) -> None:
    conversion_logs.probes(logs / name, ["198.18.0.1"])
    assert len(figures.shortfalls(figures.figures(logs))) == 1
