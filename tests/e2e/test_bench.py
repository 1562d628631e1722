"""The benches run, and measure something."""

from __future__ import annotations

import os

import pytest

from bench import convert


@pytest.mark.timeout(600)
def test_the_real_controller_converts_a_zone_of_in_memory_nodes() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the distribution's PostgreSQL runs as a user of its own")
    figures = convert.measure(f"b{os.getpid() % 100000}", hypervisors=8, ports=500)
    assert figures["control_plane_ports_per_s"].value > 0
    assert figures["control_plane_attempts"].value == 500
    assert figures["control_plane_probes_lost"] == (0, 500 * 8)
