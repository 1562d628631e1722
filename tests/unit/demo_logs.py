"""Synthetic raw logs of a demo in which everything is known: what the analysis must find in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from cloud import rawlog

MS = 1_000_000
START_NS = 50_000 * MS
TO_ONE = {"targets": ["198.18.16.1"]}  # header of a log of one connection


def probe_records(
    count: int,
    lost: Collection[int] = (),
    target: int = 0,
    late: dict[int, int] | None = None,
    holder_from: dict[int, str] | None = None,
) -> list[str]:
    """`count` probes a millisecond apart, answered after 0.2 ms but for the lost; `late` delays the sending, in ms."""
    records, answers = [], []
    holder = "-"
    for sequence in range(count):
        at_ns = START_NS + (sequence + (late or {}).get(sequence, 0)) * MS
        records.append(f"s {target} {sequence} {at_ns}")
        holder = (holder_from or {}).get(sequence, holder)
        if sequence not in lost:
            answers.append(f"r {target} {sequence} {at_ns + 200_000} {holder}")
    return records + answers


def write_probe(path: Path, *tracks: Iterable[str]) -> None:
    records = [record for track in tracks for record in track]
    header = {"targets": [f"198.18.16.{number}" for number in range(1, len(tracks) + 1)], "interval_us": 1000}
    rawlog.write(path, "probe", header, records)


def write_events(path: Path, *rows: tuple[int, str]) -> None:
    """Rows of a probe's sequence number (its time) and what happened then."""
    rawlog.write(path, "events", {}, [f"e {START_NS + sequence * MS + MS // 2} {what}" for sequence, what in rows])


def write_legs(logs: Path, name: str, packets: dict[str, int]) -> None:
    for node, sent in packets.items():
        rows = [f"l g1 {sent} {7 + sent * step // 10} {START_NS + step}" for step in range(11)]
        rawlog.write(logs / f"{name}.{node}.legs", "legs", {}, rows)


def write_flows(logs: Path, name: str, arrived: int) -> None:
    flow = {"number": 3, "origin": "jail", "towards": "anywhere"}
    rawlog.write(logs / f"{name}.jail.sent", "sent", {"flows": [flow]}, [f"s 3 {n} {START_NS}" for n in range(100)])
    seen = [f"r 3 {n} {START_NS + 1} up0" for n in [*range(arrived), *range(arrived)]]  # every packet on two links
    rawlog.write(logs / f"{name}.internet.seen", "seen", {"place": "internet"}, seen)
    echoes = [f"r 3 {n} {START_NS + 1} eth0" for n in range(100)]  # ICMP errors to the sender itself: no arrival
    rawlog.write(logs / f"{name}.jail.seen", "seen", {"place": "jail"}, echoes)


def write_demo(logs: Path) -> None:
    """A demo in which: the NAT move loses probes 3000 to 3019, the routed one none, each re-attachment ten."""
    logs.mkdir()
    write_probe(logs / "nat_move.probe", probe_records(6000, lost=range(3000, 3020)))
    write_events(logs / "nat_move.events", (2990, "requested"), (3050, "realised"))
    write_legs(logs, "nat_move", {"hypervisor-1": 3000, "hypervisor-2": 2900, "hypervisor-3": 4})
    write_probe(logs / "routed_move.probe", *(probe_records(4000, target=number) for number in range(3)))
    write_events(logs / "routed_move.events", (1990, "requested"), (2050, "realised"))
    write_legs(logs, "routed_move", {"hypervisor-1": 6000, "hypervisor-2": 5900})
    rawlog.write(logs / "routed_move.tcp", "tcp", TO_ONE, ["s 0 0 1", "s 0 1 9", "r 0 0 3", "r 0 1 12"])
    write_reattach(logs)
    write_flows(logs, "isolated", 0)
    write_flows(logs, "isolated_control", 42)


def write_reattach(logs: Path, late: dict[int, int] | None = None) -> None:
    """Twenty re-attachments, 400 ms apart: the Nth is answered by the new holder from the tenth probe on."""
    asked = range(500, 500 + 20 * 400, 400)
    lost = [request + step for request in asked for step in range(1, 11)]
    holders = {request + 11: f"web-{index % 2}" for index, request in enumerate(asked)} | {0: "web-1"}
    write_probe(logs / "reattach.probe", probe_records(9000, lost, late=late, holder_from=holders))
    rows = [(request, f"requested {index} web-{index % 2}") for index, request in enumerate(asked)]
    write_events(logs / "reattach.events", *rows)
