"""`python -m bench.convert`: a zone's conversion at scale, by the real controller.

The control processes are those of a local cloud, each a process, on PostgreSQL and Redis as the cloud runs them; agents
are real but for their kernels, which are in memory. Guests are made as rows; the conversion is planned, started and
watched through the API. Beside it the production steps are simulated on ten times as many ports and nodes.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench import guests, plane, results, simulated
from bench.results import Figure
from cloud import bootstrap
from cloud.control import Supervision
from cloud.state import State
from common.http import ServiceClient
from services.placement.conversion.phases import Phase

IN_FLIGHT = 1000
WAVES = ["10%", "100%"]  # after the canary's; each ends in a verdict, which takes as long for one port as for many
PATIENCE_S = 3600.0
WORKER = "migration-worker"
MIB = 1 << 20


@dataclass
class Watched:
    """Of the worker, from its first port to its last: its memory, in bytes, with the ports that were done by then."""

    memory: list[tuple[int, int]] = field(default_factory=list)

    def grown_mib(self, ports: int) -> float:
        """From when a third of the ports was done to the end: what a leak would show."""
        warm = next((held for done, held in self.memory if done >= ports / 3), self.memory[-1][1])
        return (self.memory[-1][1] - warm) / MIB


def measure(name: str, hypervisors: int, ports: int, **plan: Any) -> dict[str, Figure]:
    """Convert `ports` NAT ports of a new zone, as planned. Raises RuntimeError if one of them is not verified."""
    with plane.running(name, hypervisors) as current:
        api = ServiceClient(current.apis["placement"], lambda: plane.operator(current), timeout_s=600)
        _supply(current)
        guests.make(current, current.plan.zones[0].name, ports)
        bootstrap.wait_until_up(current.apis, plane.operator(current), str(current.plan.paths.log))
        before = processor_seconds(current)
        conversion, watched = _convert(current, api, ports, plan)
        spent = {key: value - before[key] for key, value in processor_seconds(current).items()}
        api.close()
    verified = sum(conversion["ports"].get(state, 0) for state in ("verified", "adopted"))
    if conversion["phase"] != "done" or verified != ports:
        raise RuntimeError(f"{verified} of {ports} ports verified; {conversion['phase']}: {conversion['paused']}")
    return {
        "control_plane_ports_per_s": Figure(conversion["ports_per_s"], ports),
        "control_plane_attempts": Figure(conversion["attempts"], ports),
        "control_plane_probes_lost": Figure(conversion["probes_lost"], conversion["probes_sent"]),
        "control_plane_worker_mib": Figure(watched.memory[-1][1] / MIB, ports),
        "control_plane_worker_mib_grown": Figure(watched.grown_mib(ports), ports),
        **{f"control_plane_{key}_ms_per_port": Figure(1000 * spent[key] / ports, ports) for key in spent},
    }


def _supply(current: State) -> None:
    """As many public addresses as there may be guests."""
    ipam = ServiceClient(current.apis["ipam"], lambda: plane.operator(current))
    pools = ipam.request("GET", "/ipam/v1/pools").json()["items"]
    pool = next(one for one in pools if one["family"] == "ipv4")
    ipam.request("POST", f"/ipam/v1/pools/{pool['id']}/prefixes", json={"cidr": guests.SUPPLY})
    ipam.close()


def _convert(current: State, api: ServiceClient, ports: int, plan: Mapping[str, Any]) -> tuple[Any, Watched]:
    zone = current.plan.zones[0].name
    body = {"zone": zone, "in_flight": IN_FLIGHT, "failure_budget": 0, "waves": WAVES, **plan}
    planned = api.request("POST", "/placement/v1/conversions", json=body).json()
    path = f"/placement/v1/conversions/{planned['id']}"
    api.request("POST", f"{path}:start")
    watched, ends = Watched(), time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        seen = api.request("GET", path).json()
        done = seen["ports"].get("verified", 0)
        if done < ports or not watched.memory:
            watched.memory.append((done, _memory(_pids(current)[WORKER])))
        if seen["paused"] or seen["phase"] in {"done", "aborted"}:
            return seen, watched
        time.sleep(1)
    return seen, watched


def _pids(current: State) -> dict[str, int]:
    listed = Supervision(current.plan.paths).processes()
    return {process.name: process.pid for process in listed if process.pid is not None}


def _memory(pid: int) -> int:
    """Resident, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(current: State) -> dict[str, float]:
    """Spent so far by each part of the control plane, its children's included; and by all agents together."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        spent[pid] = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")  # ended children's too

    def whole(pid: int) -> float:
        return spent.get(pid, 0.0) + sum(whole(child) for child in children.get(pid, ()))

    return {process.replace("-", "_"): whole(pid) for process, pid in _pids(current).items()}


def simulate(ports: int, hypervisors: int) -> dict[str, Figure]:
    """A good tenth there and back, then all. Raises Lost, and RuntimeError if a kind of pause was never reached."""
    began = time.process_time()
    zone = simulated.zone(ports, hypervisors, Random(8))  # noqa: S311  a story that can be told again
    simulated.convert(zone, until=0.11)
    rollbacks, differences = zone.rollbacks, zone.differences
    simulated.convert(zone)
    took = time.process_time() - began
    missing = {f"conversion.{code}" for code in simulated.ALARMS} - zone.paused_by.keys()
    if zone.phase is not Phase.DONE or missing:
        raise RuntimeError(f"{zone.phase}, never paused by {missing}")
    return {
        "ports_per_s_sim": Figure((zone.converted + zone.rollbacks) / took, zone.converted + zone.rollbacks),
        "rollbacks_sim": Figure(rollbacks, rollbacks),
        "rollback_differences_sim": Figure(differences, rollbacks),
        "pauses_sim": Figure(zone.paused_by.total(), len(zone.paused_by)),
        "mib_at_100k": Figure(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, ports),
    }


def report(figures: Mapping[str, Figure]) -> None:
    results.keep("convert", figures)
    results.show("A zone's conversion at scale (docs/bench/convert.json)", figures)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ports", type=int, default=10_000, help="of the real controller; 0: simulate only")
    options.add_argument("--hypervisors", type=int, default=40)
    options.add_argument("--name", default="bench", help="of the cloud that is made for it, and removed")
    options.add_argument("--simulated", type=int, default=100_000, help="ports; 0: none")
    given = options.parse_args()
    if given.simulated:
        report(simulate(given.simulated, hypervisors=max(1, given.simulated // 100)))
    if given.ports:
        report(measure(given.name, given.hypervisors, given.ports))


if __name__ == "__main__":
    main()
