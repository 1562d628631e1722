"""How probes are paced."""

from __future__ import annotations

from services.netagent.probes import LAG_S, Pace


def passed(pace: Pace, begin: float, end: float, step: float) -> int:
    """How many pass whom the clock lets ask every `step` seconds."""
    found, now = 0, begin
    while now < end:
        while not pace.wait_s(now):
            found += 1
        now += step
    return found


def test_no_second_sees_more_than_its_share() -> None:
    pace = Pace(2000)
    lag = round(LAG_S * 2000)

    assert 1990 <= passed(pace, 10.0, 11.0, 0.001) <= 2000 + lag
    assert 1990 <= passed(pace, 100.0, 101.0, 0.003) <= 2000 + lag  # a pause is not made up for


def test_who_comes_too_early_is_told_how_long_to_wait() -> None:
    pace = Pace(100)
    while not pace.wait_s(5.0):
        pass
    assert 0 < pace.wait_s(5.0) <= 0.01
    assert pace.wait_s(5.0 + pace.wait_s(5.0)) == 0.0
