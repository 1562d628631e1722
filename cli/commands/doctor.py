"""`godwit doctor`: what is not well with an installation, and what mends it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import httpx
import typer
from godwit_client import Connection, Operation, Patient, Refused, answer, connect, every
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.operations import list_operations as list_of_ipam
from godwit_client.ipam.api.status import get_ledger_status
from godwit_client.placement import models as placement
from godwit_client.placement.api.conversions import list_conversions
from godwit_client.placement.api.operations import list_operations as list_of_placement
from godwit_client.placement.api.status import get_controller_status

from cli import find
from cli.doctor import Clock, Facts, findings
from cli.output import fields_table, print_all, print_json
from cli.session import AsJson, session_of
from common import VERSION

T = TypeVar("T")
ANSWERS_WITHIN_S = 5.0  # a supervisor may hold a dead service's door open
LOOK_AGAIN_S = 3.0  # a node that is behind now is told in between
CHECKED = (
    "both APIs, their versions, databases and clocks; the broker, queues and workers; certificates; nodes; operations;"
    " conversions; pools"
)
AND_HOST = "; this machine's kernel"


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check an installation, and say what to mend. Needs the role operator. Exit code 1 if anything is found.

    As root beside a local cloud, this machine's kernel is tried as well.
    """
    session = session_of(context)
    access = session.access()
    impatient = Patient(unreachable_s=0, unavailable_s=0)
    api = connect(access.ipam_url, access.placement_url, access.token, impatient, ANSWERS_WITHIN_S)
    with_host = os.geteuid() == 0 and session.source.is_local
    found = findings(gather(api, with_host=with_host))
    if as_json:
        print_json({"findings": [dataclasses.asdict(finding) for finding in found]})
    elif not found:
        print(f"sound: {CHECKED}{AND_HOST if with_host else ''}")
    for finding in found if not as_json else ():
        print_all(
            fields_table(
                {finding.code: finding.where, "what": finding.text, "remedy": finding.remedy, "": ""},
            )
        )
    raise typer.Exit(1 if found else 0)


def gather(api: Connection, *, with_host: bool) -> Facts:
    """Ask everybody; who does not answer is a fact as well."""
    facts = Facts(VERSION, datetime.now(UTC))
    with _asking(facts, "ipam"):
        facts.ledger = _timed(facts, "ipam", lambda: answer(get_ledger_status.sync_detailed(client=api.ipam)))
        facts.waiting = [*_waiting_of_ipam(api)]
    with _asking(facts, "placement"):
        facts.controller = _timed(
            facts, "placement", lambda: answer(get_controller_status.sync_detailed(client=api.placement))
        )
        facts.waiting = [*facts.waiting, *_waiting_of_placement(api)]
        facts.conversions = list(
            every(lambda cursor: answer(list_conversions.sync_detailed(client=api.placement, cursor=cursor)))
        )
        facts.nodes = find.nodes(api)
        before = _behind(facts.nodes)
        if before:
            time.sleep(LOOK_AGAIN_S)
            facts.nodes = find.nodes(api)
            facts.stuck = frozenset(name for name, at in _behind(facts.nodes).items() if before.get(name) == at)
    if with_host:
        facts.host = _host()
    return facts


@contextmanager
def _asking(facts: Facts, service: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        facts.silent[service] = f"{error.message} ({error.code})"
    except httpx.TransportError as error:
        facts.silent[service] = f"it does not answer: {error or type(error).__name__}"


S = TypeVar("S", ipam.LedgerStatus, placement.ControllerStatus)


def _timed(facts: Facts, service: str, ask: Callable[[], S]) -> S:
    before = datetime.now(UTC)
    said = ask()
    facts.clocks[service] = Clock(said.at, before, datetime.now(UTC))
    return said


def _behind(nodes: list[placement.Node]) -> dict[str, int]:
    return {node.name: node.applied_generation for node in nodes if node.applied_generation < node.generation}


def _waiting_of_ipam(api: Connection) -> Iterator[Operation]:
    waiting = ipam.OperationState.WAITING
    yield from every(lambda cursor: answer(list_of_ipam.sync_detailed(client=api.ipam, state=waiting, cursor=cursor)))


def _waiting_of_placement(api: Connection) -> Iterator[Operation]:
    waiting = placement.OperationState.WAITING
    yield from every(
        lambda cursor: answer(list_of_placement.sync_detailed(client=api.placement, state=waiting, cursor=cursor))
    )


def _host() -> dict[str, str]:
    """What this kernel does not do, tried in namespaces that are gone afterwards."""
    argv = ["unshare", "--net", "--mount", sys.executable, "-m", "cloud.host"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"unshare": (done.stderr.strip().splitlines() or ["it fails"])[-1]}
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())
