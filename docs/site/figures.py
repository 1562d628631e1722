"""`python -m docs.site.figures` (`make figures`): what was measured, side by side, each with the command that makes it.

Takes what demos left in `build/` into `docs/bench/`, and writes `docs/figures.md` of what lies there.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cloud.conversion import figures as conversion
from cloud.failures import chaos, figures as failures
from cloud.tour import figures as tour
from cloud.tour.show import Figure

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
KEPT = ROOT / "docs/bench"
PAGE = ROOT / "docs/figures.md"
MEASURED = KEPT / "measured.json"
"""By name of what was taken in: when, and on what machine."""

INTRODUCTION = """\
# Figures

Counted from raw logs, and counted again by a program that shares no code with the first; `cloud/measure.py` defines
what a loss, a gap and a window are. Absolute times are those of a small machine; what must be 0 is 0 on every one. The
commands below write `build/*.json`; `make figures` takes them in here.
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What is measured by one thing: its file in `docs/bench`, the command that makes it, and where that leaves it."""

    name: str
    command: str
    left: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """A table: a row for each key, a column for each place it was measured in."""

    title: str
    text: str
    columns: Mapping[str, Told]
    row: Callable[[str, Figure], list[str]]
    keys: Mapping[str, str]


def _at_scale(key: str, figure: Figure) -> list[str]:
    value, n = figure
    units = {"mib": "MiB", "ports_per_s": "ports/s", "ms_per_port": "ms a port"}
    unit = next((unit for part, unit in units.items() if part in key), "")
    counted = {"pauses": "causes", "rollback": "rollbacks", "probes": "probes"}
    of = next((of for part, of in counted.items() if part in key), "ports")
    return [key, f"{value:.{1 if unit and value < 100 else 0}f} {unit}".strip(), f"{n} {of}"]


CHAPTERS = (
    Chapter(
        "The tour",
        "One tour, by the same code, on the cloud in network namespaces and on the one in containers.",
        {
            "local cloud": Told("demo", "make demo", "demo"),
            "containers": Told("compose", "make compose-demo", "compose"),
        },
        tour.row,
        {
            "nat_move_gap_ms": "longest gap of a NAT guest's address while the guest moves live",
            "nat_move_lost": "probes lost of it",
            "routed_move_gap_ms": "the same of a routed guest with two IPv4 and an IPv6",
            "routed_move_lost": "probes lost of it",
            "reattach_gap_ms": "longest gap of an address that goes to another instance",
            "api_to_packet_ms_p50": "from the request for that to the first packet of the new holder, median",
            "api_to_packet_ms_p99": "99th percentile",
            "isolated_packets": "packets that an isolated guest got out or in, under false addresses too",
            "isolated_control_packets": "the same with its guard taken away: shows that the zero means something",
        },
    ),
    Chapter(
        "A zone's conversion",
        "Real packets, aborted half-way, then to the end.",
        {"local cloud": Told("convert-demo", "make convert-demo", "convert")},
        conversion.row,
        {
            "ports": "ports that ended sealed",
            "fabric_lost_packets": "probes lost while ports left the NAT",
            "rollback_lost_packets": "probes lost while they went back",
            "reversed_order_lost_packets": "control: lost when a switch is done in the wrong order",
            "tcp_resets": "connections that ended",
            "wrong_tenant_packets": "packets to a wrong tenant",
            "wrong_tenant_control_packets": "control: the same with a wrong entry",
            "other_zone_lost_packets": "probes lost in a zone that was not converted",
            "rollbacks": "ports put back",
            "rollback_differences": "rows that differ after the abort",
            "addresses_changed": "addresses at which another answers, or nobody",
            "ports_still_by_gateway": "ports that still went by a gateway once switched",
            "ports_per_s": "pace of the ports that were converted at once",
            "attempts": "conversions begun",
        },
    ),
    Chapter(
        "Machines that fail",
        "Hosts that die, are cut off, drained, and come back.",
        {"local cloud": Told("failure-demo", "make failure-demo", "failures")},
        failures.row,
        {
            "evacuate_last_address_ms": "from the fence to the first answer of the last address of a full host",
            "evacuated_addresses": "addresses that answered again",
            "failover_process_gap_ms": "gap of a failover address whose guest's process dies",
            "failover_host_gap_ms": "the same when its host dies",
            "swap_gap_ms": "longest gap of two addresses that change places",
            "drain_lost_packets": "probes lost while a host was drained",
            "management_cut_lost_packets": "probes lost while a host could not be managed",
            "returning_host_stolen_packets": "packets that a dead host took when it came back",
            "returning_host_stolen_control_packets": "control: the same with sequences that overtake",
            "trace_drifts_named": "seeded drifts that a trace named",
            "trace_false_alarms": "addresses without any of which it named one",
        },
    ),
    Chapter(
        "Chaos",
        "Every process killed at random, machines drained and switched off, while customers change what they have.",
        {"local cloud": Told("chaos", "make chaos", "chaos")},
        chaos.row,
        {
            "chaos_kills": "kills, of so many different processes",
            "chaos_processes_back": "processes that ran again at the end",
            "chaos_operations_ended": "operations that came to their end",
            "chaos_addresses_answering": "addresses that answered at the end as asked for",
            "chaos_trace_drifts": "addresses of which a trace found drift at the end",
            "chaos_second_announcers": "addresses announced twice",
            "chaos_untouched_lost_packets": "probes lost of addresses that nobody touched",
        },
    ),
    Chapter(
        "At scale",
        "The real controller over agents on in-memory kernels, and its decisions alone over simulated nodes (`_sim`).",
        {"conversion": Told("convert", "make bench-convert", "")},
        _at_scale,
        {
            "control_plane_ports_per_s": "pace of the real controller, with PostgreSQL and Redis",
            "control_plane_attempts": "conversions begun",
            "control_plane_probes_lost": "probes of the conversion lost",
            "control_plane_worker_mib": "memory of its worker at the end",
            "control_plane_worker_mib_grown": "of that, grown since a third was done",
            "ports_per_s_sim": "conversions and rollbacks decided a second",
            "mib_at_100k": "memory that it took at most",
            "rollbacks_sim": "ports put back",
            "rollback_differences_sim": "rows that differ after that",
            "pauses_sim": "times it paused by itself",
        },
    ),
)


def take_in(build: Path, machine: str) -> list[str]:
    """Copy what demos left; answers the names of what there was."""
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    taken = []
    for told in (told for chapter in CHAPTERS for told in chapter.columns.values()):
        source = build / f"{told.left}.json"
        if told.left and source.exists():
            (KEPT / f"{told.name}.json").write_bytes(source.read_bytes())
            measured[told.name] = f"{datetime.fromtimestamp(source.stat().st_mtime, UTC):%Y-%m-%d} on {machine}"
            taken.append(told.name)
    MEASURED.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
    return taken


def page() -> str:
    measured = json.loads(MEASURED.read_text())
    lines = [INTRODUCTION]
    for chapter in CHAPTERS:
        lines += _chapter(chapter, measured)
    return "\n".join(lines)


def _chapter(chapter: Chapter, measured: Mapping[str, str]) -> Iterator[str]:
    yield f"## {chapter.title}\n\n{chapter.text}\n"
    columns = {place: _kept(told) for place, told in chapter.columns.items()}
    untold = {key: "" for table in columns.values() for key in table if key not in chapter.keys}
    yield _row(["figure", *columns, "what it is"])
    yield _row(["---", *("---:" for _ in columns), "---"])
    for key, text in {**chapter.keys, **untold}.items():
        yield _row([f"`{key}`", *(_cell(chapter, key, table) for table in columns.values()), text])
    yield ""
    for place, told in chapter.columns.items():
        when = f", measured {measured[told.name]}" if told.name in measured else ""
        yield f"- {place}: `{told.command}`{when}"
    yield ""


def _kept(told: Told) -> dict[str, Figure]:
    path = KEPT / f"{told.name}.json"
    entries = json.loads(path.read_text()) if path.exists() else {}
    return {key: (entry["value"], entry["n"]) for key, entry in entries.items()}


def _cell(chapter: Chapter, key: str, table: Mapping[str, Figure]) -> str:
    if key not in table:
        return "-"
    _, value, of = chapter.row(key, table[key])
    return f"{value} of {of}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    release = ".".join(platform.release().split(".")[:2])
    taken = take_in(BUILD, f"{os.cpu_count()} cores, {platform.system()} {release}")
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} is written; taken in: {', '.join(taken) or 'nothing new'}")


if __name__ == "__main__":
    main()
