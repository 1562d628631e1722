"""Every answer these tests get is one that the service's OpenAPI document names: its status, and a problem's code."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Match

from common.web.problems import CODES


def hold_to_document(http: TestClient, app: FastAPI) -> None:
    """Let every request through `http` fail if `app` answers what its document does not say."""
    http.event_hooks = {"response": [partial(_check, app)]}


def operation_of(app: FastAPI, request: httpx.Request) -> dict[str, Any] | None:
    """What the document says of the operation that a request asks for; None if there is no such operation."""
    scope = {"type": "http", "method": request.method, "path": request.url.path}
    for route in app.routes:
        if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
            found: dict[str, Any] = app.openapi()["paths"][route.path][request.method.lower()]
            return found
    return None


def _check(app: FastAPI, response: httpx.Response) -> None:
    operation = operation_of(app, response.request)
    if operation is None:
        return
    what = f"{operation['operationId']} answers {response.status_code}"
    documented = operation["responses"].get(str(response.status_code))
    assert documented is not None, f"{what}: its document does not say so: {response.read()!r}"
    if response.is_error:
        response.read()
        code = response.json()["code"]
        assert code in documented[CODES], f"{what} with {code}: its document does not say so"
