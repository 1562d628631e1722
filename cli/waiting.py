"""Watching operations of both services until they are done."""

from __future__ import annotations

import sys

import godwit_client as client
from godwit_client import Connection, Operation, read_operation, watch

from cli.output import Progress
from cli.problems import Usage

LONG_POLL_S = 5.0


def get(api: Connection, operation_id: str, wait_s: float = 0.0) -> Operation:
    """The operation now, or when it is done, at most `wait_s` seconds later. Raises Refused, Usage."""
    try:
        return read_operation(api, operation_id, wait_s)
    except ValueError as error:
        raise Usage(str(error), "operation.id") from error


def describe(operation: Operation) -> str:
    """What it is doing, in a line."""
    line = f"{operation.kind}: {operation.state}"
    if operation.waiting_for:
        return f"{line}: {operation.waiting_for.text}"
    if operation.steps and operation.state == "running":
        return f"{line}: {operation.steps[-1].name}"
    return line


def wait(api: Connection, started: Operation) -> Operation:
    """Wait until it has succeeded, telling what it does. Raises OperationFailed when it ends otherwise."""
    progress = Progress()
    told = ""
    try:
        for now in watch(api, started, LONG_POLL_S):
            line = describe(now)
            progress.say(line)
            if now.state == "waiting" and line != told and not sys.stderr.isatty():
                print(line, file=sys.stderr)
                told = line
    except KeyboardInterrupt:
        progress.done()
        print(f"it goes on without you; `godwit operation watch {started.id}` shows how", file=sys.stderr)
        raise
    finally:
        progress.done()
    return client.wait(api, now)
