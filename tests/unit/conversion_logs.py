"""Synthetic raw logs of a zone's conversion in which everything is known: two guests, switched, rolled back, sealed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cloud import rawlog
from tests.unit.demo_logs import MS, START_NS, TO_ONE

GUESTS = {"web-1": "198.18.0.1", "web-2": "198.18.0.2"}
ABORTED = 3000  # by the number of the probe that was sent then, one a millisecond
STEPS = ("nat", "checked", "prepared", "announced", "outbound", "switched", "verified", "done")
BACK = ("switched", "outbound", "announced", "prepared", "checked", "nat", "done")

FIGURES: dict[str, dict[str, float]] = {
    "ports": {"value": 2, "n": 2},
    "fabric_lost_packets": {"value": 0, "n": 6000},
    "rollback_lost_packets": {"value": 0, "n": 6000},
    "reversed_order_lost_packets": {"value": 40, "n": 6000},
    "tcp_resets": {"value": 0, "n": 2},
    "wrong_tenant_packets": {"value": 0, "n": 24000},
    "wrong_tenant_control_packets": {"value": 30, "n": 6000},
    "other_zone_lost_packets": {"value": 0, "n": 6000},
    "rollbacks": {"value": 2, "n": 2},
    "rollback_differences": {"value": 0, "n": 2},
    "addresses_changed": {"value": 0, "n": 2},
    "ports_still_by_gateway": {"value": 0, "n": 2},
    "ports_per_s": {"value": 1.25, "n": 2},
    "attempts": {"value": 5, "n": 2},
}


def at(probe: int) -> int:
    return START_NS + probe * MS


def write(logs: Path) -> None:
    logs.mkdir()
    addresses = list(GUESTS.values())
    probes(logs / "switches.probe", addresses)
    probes(logs / "together.probe", addresses[:1])
    probes(logs / "other.probe", ["198.18.64.1"])
    probes(logs / "wrong_entry.probe", addresses[:1], astray=range(100, 130))
    probes(logs / "reversed_order.probe", addresses[:1], lost=range(100, 140))
    for name in ("streams.tcp", "together.tcp"):
        rawlog.write(logs / name, "tcp", TO_ONE, ["s 0 0 1", "s 0 1 9", "r 0 0 3", "r 0 1 12"])
    rawlog.write(logs / "convert.events", "events", {}, ["e 1 killed prepared", f"e {at(ABORTED)} aborted"])
    timelines(logs / "forward.timelines", dict.fromkeys(GUESTS, ("there", STEPS, 500)))
    timelines(logs / "rollback.timelines", dict.fromkeys(GUESTS, ("back", BACK, 3100)))
    timelines(logs / "reversed_order.timelines", {"web-1": ("reversed", STEPS, 5000)})
    timelines(logs / "together.timelines", {"web-1": ("owner", STEPS, 10_000), "web-2": ("owner", STEPS, 10_600)})
    paths(logs / "before.paths", dict.fromkeys(GUESTS, (20, 0)))
    paths(logs / "switched.paths", dict.fromkeys(GUESTS, (0, 20)))
    paths(logs / "rolled_back.paths", dict.fromkeys(GUESTS, (20, 0)))
    paths(logs / "switched_again.paths", dict.fromkeys(GUESTS, (0, 20)))
    for when in ("before", "after"):
        dump(logs / f"{when}.dump", ["edge route {}", "gateway-1 inbound 198.18.0.1 10.1.0.2"])
        named = [f"a {address} {guest}" for guest, address in GUESTS.items()]
        rawlog.write(logs / f"{when}.answerers", "answerers", {}, named)
        rawlog.write(logs / f"{when}.strays", "strays", {}, [f"c hypervisor-1 7 {at(0)}"])
    rawlog.write(logs / "sealed.ports", "ports", {}, [f"p {guest} sealed" for guest in GUESTS])


def probes(path: Path, addresses: list[str], lost: Collection[int] = (), astray: Collection[int] = ()) -> None:
    """6000 probes to each address, a millisecond apart; of the first one some are lost, or answered by another."""
    rows = []
    for target in range(len(addresses)):
        rows += [f"s {target} {number} {at(number)}" for number in range(6000)]
        gone = {*lost, *astray} if target == 0 else set()
        rows += [f"r {target} {number} {at(number) + 200_000} -" for number in range(6000) if number not in gone]
    rows += [f"w 0 {number} {at(number) + 200_000} 198.18.0.2" for number in astray]
    rawlog.write(path, "probe", {"targets": addresses}, rows)


def timelines(path: Path, of: dict[str, tuple[str, tuple[str, ...], int]]) -> None:
    """By guest: its Operation, the steps it took, 200 ms each, and the probe at which it began."""
    rows = [
        f"t {guest} {operation}-{guest} {step} {at(begun + 200 * number)}"
        for guest, (operation, steps, begun) in of.items()
        for number, step in enumerate(steps)
    ]
    rawlog.write(path, "timelines", {}, rows)


def paths(path: Path, grown: dict[str, tuple[int, int]]) -> None:
    before = [f"p {guest} 100 50 {at(0)}" for guest in grown]
    after = [
        f"p {guest} {100 + by_gateways} {50 + direct} {at(1500)}" for guest, (by_gateways, direct) in grown.items()
    ]
    rawlog.write(path, "paths", {}, before + after)


def dump(path: Path, rows: list[str]) -> None:
    rawlog.write(path, "dump", {}, [f"d {row}" for row in rows])
