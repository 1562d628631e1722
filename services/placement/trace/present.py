"""From what was judged to what the API answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from services.placement import wire
from services.placement.trace.facts import Port, Prefix
from services.placement.trace.judge import Finding
from services.placement.trace.way import Step, Trace, Way


def trace_wire(trace: Trace) -> wire.Trace:
    port = trace.intent.port
    return wire.Trace(
        address=_shown(trace.intent.prefix),
        zone=trace.intent.zone,
        instance=port.name if port else None,
        port=port.id if port else None,
        verdict=trace.verdict,
        summary=trace.summary,
        inbound=_way(trace.inbound),
        outbound=_way(trace.outbound),
        steps=[_step(step) for step in trace.steps],
        findings=[_finding(finding) for finding in trace.findings],
    )


def reachability_wire(port: Port, traces: Sequence[Trace]) -> wire.Reachability:
    return wire.Reachability(
        port=port.id,
        mode=wire.Mode(port.mode),
        addresses=[
            wire.AddressReachability(
                address=_shown(trace.intent.prefix),
                verdict=trace.verdict,
                summary=trace.summary,
                inbound=trace.inbound.arrives,
                outbound=trace.outbound.arrives,
                findings=[_finding(finding) for finding in trace.findings],
            )
            for trace in traces
        ],
    )


def _shown(prefix: Prefix) -> str:
    """As the ledger shows it: an IPv4 address, or an IPv6 prefix."""
    return str(prefix.network_address) if isinstance(prefix, IPv4Network) else str(prefix)


def _way(way: Way) -> wire.TraceWay:
    return wire.TraceWay(places=list(way.places), arrives=way.arrives)


def _step(step: Step) -> wire.TraceStep:
    return wire.TraceStep(
        direction=step.direction,
        place=step.place,
        part=step.part,
        asked=step.asked,
        seen=step.seen,
        agrees=step.agrees,
    )


def _finding(finding: Finding) -> wire.TraceFinding:
    return wire.TraceFinding(
        code=finding.code,
        nature=finding.nature,
        place=finding.place,
        text=finding.text,
        remedy=finding.remedy,
        stops=sorted(finding.stops),
    )
