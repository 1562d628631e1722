"""`godwit trace`: where packets for an address go, and where that is not what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from godwit_client import answer
from godwit_client.placement import models as wire
from godwit_client.placement.api.traces import trace_address

from cli.output import console, fields_table, print_all, print_json, rows_table
from cli.session import AsJson, session_of

MARKS = {True: "✓", False: "✗", None: None}
WAYS = {"in": "→ in", "out": "← out"}


def trace(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="IPv4 or IPv6 address, or IPv6 prefix.", show_default=False)],
    zone: Annotated[str | None, typer.Option(help="Of a private address that several zones have.")] = None,
    as_json: AsJson = False,
) -> None:
    """Trace one address through ledger, controller and kernels, in both directions. Needs the role operator."""
    api = session_of(context).api
    found = answer(trace_address.sync_detailed(client=api.placement, address=address, zone=zone))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)


def _show(found: wire.Trace) -> None:
    fields = {
        "address": found.address,
        "verdict": found.verdict.value,
        "": found.summary,
        "way in": _way(found.inbound),
        "way out": _way(found.outbound),
        "instance": found.instance,
        "zone": found.zone,
    }
    print_all(fields_table(fields))
    print_all(rows_table(["", "WAY", "PLACE", "WHAT", "AS IT IS", "AS ASKED"], _steps(found)))
    for one in found.findings:
        console().print()
        print_all(fields_table({one.nature.value: one.code, "at": one.place, "what": one.text, "remedy": one.remedy}))


def _way(way: wire.TraceWay) -> str:
    ends = {True: "", False: "  and no further", None: "  as far as is known"}[way.arrives]
    return " → ".join(way.places) + ends


def _steps(found: wire.Trace) -> Iterator[list[object]]:
    for step in found.steps:
        asked = step.asked if step.agrees is not True else None
        nothing = "nothing" if step.agrees is False else "not known" if step.part is wire.Part.AGENT else None
        way = WAYS[step.direction.value] if step.direction else None
        yield [MARKS[step.agrees], way, step.place, step.part.value, step.seen or nothing, asked]
