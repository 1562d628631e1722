"""The figures of a tour, counted from its raw logs, and what they must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cloud import measure
from cloud.measure import Loss, Repetition
from cloud.tour.show import Figure

MOST_NAT_GAP_MS = 100.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What the chapters found. None: it could not be measured well enough, and is not reported."""

    nat_move: Loss | None = None
    routed_move: Loss | None = None
    reattachments: list[Repetition] | None = None
    isolated: tuple[int, int] | None = None
    isolated_control: tuple[int, int] | None = None


def figures(found: Measured) -> dict[str, Figure]:
    """By key: value (milliseconds with three decimals, or packets) and n."""
    table: dict[str, Figure] = {}
    for name, loss in (("nat_move", found.nat_move), ("routed_move", found.routed_move)):
        if loss is not None:
            table[f"{name}_gap_ms"] = (round(loss.gap_ms, 3), loss.sent)
            table[f"{name}_lost"] = (loss.lost, loss.sent)
    if found.reattachments:
        times = [one.to_packet_ms for one in found.reattachments]
        worst = max(one.gap_ms for one in found.reattachments)
        table["reattach_gap_ms"] = (round(worst, 3), sum(one.probes for one in found.reattachments))
        table["api_to_packet_ms_p50"] = (round(measure.percentile(times, 0.50), 3), len(times))
        table["api_to_packet_ms_p99"] = (round(measure.percentile(times, 0.99), 3), len(times))
    if found.isolated is not None:
        table["isolated_packets"] = found.isolated
    if found.isolated_control is not None:
        table["isolated_control_packets"] = found.isolated_control
    return table


def shortfalls(table: Mapping[str, Figure]) -> list[str]:
    """What is not as promised, a line each."""
    found = []
    if table.get("nat_move_gap_ms", (0.0, 0))[0] > MOST_NAT_GAP_MS:
        found.append(f"the NAT move's gap is more than {MOST_NAT_GAP_MS:.0f} ms")
    if table.get("routed_move_lost", (0, 0))[0] > 0:
        found.append("the routed move lost packets")
    if table.get("isolated_packets", (0, 0))[0] > 0:
        found.append("packets of or to the isolated guest arrived")
    if table.get("isolated_control_packets", (1, 0))[0] == 0:
        found.append("the control saw no packets, so the zero beside it says nothing")
    return found


def row(key: str, figure: Figure) -> list[str]:
    """Key, value with its unit, and n with what was counted."""
    value, n = figure
    unit = "ms" if "_ms" in key else "packets"
    counted = "repetitions" if key.startswith("api_to_packet") else "packets" if "isolated" in key else "probes"
    shown = f"{value:.1f}" if unit == "ms" else f"{value:.0f}"
    return [key, f"{shown} {unit}", f"{n} {counted}"]
