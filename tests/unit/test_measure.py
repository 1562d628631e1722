"""What the analysis says of logs whose truth is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud import measure, rawlog
from cloud.measure import Track
from tests.unit import demo_logs
from tests.unit.demo_logs import MS, START_NS


def track(tmp_path: Path, *args: object, **kwargs: object) -> Track:
    path = tmp_path / "x.probe"
    demo_logs.write_probe(path, demo_logs.probe_records(*args, **kwargs))  # type: ignore[arg-type]
    return measure.tracks(rawlog.read(path, "probe"))[0]


def test_nothing_lost_is_no_gap(tmp_path: Path) -> None:
    assert measure.loss(track(tmp_path, 100)) == measure.Loss(100, 0, 0.0, 0, 0)


def test_a_gap_is_the_longest_run_of_lost_probes(tmp_path: Path) -> None:
    found = measure.loss(track(tmp_path, 100, lost={3, 10, 11, 12, 50, 51}))
    assert (found.lost, found.gap_ms) == (6, 3.0)


def test_probes_lost_at_the_end_count(tmp_path: Path) -> None:
    assert measure.loss(track(tmp_path, 100, lost=range(90, 100))).gap_ms == 9.0


def test_nothing_answered_is_a_gap_of_the_whole_log(tmp_path: Path) -> None:
    found = measure.loss(track(tmp_path, 100, lost=range(100)))
    assert (found.lost, found.gap_ms) == (100, 99.0)


def test_a_late_sender_widens_the_gap_it_cannot_see_into(tmp_path: Path) -> None:
    assert measure.loss(track(tmp_path, 100, lost={10}, late={11: 0, 10: -5})).gap_ms == 6.0


def test_duplicates_and_reordering_are_told_apart() -> None:
    answers = [measure.Answer(number, 0, "-") for number in (0, 2, 1, 2, 3)]
    found = measure.loss(Track("a", [0, 1, 2, 3], answers))
    assert (found.lost, found.duplicates, found.reordered) == (0, 1, 1)


def test_the_total_of_several_addresses_has_the_longest_gap(tmp_path: Path) -> None:
    one = measure.loss(track(tmp_path, 100, lost={1, 2}))
    other = measure.loss(track(tmp_path, 50, lost={7}))
    assert measure.total([one, other]) == measure.Loss(150, 3, 2.0, 0, 0)


def test_a_stall_of_five_milliseconds_during_the_change_is_not_believed(tmp_path: Path) -> None:
    late = dict.fromkeys(range(500, 504), 4)
    probes = track(tmp_path, 1000, late=late)
    assert not measure.sending(probes, measure.Window(START_NS + 400 * MS, START_NS + 600 * MS)).believable
    assert measure.sending(probes, measure.Window(START_NS + 600 * MS, START_NS + 900 * MS)).believable


def test_a_slow_sender_is_not_believed() -> None:
    slow = Track("a", [number * 1_020_000 for number in range(1000)], [])
    pace = measure.sending(slow, measure.Window(0, 10**9))
    assert pace.rate_per_s == pytest.approx(980.4, abs=0.1)
    assert not pace.believable


def test_a_window_that_the_log_does_not_reach_is_not_believed(tmp_path: Path) -> None:
    assert not measure.sending(track(tmp_path, 10), measure.Window(0, 1)).believable


def test_a_move_without_enough_probes_or_legs_is_refused(tmp_path: Path) -> None:
    probes = track(tmp_path, 4999)
    span = measure.Window(START_NS, START_NS + 1000 * MS)
    assert len(measure.why_not([probes], span, {"hypervisor-1": 4000, "hypervisor-2": 999})) == 2
    assert measure.why_not([probes, probes], span, {"hypervisor-1": 4000, "hypervisor-2": 1000}) == []


def test_a_leg_that_is_made_anew_starts_from_zero(tmp_path: Path) -> None:
    rows = ["l g1 0 500 10", "l g1 0 700 20", "l g2 0 40 20", "l g1 0 30 30", "l g2 0 400 30"]
    path = tmp_path / "x.legs"
    rawlog.write(path, "legs", {}, rows)
    assert measure.on_leg(rawlog.read(path, "legs")) == 400


def test_each_reattachment_has_its_time_and_gap(tmp_path: Path) -> None:
    demo_logs.write_reattach(tmp_path)
    probes = measure.tracks(rawlog.read(tmp_path / "reattach.probe", "probe"))[0]
    found = measure.repetitions(probes, measure.events(rawlog.read(tmp_path / "reattach.events", "events")))
    assert len(found) == 20
    assert {(round(one.to_packet_ms, 1), one.gap_ms, one.believable) for one in found} == {(10.7, 10.0, True)}


def test_an_answer_of_the_old_holder_is_not_the_new_path(tmp_path: Path) -> None:
    probes = track(tmp_path, 100, holder_from={0: "old", 60: "new"})
    happened = [measure.Event(START_NS + 50 * MS, "requested", ("0", "new"))]
    assert measure.repetitions(probes, happened)[0].to_packet_ms == pytest.approx(10.2)


def test_a_new_holder_that_never_answers_is_no_figure(tmp_path: Path) -> None:
    happened = [measure.Event(START_NS, "requested", ("0", "new"))]
    with pytest.raises(rawlog.Damaged, match="new never answered"):
        measure.repetitions(track(tmp_path, 100), happened)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 10), (0.51, 11), (0.99, 20), (1.0, 20)])
def test_percentiles_are_nearest_ranks(share: float, value: int) -> None:
    assert measure.percentile(range(20, 0, -1), share) == value


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        measure.percentile([], 0.5)


@pytest.mark.parametrize(
    ("rows", "survived"),
    [
        (["s 0 0 1", "r 0 0 3"], True),
        (["s 0 0 1", "r 0 0 3", "s 0 1 5"], False),
        (["s 0 0 1", "r 0 0 3", "x 0 9 ConnectionResetError"], False),
        ([], False),
    ],
)
def test_a_connection_survives_if_every_line_came_back(tmp_path: Path, rows: list[str], survived: bool) -> None:
    rawlog.write(tmp_path / "x.tcp", "tcp", demo_logs.TO_ONE, rows)
    (connection,) = measure.connections(rawlog.read(tmp_path / "x.tcp", "tcp"))
    assert connection.survived is survived


def test_packets_count_once_and_not_at_their_sender(tmp_path: Path) -> None:
    demo_logs.write_flows(tmp_path, "isolated", 42)
    sent = [rawlog.read(path, "sent") for path in tmp_path.glob("*.sent")]
    seen = [rawlog.read(path, "seen") for path in tmp_path.glob("*.seen")]
    assert measure.arrived(sent, seen) == (42, 100)


@pytest.mark.parametrize("rows", [["s 0 1 5"], ["s 0 0 5", "r 0 1 9 -"], ["s 0 0 5", "r 0 0 9"], ["s 0 0 5 6"]])
def test_a_probe_log_that_contradicts_itself_is_damaged(tmp_path: Path, rows: list[str]) -> None:
    demo_logs.write_probe(tmp_path / "x.probe", rows)
    with pytest.raises(rawlog.Damaged):
        measure.tracks(rawlog.read(tmp_path / "x.probe", "probe"))


def test_a_log_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.probe"
    demo_logs.write_probe(path, demo_logs.probe_records(5))
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(rawlog.Damaged):
            rawlog.read(path, "probe")


def test_a_log_of_another_kind_is_refused(tmp_path: Path) -> None:
    rawlog.write(tmp_path / "x", "legs", {}, [])
    with pytest.raises(rawlog.Damaged, match="not a probe log"):
        rawlog.read(tmp_path / "x", "probe")
