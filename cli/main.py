"""`godwit`: the command. Every error ends in one line on standard error and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import httpx
import typer
from godwit_client import OperationFailed, Refused

from cli.access import DEFAULT_PROJECT, Source
from cli.commands import (
    backup,
    cloud,
    doctor,
    flavor,
    hypervisor,
    instance,
    ip,
    node,
    operation,
    pool,
    quota,
    token,
    trace,
    zone,
)
from cli.problems import FAILED, REFUSED, UNREACHABLE, USAGE, CommandError
from cli.session import Session
from common.errors import DomainError

INTERRUPTED = 130

app = typer.Typer(
    name="godwit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Addresses that stay while instances move.\n\nStart with: sudo godwit cloud up, then godwit ip list.",
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 3 an operation failed, 4 nothing answered.",
)
for group in (ip, instance, pool, quota, zone, node, hypervisor, flavor, operation, token, cloud):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])
app.command()(trace.trace)
app.command()(doctor.doctor)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(cloud.demo)


@app.callback()
def start(
    context: typer.Context,
    cloud_name: Annotated[
        str | None,
        typer.Option(
            "--cloud",
            envvar="GODWIT_CLOUD",
            help="The local cloud to use, where several run; compose: the one in containers.",
        ),
    ] = None,
    project: Annotated[
        str, typer.Option("--project", envvar="GODWIT_PROJECT", help="On a local cloud: the project to act in.")
    ] = DEFAULT_PROJECT,
) -> None:
    context.obj = Session(Source(os.environ, cloud_name, project))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Raises nothing."""
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="godwit", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except typer.TyperException as error:
        return _usage(error)
    except Exception as error:
        return _ended_by(error)
    return result if isinstance(result, int) else 0


def _ended_by(error: Exception) -> int:
    """What is not foreseen here is a fault of ours, and says so in one line as well."""
    match error:
        case CommandError():
            return complain(error.message, error.code, error.exit_code)
        case OperationFailed():
            return complain(error.message, error.code, FAILED)
        case Refused() | DomainError():
            return complain(error.message, error.code, REFUSED)
        case httpx.TransportError():
            return complain(_silence(error), "api.unreachable", UNREACHABLE)
    if os.environ.get("GODWIT_DEBUG"):
        traceback.print_exception(error)
    return complain(f"a fault of ours: {type(error).__name__}: {error}; GODWIT_DEBUG=1 shows where", "internal")


def complain(message: str, code: str, exit_code: int = REFUSED) -> int:
    """The one line."""
    print(f"godwit: {' '.join(message.split())} ({code})", file=sys.stderr)
    return exit_code


def _usage(error: typer.TyperException) -> int:
    """Wrong usage; a group without a command is a question, and its answer the help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return USAGE
    where = f"; see {context.command_path} --help" if context is not None else ""
    return complain(f"{error.format_message().rstrip('.')}{where}", "usage", USAGE)


def _silence(error: httpx.TransportError) -> str:
    try:
        where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    except RuntimeError:  # it was never sent
        where = "the API"
    return f"{where} does not answer: {str(error) or type(error).__name__}"


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
