"""The figures of a zone's conversion, counted from its raw logs, and what they must be.

Definitions, which `cloud.conversion.checker` implements a second time (losses are those of `cloud.measure`):

- A probe sent before `aborted` belongs to the fabric's stage, a later one to its rollback. A port that was switched
  must have had at least 900 probes a second while it was between two modes, or nothing is counted.
- A packet to a *wrong tenant* is a probe answered from an address that was not asked, or one that a hypervisor dropped
  at a guest's link because it was another's.
- A port goes *by a gateway* if within a sample of counters gateways have rewritten a packet of its address, and
  *directly* if its own link has.
- The *rate* is that of the ports that are converted all at once: their number by the time from the first one `checked`
  to the last one `verified`.
- A TCP connection is *reset* if anything ended it, or a line of it never came back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud import measure, rawlog
from cloud.measure import Loss, Track
from cloud.rawlog import Damaged
from cloud.tour.show import Figure

MIN_RATE_PER_S = 900
CONTROLS = ("wrong_entry.probe", "reversed_order.probe")
SWITCHED = ("switched.paths", "switched_again.paths")
ON_THE_NAT = ("before.paths", "rolled_back.paths")
MUST_BE_ZERO = (
    "fabric_lost_packets",
    "rollback_lost_packets",
    "tcp_resets",
    "wrong_tenant_packets",
    "other_zone_lost_packets",
    "rollback_differences",
    "addresses_changed",
    "ports_still_by_gateway",
)
MUST_BE_SEEN = ("reversed_order_lost_packets", "wrong_tenant_control_packets", "ports", "rollbacks")
SHORT_NS = 100_000_000  # too little to tell a pace from
UNITS = {  # of the value, and of n
    "ports": ("sealed", "ports"),
    "fabric_lost_packets": ("packets", "probes"),
    "rollback_lost_packets": ("packets", "probes"),
    "reversed_order_lost_packets": ("packets", "probes"),
    "tcp_resets": ("connections", "connections"),
    "wrong_tenant_packets": ("packets", "probes"),
    "wrong_tenant_control_packets": ("packets", "probes"),
    "other_zone_lost_packets": ("packets", "probes"),
    "rollbacks": ("ports", "ports"),
    "rollback_differences": ("rows", "rollbacks"),
    "addresses_changed": ("addresses", "ports"),
    "ports_still_by_gateway": ("ports", "ports"),
    "ports_per_s": ("ports/s", "ports"),
    "attempts": ("conversions", "ports"),
}


@dataclass(frozen=True, slots=True)
class Way:
    """Packets to and from one guest between two samples of counters."""

    guest: str
    by_gateways: int
    direct: int


def ways(log: Path) -> list[Way]:
    """Raises Damaged unless every guest was sampled twice."""
    samples: dict[str, list[tuple[int, int]]] = {}
    for guest, by_gateways, direct, _ in rawlog.read(log, "paths").of("p", 4):
        samples.setdefault(guest, []).append((int(by_gateways), int(direct)))
    if not samples or any(len(of) != 2 for of in samples.values()):
        raise Damaged(f"{log.name}: not two samples of every guest")
    return [Way(guest, new[0] - old[0], new[1] - old[1]) for guest, (old, new) in samples.items()]


def loss(log: Path) -> Loss:
    return measure.loss_of(rawlog.read(log, "probe"))


def sent(log: Path) -> int:
    """Probes."""
    return sum(line.startswith("s ") for line in rawlog.read(log, "probe").lines)


def strayed(*logs: Path) -> int:
    """Probes that a wrong guest answered."""
    return sum(len({tuple(row[:2]) for row in rawlog.read(log, "probe").of("w", 4)}) for log in logs)


def differences(before: Path, after: Path) -> list[str]:
    """Rows that are in one dump alone, each with a sign of which."""
    old, new = ({line.removeprefix("d ") for line in rawlog.read(log, "dump").lines} for log in (before, after))
    return sorted([f"- {row}" for row in old - new] + [f"+ {row}" for row in new - old], key=lambda row: row[2:])


@dataclass(frozen=True, slots=True)
class Course:
    """One Operation of a guest's port: its steps with their times, CLOCK_MONOTONIC nanoseconds."""

    operation: str
    guest: str
    steps: list[tuple[str, int]] = field(default_factory=list)

    def at_ns(self, step: str) -> int:
        """When it was first reached. Raises Damaged."""
        for name, at_ns in self.steps:
            if name == step:
                return at_ns
        raise Damaged(f"{self.guest} was never {step}")

    @property
    def forward(self) -> bool:
        """Whether it began on the NAT."""
        return self.steps[0][0] == "nat"

    @property
    def back(self) -> bool:
        """Whether it ended there."""
        return self.steps[-1][0] == "done" and self.steps[-2][0] == "nat"


def courses(*logs: Path) -> list[Course]:
    """By their Operations: of one that is in several logs, the last one tells."""
    found: dict[str, Course] = {}
    for log in logs:
        known: dict[str, Course] = {}
        for guest, operation, step, at_ns in rawlog.read(log, "timelines").of("t", 4):
            known.setdefault(operation, Course(operation, guest)).steps.append((step, int(at_ns)))
        found |= known
    return list(found.values())


def rate(log: Path) -> Figure:
    """Ports a second, and how many there were. Raises Damaged where one was not converted."""
    of = courses(log)
    began, ended = min(course.at_ns("checked") for course in of), max(course.at_ns("verified") for course in of)
    return round(len(of) * 1e9 / (ended - began), 3), len(of)


def figures(logs: Path) -> dict[str, Figure]:
    """By key: value and n. Raises Damaged when they may not be reported."""
    aborted_ns = _aborted_ns(logs)
    tracks = measure.tracks(rawlog.read(logs / "switches.probe", "probe"))
    there, back = courses(logs / "forward.timelines"), courses(logs / "rollback.timelines")
    _check_pace(tracks, [*there, *back], _names(logs / "before.answerers"), aborted_ns)
    fabric, rollback = _split(tracks, aborted_ns)
    other = loss(logs / "other.probe")
    streams = [one for path in logs.glob("*.tcp") for one in measure.connections(rawlog.read(path, "tcp"))]
    probed = [path for path in sorted(logs.glob("*.probe")) if path.name not in CONTROLS]
    ports = [state for _, state in rawlog.read(logs / "sealed.ports", "ports").of("p", 2)]
    rolled_back = sum(course.back for course in back)
    wrong_entry, reversed_order = (loss(logs / name) for name in CONTROLS)
    tried = courses(*sorted(logs.glob("*.timelines")))
    return {
        "ports": (ports.count("sealed"), len(ports)),
        "fabric_lost_packets": fabric,
        "rollback_lost_packets": rollback,
        "reversed_order_lost_packets": (reversed_order.lost, reversed_order.sent),
        "tcp_resets": (sum(not one.survived for one in streams), len(streams)),
        "wrong_tenant_packets": (strayed(*probed) + _dropped(logs), sum(map(sent, probed))),
        "wrong_tenant_control_packets": (strayed(logs / CONTROLS[0]), wrong_entry.sent),
        "other_zone_lost_packets": (other.lost, other.sent),
        "rollbacks": (rolled_back, len(back)),
        "rollback_differences": (len(differences(logs / "before.dump", logs / "after.dump")), rolled_back),
        "addresses_changed": (_changed(logs), len(ports)),
        "ports_still_by_gateway": _still_by_gateway(logs),
        "ports_per_s": rate(logs / "together.timelines"),
        "attempts": (sum(course.forward for course in tried), len(ports)),
    }


def _aborted_ns(logs: Path) -> int:
    happened = measure.events(rawlog.read(logs / "convert.events", "events"))
    found = [event.at_ns for event in happened if event.name == "aborted"]
    if len(found) != 1:
        raise Damaged(f"it was aborted {len(found)} times")
    return found[0]


def _check_pace(tracks: Sequence[Track], of: Sequence[Course], names: Mapping[str, str], aborted_ns: int) -> None:
    """Raises Damaged for a port that was probed too seldom while it was between two modes."""
    sent_ns = {names[track.address]: track.sent_ns for track in tracks if names.get(track.address) and _is_v4(track)}
    for course in of:
        first_ns, last_ns = course.steps[0][1], course.steps[-1][1]
        for start_ns, end_ns in ((first_ns, min(last_ns, aborted_ns)), (max(first_ns, aborted_ns), last_ns)):
            times = sent_ns[course.guest]
            probes = bisect_right(times, end_ns) - bisect_left(times, start_ns)
            if end_ns - start_ns > SHORT_NS and probes * 1e9 < MIN_RATE_PER_S * (end_ns - start_ns):
                kept = probes * 1e9 / (end_ns - start_ns)
                raise Damaged(f"{course.guest} was probed {kept:.0f} times a second on its way")


def _is_v4(track: Track) -> bool:
    return ":" not in track.address


def _split(tracks: Sequence[Track], at_ns: int) -> tuple[Figure, Figure]:
    """Lost and sent of the probes sent before that moment, and of those after."""
    sides = [[0, 0], [0, 0]]
    for track in tracks:
        answered = {answer.sequence for answer in track.answers}
        for sequence, sent_ns in enumerate(track.sent_ns):
            side = sides[sent_ns >= at_ns]
            side[0] += sequence not in answered
            side[1] += 1
    return (sides[0][0], sides[0][1]), (sides[1][0], sides[1][1])


def _names(log: Path) -> dict[str, str]:
    """Who answered at each address."""
    return {row[0]: row[1] for row in rawlog.read(log, "answerers").of("a", 2)}


def _changed(logs: Path) -> int:
    """Addresses at which another answers than before, or nobody."""
    before, after = _names(logs / "before.answerers"), _names(logs / "after.answerers")
    return sum(after.get(address) != name for address, name in before.items()) + len(after.keys() - before.keys())


def _dropped(logs: Path) -> int:
    """Packets that hypervisors dropped at a guest's link, for they were another's, over the whole story."""
    before, after = (
        {node: int(packets) for node, packets, _ in rawlog.read(logs / f"{when}.strays", "strays").of("c", 3)}
        for when in ("before", "after")
    )
    return sum(packets - before[node] for node, packets in after.items())


def _still_by_gateway(logs: Path) -> Figure:
    """Ports that did not leave the gateways for good. Raises Damaged if one did not use them before, or after an abort:
    then the counters would prove nothing."""
    for name in ON_THE_NAT:
        for way in ways(logs / name):
            if way.direct or not way.by_gateways:
                raise Damaged(f"{name}: {way.guest} did not go by a gateway")
    converted = {course.guest for course in courses(logs / "forward.timelines") if course.forward}
    wrong: set[str] = set()
    ports: set[str] = set()
    for name in SWITCHED:
        seen = [way for way in ways(logs / name) if name != SWITCHED[0] or way.guest in converted]
        ports |= {way.guest for way in seen}
        wrong |= {way.guest for way in seen if way.by_gateways or not way.direct}
    return len(wrong), len(ports)


def shortfalls(table: Mapping[str, Figure]) -> list[str]:
    """What is not as promised, a line each."""
    found = [f"{key} is {table[key][0]:g}, not 0" for key in MUST_BE_ZERO if table[key][0]]
    found += [f"{key} is 0: then the zeros beside it say nothing" for key in MUST_BE_SEEN if not table[key][0]]
    return found


def row(key: str, figure: Figure) -> list[str]:
    """Key, value with its unit, and n with what was counted."""
    value, n = figure
    unit, counted = UNITS[key]
    return [key, f"{value:.1f} {unit}" if unit == "ports/s" else f"{value:.0f} {unit}".strip(), f"{n} {counted}"]
