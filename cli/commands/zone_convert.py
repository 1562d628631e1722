"""`godwit zone convert`: a zone taken off the central NAT, wave by wave, planned and watched."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Self

import typer
from godwit_client import Connection, Refused, answer
from godwit_client.placement import models as wire
from godwit_client.placement.api.conversions import (
    abort_conversion,
    get_conversion,
    list_conversion_ports,
    list_conversions,
    pause_conversion,
    plan_conversion,
    resume_conversion,
    seal_conversion,
    start_conversion,
)
from godwit_client.placement.api.zones import get_zone
from godwit_client.placement.types import UNSET
from rich.console import Group
from rich.live import Live

from cli import find, waiting
from cli.commands.instance import becomes
from cli.output import console, fields_table, print_all, print_table, rows_table, show_fields, show_one
from cli.problems import FAILED, CommandError, Usage
from cli.session import AsJson, ValidateOnly, Wait, session_of

app = typer.Typer(
    no_args_is_help=True,
    help="Take a zone off the central NAT, wave by wave: every public address and every IPv6 address stays.",
)

Zone = Annotated[str, typer.Argument(help="The zone's name.", show_default=False)]
PHASES = [
    wire.Phase.PLANNED,
    wire.Phase.DUAL,
    wire.Phase.CANARY,
    wire.Phase.WAVES,
    wire.Phase.NO_NEW_NAT,
    wire.Phase.TAIL,
    wire.Phase.DRAINING,
    wire.Phase.DONE,
]
Through = Annotated[
    wire.Phase | None,
    typer.Option(metavar="PHASE", help=f"Pause by itself at the end of it: {', '.join(PHASES)}. Default: done."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

OVER = {wire.Phase.DONE, wire.Phase.ABORTED}
TROUBLED = (
    wire.PortState.NEEDS_OPERATOR,
    wire.PortState.FAILED,
    wire.PortState.ROLLING_BACK,
    wire.PortState.BLOCKED,
    wire.PortState.WAITING,
)
LISTED = 100  # troubled ports of a state; counts tell of the others
LOOK_AGAIN_S = 1.0
AS_ASKED = "conversion.through"


@app.command()
def plan(
    context: typer.Context,
    zone: Zone,
    through: Through = None,
    in_flight: Annotated[int, typer.Option(min=1, max=1000, help="Ports between two modes at a time.")] = 50,
    failure_budget: Annotated[int, typer.Option(min=0, help="Ports that may fail before it pauses by itself.")] = 10,
    soak: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="From a guest's taking its address to the seal.")
    ] = 604_800,
    restart_guests: Annotated[
        bool, typer.Option("--restart-guests", help="In the tail: those that have not restarted by then.")
    ] = False,
    canary: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZE", help="A wave of it: ports, or a share as 1%; several times. Default: 1, 10, 1%."),
    ] = None,
    waves: Annotated[
        list[str] | None,
        typer.Option(
            "--wave", metavar="SIZE", help="One after it; the last goes on to the end. Default: 5%, 10%, 25%."
        ),
    ] = None,
    internal_project: Annotated[str | None, typer.Option(help="Whose instances are converted first.")] = None,
    validate_only: ValidateOnly = False,
    as_json: AsJson = False,
) -> None:
    """Plan a conversion: waves, what stands against it, every address before and after. Nothing changes yet."""
    api = session_of(context).api
    body = wire.ConversionCreate(
        zone=zone,
        through=through or UNSET,
        in_flight=in_flight,
        failure_budget=failure_budget,
        soak_s=soak,
        restarts_guests=restart_guests,
        canary=canary or UNSET,
        waves=waves or UNSET,
        internal_project=internal_project,
    )
    response = plan_conversion.sync_detailed(client=api.placement, body=body, validate_only=validate_only)
    planned = answer(response)
    if as_json:
        show_one(planned, {}, as_json)
        return
    _show_plan(planned)
    if not validate_only:
        print(f"start it: godwit zone convert start {zone}")


@app.command()
def start(context: typer.Context, zone: Zone, wait: Wait = True, as_json: AsJson = False) -> None:
    """Start what was planned, if nothing has changed since, and watch it."""
    api = session_of(context).api
    found = latest(api, zone)
    try:
        started = answer(start_conversion.sync_detailed(found.id, client=api.placement))
    except Refused as error:
        if error.code != "placement.conversion.plan_stale":
            raise
        raise CommandError(f"{error.message}: godwit zone convert plan {zone}", error.code) from error
    _follow(api, started, wait, as_json)


@app.command()
def watch(context: typer.Context, zone: Zone, as_json: AsJson = False) -> None:
    """Watch a conversion until it is over or pauses. Exit code 3 if that is not what was asked for.

    With --json a line at every change.
    """
    api = session_of(context).api
    found = latest(api, zone)
    if found.operation is None:
        text = f"what is planned for zone {zone} has not been started: godwit zone convert start {zone}"
        raise CommandError(text, "placement.conversion.phase")
    _follow(api, found, True, as_json)


@app.command()
def pause(
    context: typer.Context,
    zone: Zone,
    reason: Annotated[str, typer.Option(help="What others read who watch it.")] = "asked for",
    as_json: AsJson = False,
) -> None:
    """Give no port its turn any more. Those between two modes go on to their end."""
    api = session_of(context).api
    body = wire.ConversionPause(reason=reason)
    _show(answer(pause_conversion.sync_detailed(latest(api, zone).id, client=api.placement, body=body)), as_json)


@app.command()
def resume(
    context: typer.Context, zone: Zone, through: Through = None, wait: Wait = True, as_json: AsJson = False
) -> None:
    """Go on where it was paused; in the tail also with what was blocked or failed."""
    api = session_of(context).api
    body = wire.ConversionResume(through=through or UNSET)
    resumed = answer(resume_conversion.sync_detailed(latest(api, zone).id, client=api.placement, body=body))
    _follow(api, resumed, wait, as_json)


@app.command()
def abort(context: typer.Context, zone: Zone, yes: Yes = False, wait: Wait = True, as_json: AsJson = False) -> None:
    """Bring every port back behind the NAT. A guest that has its address itself keeps it."""
    api = session_of(context).api
    found = latest(api, zone)
    if not yes:
        _askable()
        typer.confirm(f"Bring every port of zone {zone} back behind the NAT?", abort=True, err=True)
    aborted = answer(abort_conversion.sync_detailed(found.id, client=api.placement))
    _follow(api, aborted, wait, as_json, wanted=wire.Phase.ABORTED)


@app.command()
def seal(context: typer.Context, zone: Zone, yes: Yes = False, as_json: AsJson = False) -> None:
    """Free the 10.x of guests that have had their address for the soak time. There is no way back."""
    api = session_of(context).api
    found = latest(api, zone)
    if not yes:
        _askable()
        typed = typer.prompt(
            f"This frees the 10.x addresses of zone {zone}, and cannot be undone. Type the zone's name", err=True
        )
        if typed != zone:
            raise Usage(f"nothing was sealed: {typed!r} is not {zone!r}", "confirmation.differs")
    _show(answer(seal_conversion.sync_detailed(found.id, client=api.placement)), as_json)


def _askable() -> None:
    if not sys.stdin.isatty():
        raise Usage("nobody can be asked here whether that is meant: say --yes", "confirmation.missing")


def latest(api: Connection, zone: str) -> wire.Conversion:
    """The zone's newest conversion, over or not. Raises NotFound, CommandError."""
    found = answer(list_conversions.sync_detailed(client=api.placement, zone=zone, limit=1)).items
    if found:
        return found[0]
    find.known(lambda: answer(get_zone.sync_detailed(zone, client=api.placement)), "zone", zone)
    text = f"no conversion of zone {zone} was planned: godwit zone convert plan {zone}"
    raise CommandError(text, "placement.conversion.unknown")


# --- a plan ----------------------------------------------------------------------------------------------------------


def _show_plan(planned: wire.ConversionPlan) -> None:
    show_fields(
        {
            "zone": planned.zone,
            "instances": len(planned.planned),
            "addresses changed": planned.addresses_changed,
            "goes through": planned.through.value,
            "in flight": planned.in_flight,
            "failures allowed": planned.failure_budget,
            "soak": f"{planned.soak_s} s",
            "restarts guests": planned.restarts_guests,
        }
    )
    names = {wave.number: [port.name for port in planned.planned if port.wave == wave.number] for wave in planned.waves}
    print_table(
        ["WAVE", "PHASE", "PORTS", "INSTANCES"],
        [
            (wave.number, wave.phase.value, len(names[wave.number]), ", ".join(names[wave.number]))
            for wave in planned.waves
        ],
    )
    found = [(port, finding) for port in planned.planned for finding in port.findings]
    if found:
        found.sort(key=lambda pair: pair[1].effect != wire.Effect.BLOCKS)
        print_table(
            ["INSTANCE", "PROJECT", "EFFECT", "FOUND", "WHAT MENDS IT"],
            [
                (port.name, port.project, finding.effect.value, said(finding.reason), finding.reason.remedy)
                for port, finding in found
            ],
        )
    print_table(
        ["INSTANCE", "PROJECT", "MODE", "AFTER ITS RESTART", "ADDRESS", "BECOMES"],
        [
            (
                port.name,
                port.project,
                port.predicted.mode.value,
                port.predicted.mode_after_restart.value,
                [address.before for address in port.predicted.addresses],
                [becomes(address) for address in port.predicted.addresses],
            )
            for port in planned.planned
        ],
    )


def said(reason: wire.Reason) -> str:
    return f"{reason.text} ({reason.code})"


# --- watching --------------------------------------------------------------------------------------------------------


def _follow(
    api: Connection, conversion: wire.Conversion, wait: bool, as_json: bool, wanted: wire.Phase = wire.Phase.DONE
) -> None:
    """Show it until it is over or paused. Raises CommandError unless it ended as asked for."""
    if not wait:
        _show(conversion, as_json)
        return
    try:
        with Screen(as_json) as screen:
            screen.show(conversion, _troubled(api, conversion))
            while conversion.phase not in OVER and not conversion.paused:
                waiting.get(api, str(conversion.operation), LOOK_AGAIN_S)
                conversion = answer(get_conversion.sync_detailed(conversion.id, client=api.placement))
                screen.show(conversion, _troubled(api, conversion))
    except KeyboardInterrupt:
        print(f"it goes on without you; `godwit zone convert watch {conversion.zone}` shows how", file=sys.stderr)
        raise
    if conversion.phase in OVER:
        if conversion.phase != wanted:
            raise CommandError(f"the conversion was {conversion.phase}", f"conversion.{conversion.phase}", FAILED)
        return
    reasons = [one for one in conversion.paused if one.code != AS_ASKED]
    if reasons:
        text = f"paused in {conversion.phase}: {'; '.join(f'{one.text}: {one.remedy}' for one in reasons)}"
        raise CommandError(text, reasons[0].code, FAILED)


def _troubled(api: Connection, conversion: wire.Conversion) -> list[wire.PortConversion]:
    """Ports that have a reason for not being converted."""
    current = next((wave.number for wave in conversion.waves if wave.started_at and not wave.ended_at), UNSET)
    found: list[wire.PortConversion] = []
    for state in TROUBLED:
        if conversion.ports.additional_properties.get(state):
            page = list_conversion_ports.sync_detailed(
                conversion.id,
                client=api.placement,
                state=state,
                wave=current if state is wire.PortState.WAITING else UNSET,
                limit=LISTED,
            )
            found += [port for port in answer(page).items if port.reasons]
    return found


class Screen:
    """Shows a conversion as it changes: in place on a terminal, else a line at every change; JSON lines for scripts."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        out = console()
        self._live = Live(console=out, auto_refresh=False) if out.is_terminal and not as_json else None
        self._told: object = None
        self._last: Group | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._last is not None:
            print_all(self._last)

    def show(self, conversion: wire.Conversion, troubled: Sequence[wire.PortConversion]) -> None:
        if self._json:
            whole = {**conversion.to_dict(), "troubled": [port.to_dict() for port in troubled]}
            self._tell(json.dumps(whole), {**whole, "estimated_end": None})
            return
        self._last = view(conversion, troubled)
        if self._live is not None:
            self._live.update(self._last, refresh=True)
        else:
            line = f"{conversion.phase}: {counts(conversion.ports.additional_properties)}"
            self._tell(line, line)

    def _tell(self, line: str, what: object) -> None:
        """Print `line`, unless `what` it tells has been told."""
        if what != self._told:
            print(line, flush=True)
            self._told = what


def _show(conversion: wire.Conversion, as_json: bool) -> None:
    if as_json:
        show_one(conversion, {}, as_json)
    else:
        print_all(view(conversion, ()))


def view(conversion: wire.Conversion, troubled: Sequence[wire.PortConversion]) -> Group:
    """A conversion as a person watches it."""
    parts = [
        fields_table(
            {
                "zone": conversion.zone,
                "phase": way(conversion.phase),
                "paused": [f"{said(one)}\n  {one.remedy}" for one in conversion.paused],
                "ports": counts(conversion.ports.additional_properties),
                "rate": f"{conversion.ports_per_s:.1f} ports/s" if conversion.ports_per_s else None,
                "estimated end": conversion.estimated_end,
                "probes lost": f"{conversion.probes_lost} of {conversion.probes_sent}",
                "attempts": conversion.attempts,
                "operation": conversion.operation,
            }
        ),
        rows_table(
            ["WAVE", "PHASE", "PORTS", "STARTED", "ENDED"],
            [
                (
                    wave.number,
                    wave.phase.value,
                    counts(wave.ports.additional_properties),
                    wave.started_at,
                    wave.ended_at,
                )
                for wave in conversion.waves
            ],
        ),
    ]
    if troubled:
        parts.append(
            rows_table(
                ["INSTANCE", "WAVE", "STATE", "WHY", "WHAT MENDS IT"],
                [
                    (
                        port.name,
                        port.wave,
                        port.state.value,
                        [said(reason) for reason in port.reasons],
                        [reason.remedy for reason in port.reasons],
                    )
                    for port in troubled
                ],
            )
        )
    return Group(*parts)


def way(phase: wire.Phase) -> str:
    """All phases, the present one in brackets."""
    known = PHASES if phase in PHASES else [*PHASES, phase]
    return " ".join(f"<{one}>" if one is phase else str(one) for one in known)


def counts(ports: dict[str, int]) -> str:
    """Ports by state: `verified 12, waiting 3`."""
    return ", ".join(f"{state} {count}" for state, count in sorted(ports.items()) if count) or "none"
