"""`godwit token`: what shows the APIs who you are. Made here, without asking anyone."""

from __future__ import annotations

import base64
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from joserfc.errors import JoseError

from cli.access import AUDIENCES, DEFAULT_PROJECT, VARIABLES, checked_roles
from cli.output import print_json, show_fields
from cli.problems import CommandError, Usage
from cli.session import AsJson, session_of
from common.auth import LIFETIME_S, Principal, Signer

app = typer.Typer(no_args_is_help=True, help="Tokens, which show the APIs who you are and what you may do.")


@app.command()
def create(
    context: typer.Context,
    key: Annotated[
        Path | None,
        typer.Option(
            help="A private key (Ed25519, PEM); its file name without .pem is the key's id. Default: the local cloud's."
        ),
    ] = None,
    project: Annotated[str, typer.Option(help="The project it acts in.")] = DEFAULT_PROJECT,
    role: Annotated[list[str] | None, typer.Option(help="member (default), reader, operator; may be repeated.")] = None,
    subject: Annotated[str, typer.Option(help="Who will be named in the records.")] = "cli",
    lifetime: Annotated[int, typer.Option(min=1, max=LIFETIME_S, help="Seconds until it expires.")] = LIFETIME_S,
) -> None:
    """Make a token and print it.

    For example: export GODWIT_TOKEN=$(godwit token create --project shop)
    """
    roles = checked_roles(role or ["member"])
    if key is None:
        print(session_of(context).source.token(project, roles, subject, lifetime))
        return
    try:
        signer = Signer.from_file(key)
        print(signer.sign(Principal(subject, project, roles), AUDIENCES, lifetime))
    except OSError as error:
        raise CommandError(f"cannot read {key}: {error.strerror}", "token.key_unreadable") from error
    except (JoseError, ValueError) as error:
        raise CommandError(f"{key} holds no Ed25519 private key", "token.key_invalid") from error


@app.command()
def env(context: typer.Context) -> None:
    """Print what a shell sets so that programs find this cloud.

    For example: eval "$(godwit token env)"
    """
    access = session_of(context).access()
    for name, value in zip(VARIABLES, (access.ipam_url, access.placement_url, access.token), strict=True):
        print(f"export {name}={value}")


@app.command()
def show(
    token: Annotated[str | None, typer.Argument(help="The token; - reads it.", envvar="GODWIT_TOKEN")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a token says. Its signature is not checked: only the APIs can."""
    text = sys.stdin.read().strip() if token == "-" else token  # noqa: S105  no secret, the usual word for standard input
    if not text:
        raise Usage("say which token, or set GODWIT_TOKEN")
    claims = _claims(text)
    if as_json:
        print_json(claims)
        return
    expires = datetime.fromtimestamp(claims.get("exp", 0), UTC)
    left_s = int(claims.get("exp", 0) - time.time())
    show_fields(
        {
            "subject": claims.get("sub"),
            "project": claims.get("project"),
            "roles": ", ".join(claims.get("roles", [])),
            "for": ", ".join(claims.get("aud", [])),
            "id": claims.get("jti"),
            "expires": expires,
            "left": f"{left_s} s" if left_s > 0 else "expired",
        }
    )


def _claims(token: str) -> dict[str, Any]:
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError as error:
        raise CommandError("this is no token", "token.malformed") from error
    if not isinstance(claims, dict):
        raise CommandError("this is no token", "token.malformed")
    return claims
