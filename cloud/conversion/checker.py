"""`python -m cloud.conversion.checker build/convert.json`: counts a conversion's figures again, from raw logs alone.

As `cloud.checker` does for a tour's, whose reader of logs it takes: it shares no code with what produced the figures.
What the figures mean is told in `cloud.conversion.figures`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloud import checker
from cloud.checker import (
    SECOND,
    Figure,
    Parts,
    Unsound,
    broken_connections,
    event_rows,
    lines_of,
    load,
    sends_and_answers,
)

LOSSES = ("fabric_lost_packets", "rollback_lost_packets")
REVERSED = ("reversed_order_lost_packets",)
RESETS = ("tcp_resets",)
TENANTS = ("wrong_tenant_packets", "wrong_tenant_control_packets")
OTHER = ("other_zone_lost_packets",)
BACK = ("rollbacks", "rollback_differences")
ADDRESSES = ("ports", "addresses_changed")
WAYS = ("ports_still_by_gateway",)
PACE = ("ports_per_s", "attempts")
KEYS = LOSSES + REVERSED + RESETS + TENANTS + OTHER + BACK + ADDRESSES + WAYS + PACE

LEAST_RATE = 900
LONG_ENOUGH = SECOND // 10
SABOTAGED = {"wrong_entry.probe", "reversed_order.probe"}

Steps = list[tuple[str, int]]


def lost_and_sent(path: Path) -> Figure:
    lost = sent = 0
    for sends, answers in sends_and_answers(path).values():
        lost += len(sends.keys() - {sequence for sequence, _, _ in answers})
        sent += len(sends)
    return lost, sent


def timelines(path: Path) -> dict[tuple[str, str], Steps]:
    """By guest and Operation: steps and when they were reached."""
    found: dict[tuple[str, str], Steps] = defaultdict(list)
    for _, guest, operation, step, at in load(path, "timelines")[1]:
        found[guest, operation].append((step, int(at)))
    return found


def ended_on_nat(steps: Steps) -> bool:
    return [name for name, _ in steps[-2:]] == ["nat", "done"]


def answerers(path: Path) -> dict[str, str]:
    return {address: name for _, address, name in load(path, "answerers")[1]}


# --- losses ----------------------------------------------------------------------------------------------------------


def check_losses(logs: Path) -> dict[str, Figure]:
    moments = [at for at, what, _ in event_rows(logs / "convert.events") if what == "aborted"]
    if len(moments) != 1:
        raise Unsound(f"{len(moments)} aborts")
    (aborted,) = moments
    path = logs / "switches.probe"
    addresses = lines_of(path, "probe")[0]["targets"]
    targets = sends_and_answers(path)
    who = answerers(logs / "before.answerers")
    sent_to = {
        who[a]: sends.values()
        for a, (sends, _) in zip(addresses, targets.values(), strict=True)
        if a in who and "." in a
    }
    for name in ("forward", "rollback"):
        for (guest, _), steps in timelines(logs / f"{name}.timelines").items():
            start, end = steps[0][1], steps[-1][1]
            check_pace(guest, sent_to[guest], start, min(end, aborted))
            check_pace(guest, sent_to[guest], max(start, aborted), end)
    lost, sent = [0, 0], [0, 0]
    for sends, answers in targets.values():
        answered = {sequence for sequence, _, _ in answers}
        for sequence, at in sends.items():
            lost[at >= aborted] += sequence not in answered
            sent[at >= aborted] += 1
    return {LOSSES[0]: (lost[0], sent[0]), LOSSES[1]: (lost[1], sent[1])}


def check_pace(guest: str, times: Iterable[int], start: int, end: int) -> None:
    """Raises Unsound unless at least 900 probes a second were sent to it meanwhile."""
    probes = sum(start <= at <= end for at in times)
    if end - start > LONG_ENOUGH and probes * SECOND < LEAST_RATE * (end - start):
        raise Unsound(f"{guest} had {probes} probes in {(end - start) / SECOND:.2f} s of its way")


def check_resets(logs: Path) -> dict[str, Figure]:
    broken, streams = 0.0, 0
    for path in logs.glob("*.tcp"):
        bad, all_of_it = broken_connections(path)
        broken, streams = broken + bad, streams + all_of_it
    if not streams:
        raise Unsound("no connection was made")
    return {RESETS[0]: (broken, streams)}


# --- where packets went ----------------------------------------------------------------------------------------------


def stray_answers(path: Path) -> int:
    return len({tuple(row.split()[1:3]) for row in lines_of(path, "probe")[1] if row.startswith("w ")})


def check_tenants(logs: Path) -> dict[str, Figure]:
    honest = [path for path in logs.glob("*.probe") if path.name not in SABOTAGED]
    before, after = (
        {node: int(count) for _, node, count, _ in load(logs / f"{when}.strays", "strays")[1]}
        for when in ("before", "after")
    )
    if not before or before.keys() != after.keys():
        raise Unsound("not every hypervisor was asked for what it dropped")
    dropped = sum(after[node] - before[node] for node in after)
    wrong = dropped + sum(map(stray_answers, honest))
    seeded = logs / "wrong_entry.probe"
    return {
        TENANTS[0]: (wrong, sum(lost_and_sent(path)[1] for path in honest)),
        TENANTS[1]: (stray_answers(seeded), lost_and_sent(seeded)[1]),
    }


def grown(path: Path) -> dict[str, tuple[int, int]]:
    """By guest: packets by gateways, and past them, between the first sample and the last."""
    samples: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for _, guest, by_gateways, direct, _ in load(path, "paths")[1]:
        samples[guest].append((int(by_gateways), int(direct)))
    if not samples or {len(of) for of in samples.values()} != {2}:
        raise Unsound(f"{path.name}: not two samples of every guest")
    return {guest: (b[0] - a[0], b[1] - a[1]) for guest, (a, b) in samples.items()}


def check_ways(logs: Path) -> dict[str, Figure]:
    for name in ("before", "rolled_back"):
        for guest, (by_gateways, direct) in grown(logs / f"{name}.paths").items():
            if by_gateways <= 0 or direct:
                raise Unsound(f"{name}: {guest} was on the NAT and did not go by a gateway alone")
    switched = {guest for (guest, _), steps in timelines(logs / "forward.timelines").items() if steps[0][0] == "nat"}
    half = grown(logs / "switched.paths")
    ways = [(guest, half[guest]) for guest in switched] + list(grown(logs / "switched_again.paths").items())
    still = {guest for guest, (by_gateways, direct) in ways if by_gateways or direct <= 0}
    return {WAYS[0]: (len(still), len({guest for guest, _ in ways}))}


# --- the rest --------------------------------------------------------------------------------------------------------


def check_back(logs: Path) -> dict[str, Figure]:
    courses = timelines(logs / "rollback.timelines").values()
    back = sum(map(ended_on_nat, courses))
    before, after = (set(load(logs / f"{when}.dump", "dump")[1]) for when in ("before", "after"))
    if not before:
        raise Unsound("the dump is empty")
    return {BACK[0]: (back, len(courses)), BACK[1]: (len(before ^ after), back)}


def check_addresses(logs: Path) -> dict[str, Figure]:
    states = [state for _, _, state in load(logs / "sealed.ports", "ports")[1]]
    before, after = answerers(logs / "before.answerers"), answerers(logs / "after.answerers")
    changed = [address for address in before.keys() | after.keys() if before.get(address) != after.get(address)]
    return {ADDRESSES[0]: (states.count("sealed"), len(states)), ADDRESSES[1]: (len(changed), len(states))}


def check_rate(logs: Path) -> dict[str, Figure]:
    reached = [dict(reversed(steps)) for steps in timelines(logs / "together.timelines").values()]
    span = max(steps["verified"] for steps in reached) - min(steps["checked"] for steps in reached)
    tried = {
        operation
        for path in logs.glob("*.timelines")
        for (_, operation), steps in timelines(path).items()
        if steps[0][0] == "nat"
    }
    ports = len(load(logs / "sealed.ports", "ports")[1])
    return {PACE[0]: (len(reached) * SECOND / span, len(reached)), PACE[1]: (len(tried), ports)}


def recomputed(logs: Path) -> Iterator[tuple[str, Figure | str]]:
    """Each key with its figure, or with the reason why the logs do not yield one."""
    parts: Parts = (
        (LOSSES, lambda: check_losses(logs)),
        (REVERSED, lambda: {REVERSED[0]: lost_and_sent(logs / "reversed_order.probe")}),
        (RESETS, lambda: check_resets(logs)),
        (TENANTS, lambda: check_tenants(logs)),
        (OTHER, lambda: {OTHER[0]: lost_and_sent(logs / "other.probe")}),
        (BACK, lambda: check_back(logs)),
        (ADDRESSES, lambda: check_addresses(logs)),
        (WAYS, lambda: check_ways(logs)),
        (PACE, lambda: check_rate(logs)),
    )
    return checker.counted(parts)


if __name__ == "__main__":
    sys.exit(checker.main(sys.argv[1:], KEYS, recomputed))
