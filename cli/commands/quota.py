"""`godwit quota`: how many addresses a project may hold."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import answer, every
from godwit_client.ipam import models as wire
from godwit_client.ipam.api.quotas import list_quotas, put_quota

from cli.output import show_list, show_one
from cli.session import AsJson, session_of

app = typer.Typer(no_args_is_help=True, help="How many addresses of each family a project may hold.")


@app.command("list")
def list_(
    context: typer.Context,
    project: Annotated[str | None, typer.Option("--of", help="Operators: only this project's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the quotas of your project; an operator's, of all that have one."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.QuotaPage:
        return answer(list_quotas.sync_detailed(client=api.ipam, cursor=cursor, project=project))

    show_list(
        every(page),
        [
            ("PROJECT", lambda quota: quota.project),
            ("FAMILY", lambda quota: quota.family.value),
            ("HOLDS", lambda quota: quota.used),
            ("OF", lambda quota: quota.limit),
        ],
        as_json,
        "no project holds an address yet",
    )


@app.command("set")
def set_(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="The id of a project.", show_default=False)],
    family: Annotated[wire.Family, typer.Argument(help="Of which addresses.", show_default=False)],
    limit: Annotated[int, typer.Argument(min=0, help="It keeps what it has above it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Grant a project a number of addresses. Needs the role operator."""
    api = session_of(context).api
    granted = answer(put_quota.sync_detailed(project, family, client=api.ipam, body=wire.QuotaPut(limit=limit)))
    fields = {"project": granted.project, "family": granted.family.value, "holds": granted.used, "of": granted.limit}
    show_one(granted, fields, as_json)
