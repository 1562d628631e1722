"""From raw logs to figures. Pure: what is lost, for how long, and whether the probes that say so may be believed.

Definitions, which `cloud.checker` implements a second time:

- A probe is *lost* when no answer bearing its sequence number arrived before the log ended.
- A *gap* is a longest run of lost probes to one address, measured from the moment the first of them was sent to the
  moment the next answered one was sent (or, at the end of a log, the last lost one): 0 when nothing was lost.
- A *stall* is the time between two consecutive probes to one address.
- A *window* is the time from one second before a change was requested to one second after it was realised.
- A move's figures count only if within the window the sender kept at least 990 probes a second to each address with no
  stall of 5 ms, if each of two hypervisors sent at least 1,000 packets to the guest over its leg during the log, and if
  at least 5,000 probes were sent in all.
- *API to packet* is the time from the moment an attachment was requested to the kernel's receive time of the first
  answer to a probe that was given by the new holder.
- A percentile is the nearest rank: the smallest value with at least that share of all values at or below it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cloud.rawlog import Damaged, RawLog

MIN_RATE_PER_S = 990.0
MAX_STALL_MS = 5.0
MIN_ON_EACH_LEG = 1000
MIN_PROBES = 5000
MIN_REPETITIONS = 20
MARGIN_NS = 1_000_000_000
ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to probe `sequence`, in the order of arrival."""

    sequence: int
    at_ns: int
    responder: str


@dataclass(frozen=True, slots=True)
class Track:
    """All probes to one address: send times by sequence number, and the answers."""

    address: str
    sent_ns: list[int]
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of the probes of one or more tracks."""

    sent: int
    lost: int
    gap_ms: float
    duplicates: int
    reordered: int


@dataclass(frozen=True, slots=True)
class Sending:
    """How well the sender kept its pace within a window."""

    rate_per_s: float
    worst_stall_ms: float

    @property
    def believable(self) -> bool:
        return self.rate_per_s >= MIN_RATE_PER_S and self.worst_stall_ms < MAX_STALL_MS


@dataclass(frozen=True, slots=True)
class Window:
    """A span of CLOCK_MONOTONIC nanoseconds, both ends included."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the tour asked for or saw."""

    at_ns: int
    name: str
    detail: tuple[str, ...]


def tracks(log: RawLog) -> list[Track]:
    """The tracks of a `probe` log. Raises Damaged where numbers are missing, or an answer has no probe."""
    addresses = log.header["targets"]
    found = [Track(address, [], []) for address in addresses]
    for target, sequence, at_ns in log.of("s", 3):
        sent = found[int(target)].sent_ns
        if int(sequence) != len(sent):
            raise Damaged(f"probe {sequence} to {addresses[int(target)]} is out of its place")
        sent.append(int(at_ns))
    for target, sequence, at_ns, responder in log.of("r", 4):
        track = found[int(target)]
        if not 0 <= int(sequence) < len(track.sent_ns):
            raise Damaged(f"an answer to probe {sequence} of {track.address}, which was never sent")
        track.answers.append(Answer(int(sequence), int(at_ns), responder))
    return found


def loss(track: Track) -> Loss:
    """What became of the probes to one address."""
    seen: set[int] = set()
    duplicates = reordered = 0
    highest = -1
    for answer in track.answers:
        if answer.sequence in seen:
            duplicates += 1
            continue
        seen.add(answer.sequence)
        reordered += answer.sequence < highest
        highest = max(highest, answer.sequence)
    gap_ns = 0
    first_lost: int | None = None
    for sequence, at_ns in enumerate(track.sent_ns):
        if sequence not in seen:
            first_lost = at_ns if first_lost is None else first_lost
            gap_ns = max(gap_ns, at_ns - first_lost)
        elif first_lost is not None:
            gap_ns = max(gap_ns, at_ns - first_lost)
            first_lost = None
    return Loss(len(track.sent_ns), len(track.sent_ns) - len(seen), gap_ns / 1e6, duplicates, reordered)


def total(losses: Iterable[Loss]) -> Loss:
    """Several addresses together: sums, and the longest gap of any."""
    several = list(losses)
    return Loss(
        sum(one.sent for one in several),
        sum(one.lost for one in several),
        max((one.gap_ms for one in several), default=0.0),
        sum(one.duplicates for one in several),
        sum(one.reordered for one in several),
    )


def loss_of(log: RawLog) -> Loss:
    """What became of all probes of a `probe` log. Raises Damaged."""
    return total(loss(track) for track in tracks(log))


def sending(track: Track, window: Window) -> Sending:
    """The sender's pace within `window`, as far as the log reaches. An empty window is not believable."""
    first = bisect_left(track.sent_ns, window.start_ns)
    last = bisect_right(track.sent_ns, window.end_ns)
    times = track.sent_ns[first:last]
    if len(times) < 2:
        return Sending(0.0, math.inf)
    seconds = (times[-1] - times[0]) / 1e9
    worst_ns = max(after - before for before, after in pairwise(times))
    return Sending((len(times) - 1) / seconds if seconds else 0.0, worst_ns / 1e6)


def events(log: RawLog) -> list[Event]:
    found = []
    for record in log.records:
        if record[0] != "e" or len(record) < 3:
            raise Damaged(f"record {' '.join(record)!r} is no event")
        found.append(Event(int(record[1]), record[2], tuple(record[3:])))
    return found


def window(happened: Sequence[Event]) -> Window:
    """From one second before the first `requested` to one second after the last `realised`. Raises Damaged."""
    requested = [event.at_ns for event in happened if event.name == "requested"]
    realised = [event.at_ns for event in happened if event.name == "realised"]
    if not requested or not realised:
        raise Damaged("the log of events lacks `requested` or `realised`")
    return Window(min(requested) - MARGIN_NS, max(realised) + MARGIN_NS)


def on_leg(log: RawLog) -> int:
    """Packets that a hypervisor sent to a guest over its busiest leg while a `legs` log was written.

    A leg that is not there at the first sample starts from zero, and so does one whose counter went back: made anew.
    """
    last: dict[str, int] = {}
    packets: dict[str, int] = {}
    first_ns: str | None = None
    for link, _, to_guest, at_ns in log.of("l", 4):
        first_ns = first_ns or at_ns
        now = int(to_guest)
        earlier = last.get(link, now if at_ns == first_ns else 0)
        packets[link] = packets.get(link, 0) + (now - earlier if now >= earlier else now)
        last[link] = now
    return max(packets.values(), default=0)


def why_not(probes: Sequence[Track], span: Window, legs: Mapping[str, int]) -> list[str]:
    """Why figures of a move may not be reported: empty when they may."""
    reasons = []
    for track in probes:
        pace = sending(track, span)
        if not pace.believable:
            kept = f"{pace.rate_per_s:.0f}/s with a stall of {pace.worst_stall_ms:.1f} ms"
            reasons.append(f"the sender to {track.address} made {kept}")
    sent = sum(len(track.sent_ns) for track in probes)
    if sent < MIN_PROBES:
        reasons.append(f"only {sent} probes were sent")
    busy = [node for node, packets in legs.items() if packets >= MIN_ON_EACH_LEG]
    if len(busy) < 2:
        counted = ", ".join(f"{node} {packets}" for node, packets in legs.items())
        reasons.append(f"fewer than two legs carried {MIN_ON_EACH_LEG} packets: {counted}")
    return reasons


@dataclass(frozen=True, slots=True)
class Repetition:
    """One re-attachment: time to the first answer of the new holder, longest gap, and whether it may be believed."""

    to_packet_ms: float
    gap_ms: float
    probes: int
    believable: bool


def repetitions(track: Track, happened: Sequence[Event]) -> list[Repetition]:
    """One for each `requested NUMBER HOLDER` event. Raises Damaged if a new holder never answered.

    The gap is that of the probes sent from the request to just before the next one.
    """
    requests = [event for event in happened if event.name == "requested"]
    ends = [event.at_ns for event in requests[1:]] + [max(track.sent_ns, default=0) + 1]
    first_answer: dict[int, Answer] = {}
    for answer in track.answers:
        first_answer.setdefault(answer.sequence, answer)
    found = []
    for request, end_ns in zip(requests, ends, strict=True):
        holder = request.detail[1]
        arrivals = [a.at_ns for a in track.answers if a.responder == holder and request.at_ns <= a.at_ns < end_ns]
        if not arrivals:
            raise Damaged(f"{holder} never answered after request {request.detail[0]}")
        first = bisect_left(track.sent_ns, request.at_ns)
        last = bisect_left(track.sent_ns, end_ns)
        part = Track(
            track.address,
            track.sent_ns[first:last],
            [
                Answer(a.sequence - first, a.at_ns, a.responder)
                for sequence in range(first, last)
                if (a := first_answer.get(sequence)) is not None
            ],
        )
        arrived_ns = min(arrivals)
        pace = sending(track, Window(request.at_ns, max(arrived_ns, request.at_ns + 100_000_000)))
        to_packet_ms = (arrived_ns - request.at_ns) / 1e6
        found.append(Repetition(to_packet_ms, loss(part).gap_ms, len(part.sent_ns), pace.believable))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: `share` from 0 to 1. Raises ValueError for no values."""
    if not values:
        raise ValueError("a percentile of nothing")
    ranked = sorted(values)
    return ranked[max(1, math.ceil(share * len(ranked))) - 1]


@dataclass(frozen=True, slots=True)
class Connection:
    """What became of a TCP connection: whether it answered to the end, and the longest wait for a line's echo."""

    survived: bool
    lines: int
    longest_stall_ms: float


def connections(log: RawLog) -> list[Connection]:
    """From a `tcp` log, in the order of its targets. One survived if nothing ended it and every line came back."""
    count = len(log.header["targets"])
    sent: list[dict[int, int]] = [{} for _ in range(count)]
    back: list[dict[int, int]] = [{} for _ in range(count)]
    for letter, times in (("s", sent), ("r", back)):
        for number, sequence, at_ns in log.of(letter, 3):
            times[int(number)][int(sequence)] = int(at_ns)
    ended = {int(number) for number, _, _ in log.of("x", 3)}
    return [_connection(sent[number], back[number], number in ended) for number in range(count)]


def _connection(sent: Mapping[int, int], back: Mapping[int, int], ended: bool) -> Connection:
    stall_ns = max((at_ns - sent[sequence] for sequence, at_ns in back.items()), default=0)
    return Connection(not ended and bool(sent) and sent.keys() == back.keys(), len(sent), stall_ns / 1e6)


def arrived(sent: Iterable[RawLog], seen: Iterable[RawLog]) -> tuple[int, int]:
    """Packets that arrived where their flow goes, each counted once; and packets that were sent.

    A flow towards `anywhere` arrives at every place but its own. Raises Damaged if one of the flows never left.
    """
    goes: dict[int, tuple[str, str]] = {}
    departed: set[tuple[int, int]] = set()
    for log in sent:
        goes |= {int(flow["number"]): (flow["origin"], flow["towards"]) for flow in log.header["flows"]}
        departed |= {(int(flow), int(sequence)) for flow, sequence, _ in log.of("s", 3)}
    silent = goes.keys() - {flow for flow, _ in departed}
    if silent:
        raise Damaged(f"flows {sorted(silent)} were never sent")
    reached: set[tuple[int, int]] = set()
    for log in seen:
        place = log.header["place"]
        for flow, sequence, _, _ in log.of("r", 4):
            origin, towards = goes.get(int(flow), (place, ""))
            if place == towards or (towards == ANYWHERE and place != origin):
                reached.add((int(flow), int(sequence)))
    return len(reached), len(departed)


def flows_missing(sent: Iterable[RawLog], seen: Iterable[RawLog]) -> list[int]:
    """Numbers of the flows of which not one packet arrived."""
    logs = list(seen)
    missing = []
    for log in sent:
        for flow in log.header["flows"]:
            only = RawLog({"flows": [flow]}, [line for line in log.lines if line.split(" ")[1] == str(flow["number"])])
            if arrived([only], logs)[0] == 0:
                missing.append(int(flow["number"]))
    return sorted(missing)
