"""A service's application: request ids, errors as problems, no unknown query parameters."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute

from common import metrics
from common.auth import RoleMissing, TokenRefused
from common.db import Contended, DatabaseUnavailable
from common.errors import Invalid
from common.logs import HEADER
from common.web import document
from common.web.calls import InvalidHeader, KeyInFlight, KeyReused, StaleRevision
from common.web.paging import InvalidCursor
from common.web.problems import RequestInvalid, answer_errors_of, problem, refuses

log = structlog.get_logger()

REQUEST_ID = re.compile(r"[!-~]{1,128}")


class UnknownParameter(Invalid):
    """A query parameter is unknown, empty or given twice."""

    code = "request.parameter"


async def _identify(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give the request an id, log it, and answer a fault with a problem that carries the id. Count it."""
    started = time.perf_counter()
    given = request.headers.get(HEADER, "")
    request.state.request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
    with structlog.contextvars.bound_contextvars(request_id=request.state.request_id):
        try:
            response = await call_next(request)
        except Exception:
            log.exception("request.fault", method=request.method, path=request.url.path)
            response = problem(request, 500, "internal", "A fault of ours.", "The request failed; it has been logged.")
    response.headers[HEADER] = request.state.request_id
    route = request.scope.get("route")  # of what is no operation, the path is anybody's choice: no label of ours
    operation = (route.operation_id if isinstance(route, APIRoute) else None) or "none"
    service = request.app.state.service
    metrics.REQUESTS.labels(service, operation, str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(service, operation).observe(time.perf_counter() - started)
    return response


def _known_parameters(request: Request) -> None:
    route = request.scope.get("route")
    known = {param.alias for param in _query_params(route.dependant)} if isinstance(route, APIRoute) else set()
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise UnknownParameter(
                f"there is no query parameter {name!r} here; known: {', '.join(sorted(known)) or '-'}"
            )
        if name in seen or value == "":
            raise UnknownParameter(f"query parameter {name!r} is given twice or is empty")
        seen.add(name)


def _query_params(dependant: Any) -> list[Any]:
    found = list(dependant.query_params)
    for child in dependant.dependencies:
        found += _query_params(child)
    return found


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = document.finished(super().openapi(), EVERY_REQUEST)
        return self.openapi_schema


EVERY_REQUEST = document.Refusals(
    always=refuses(TokenRefused, RoleMissing, UnknownParameter, RequestInvalid, DatabaseUnavailable),
    with_parameter={
        "cursor": refuses(InvalidCursor),
        "Idempotency-Key": refuses(KeyInFlight, KeyReused, Contended),
        "If-Match": refuses(StaleRevision, InvalidHeader),
    },
)


def create_app(title: str, routers: list[APIRouter], tags: dict[str, str] | None = None, **kwargs: Any) -> FastAPI:
    """A service's application: its routers, errors as problems. `tags` describes each kind of resource."""
    app = _App(
        title=title,
        version="1",
        openapi_tags=[{"name": name, "description": text} for name, text in (tags or {}).items()],
        separate_input_output_schemas=False,
        redirect_slashes=False,
        **kwargs,
    )
    app.state.service = title.rpartition(" ")[2].lower()
    app.middleware("http")(_identify)
    answer_errors_of(app)
    for router in routers:
        app.include_router(router, dependencies=[Depends(_known_parameters)], responses=document.A_PROBLEM)
    return app
