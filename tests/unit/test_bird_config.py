"""The routing daemons' configuration: BIRD itself accepts it, and the lines that were once missed are there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cloud import bird
from cloud.plan import MAX_GATEWAYS, MAX_HYPERVISORS, Node, Plan

PLAN = Plan("one", hypervisor_count=3, gateway_count=2)
TWO = Plan("two", 3, 2, ((1, 1),))


@pytest.mark.skipif(shutil.which("bird") is None, reason="bird is not installed")
@pytest.mark.parametrize("name", ["edge", "gateway-1", "gateway-2", "hypervisor-1", "hypervisor-3"])
@pytest.mark.parametrize("plan", [PLAN, Plan("big", MAX_HYPERVISORS, MAX_GATEWAYS)], ids=lambda plan: plan.name)
def test_bird_accepts_it(tmp_path: Path, plan: Plan, name: str) -> None:
    file = tmp_path / "bird.conf"
    file.write_text(bird.configuration(plan, plan.node(name)))
    checked = subprocess.run(["bird", "-p", "-c", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("node", PLAN.nodes, ids=lambda node: node.name)
def test_every_daemon_survives_its_own_restart(node: object) -> None:
    text = bird.configuration(PLAN, PLAN.node(getattr(node, "name", "")))
    kernels = text.split("protocol kernel")[1:]
    assert kernels
    assert all("graceful restart on;" in block.split("\n}")[0] for block in kernels)
    assert "direct;" in text
    assert "ttl security on;" in text


def test_a_newer_sequence_is_announced_and_wins() -> None:
    text = bird.configuration(PLAN, PLAN.node("hypervisor-1"))
    assert text.count("preference 200;") == 2
    assert text.count("bgp_local_pref = krt_metric;") == 2


def test_a_hypervisor_may_announce_only_its_own_prefixes() -> None:
    text = bird.configuration(PLAN, PLAN.edge)
    session = text.split("protocol bgp hypervisor_2 ")[1].split("\n}")[0]
    assert "10.2.0.0/20" in session
    assert "10.1.0.0/20" not in session
    assert "2001:db8:2::/48" in session


@pytest.mark.skipif(shutil.which("bird") is None, reason="bird is not installed")
@pytest.mark.parametrize("node", TWO.zones[1].nodes, ids=lambda node: node.name)
def test_bird_accepts_a_second_zones(tmp_path: Path, node: Node) -> None:
    file = tmp_path / "bird.conf"
    file.write_text(bird.configuration(TWO, node))
    checked = subprocess.run(["bird", "-p", "-c", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_zones_edge_takes_its_own_zones_addresses_alone() -> None:
    for zone, other in (TWO.zones, TWO.zones[::-1]):
        text = bird.configuration(TWO, zone.edge)
        assert f"{zone.public4}{{32,32}}" in text
        assert f"{zone.public6}{{56,128}}" in text
        assert not [
            space for space in (other.public4, other.public6, "198.18.0.0/15", "2001:db8::/32") if f"{space}{{" in text
        ]
        assert text.count("protocol bgp ") == sum(len(node.links) for node in zone.nodes)
