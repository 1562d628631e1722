"""The figures of machines that fail, counted from their raw logs, and what they must be.

Definitions, which `cloud.failures.checker` implements a second time (losses and gaps are those of `cloud.measure`):

- An address is *evacuated* when a probe sent after its node's fence was accepted is answered; its time is from that
  moment to the arrival of the first such answer.
- A packet is *stolen* by a host that returns if a probe meanwhile is lost, or the host sends one to a guest.
- A drift is *named* if a trace finds it, by its own code, and nothing else; a *false alarm* is an address without any
  of which a trace finds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cloud import measure, rawlog
from cloud.measure import Loss
from cloud.rawlog import Damaged
from cloud.tour.show import Figure

GAPS = {"failover_process_gap_ms": "process", "failover_host_gap_ms": "host", "swap_gap_ms": "swap"}
LOSSES = {"drain_lost_packets": "drain", "management_cut_lost_packets": "management"}
STOLEN = {"returning_host_stolen_packets": "returning", "returning_host_stolen_control_packets": "overtaking"}
MUST_BE_ZERO = (*LOSSES, "returning_host_stolen_packets", "trace_false_alarms")
MUST_BE_ALL = ("evacuated_addresses", "trace_drifts_named")
MUST_BE_SEEN = ("returning_host_stolen_control_packets",)
WITHOUT = "-"
"""What is written where no drift was seeded, or none was named."""


def loss(logs: Path, name: str) -> Loss:
    return measure.loss_of(rawlog.read(logs / f"{name}.probe", "probe"))


def evacuated_ms(logs: Path) -> dict[str, float]:
    """By address that answered again: after how many milliseconds. Raises Damaged."""
    happened = measure.events(rawlog.read(logs / "evacuation.events", "events"))
    fenced = [event.at_ns for event in happened if event.name == "fenced"]
    if len(fenced) != 1:
        raise Damaged(f"the node was fenced {len(fenced)} times")
    found = {}
    for track in measure.tracks(rawlog.read(logs / "evacuation.probe", "probe")):
        arrived = [one.at_ns for one in track.answers if track.sent_ns[one.sequence] >= fenced[0]]
        if arrived:
            found[track.address] = (min(arrived) - fenced[0]) / 1e6
    return found


def stolen(logs: Path, name: str) -> Figure:
    """Lost probes, and packets that the host sent to guests; and how many probes were sent."""
    seen, counters = loss(logs, name), rawlog.read(logs / f"{name}.legs", "legs")
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for link, _, to_guest, _ in counters.of("l", 4):
        last[link] = int(to_guest)
        first.setdefault(link, int(to_guest))
    return seen.lost + sum(last[link] - first[link] for link in last), seen.sent


def traced(logs: Path) -> list[tuple[str, str]]:
    """Of each address that was traced: the code that was seeded, and those that were found."""
    return [(seeded, found) for _, seeded, found in rawlog.read(logs / "drifts.traces", "traces").of("t", 3)]


def figures(logs: Path) -> dict[str, Figure]:
    """By key: value and n. Raises Damaged when they may not be reported."""
    back = evacuated_ms(logs)
    addresses = len(rawlog.read(logs / "evacuation.probe", "probe").header["targets"])
    traces = traced(logs)
    seeded = [(code, found) for code, found in traces if code != WITHOUT]
    table: dict[str, Figure] = {
        "evacuate_last_address_ms": (round(max(back.values(), default=0.0), 3), len(back)),
        "evacuated_addresses": (len(back), addresses),
    }
    for key, name in GAPS.items():
        seen = loss(logs, name)
        table[key] = (round(seen.gap_ms, 3), seen.sent)
    for key, name in LOSSES.items():
        seen = loss(logs, name)
        table[key] = (seen.lost, seen.sent)
    return table | {
        **{key: stolen(logs, name) for key, name in STOLEN.items()},
        "trace_drifts_named": (sum(code == found for code, found in seeded), len(seeded)),
        "trace_false_alarms": (
            sum(found != WITHOUT for code, found in traces if code == WITHOUT),
            len(traces) - len(seeded),
        ),
    }


def shortfalls(table: Mapping[str, Figure]) -> list[str]:
    """What is not as promised, a line each."""
    found = [f"{key} is {table[key][0]:g}, not 0" for key in MUST_BE_ZERO if table[key][0]]
    found += [f"{key} is {table[key][0]:g} of {table[key][1]}" for key in MUST_BE_ALL if table[key][0] < table[key][1]]
    found += [f"{key} is 0: then the zero beside it says nothing" for key in MUST_BE_SEEN if not table[key][0]]
    return found


def row(key: str, figure: Figure) -> list[str]:
    """Key, value with its unit, and n with what was counted."""
    value, n = figure
    if key.endswith("_ms"):
        return [key, f"{value:.1f} ms", f"{n} {'addresses' if key.startswith('evacuate') else 'probes'}"]
    unit = "packets" if key.endswith("_packets") else ""
    counted = {"packets": "probes", "": "drifts" if "drifts" in key else "addresses"}[unit]
    return [key, f"{value:.0f} {unit}".strip(), f"{n} {counted}"]
