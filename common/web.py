"""HTTP for every service: problem+json (RFC 9457), request ids, paging, ETags, idempotency. Handlers hold no `try`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from starlette.exceptions import HTTPException

from common.auth import Principal, TokenRefused, Verifier
from common.db import Contended, Database, Transaction
from common.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from common.tables import IdempotencyColumns

log = structlog.get_logger()

STATUS: dict[type[DomainError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    Invalid: 422,
    Unavailable: 503,
}

CONTENDED_TRIES = 3

T = TypeVar("T", bound=BaseModel)
A = TypeVar("A")


# --- problems --------------------------------------------------------------------------------------------------------


class FieldError(BaseModel):
    """One thing that is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457). `code` is stable; `retryable` says whether the same request may succeed later."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(examples=["ipam.pool.exhausted"])
    errors: list[dict[str, Any]] = []
    retryable: bool = False
    request_id: str


class UnknownParameter(Invalid):
    """A query parameter is unknown, empty or given twice."""

    code = "request.parameter"


class InvalidCursor(Invalid):
    """The cursor was not made by this list."""

    code = "request.cursor"


class InvalidHeader(Invalid):
    """A header cannot be understood."""

    code = "request.header"


class KeyReused(Invalid):
    """This Idempotency-Key was used with another request."""

    code = "idempotency.key_reused"


class KeyInFlight(Conflict):
    """The request with this Idempotency-Key is still being worked on; ask again."""

    code = "idempotency.in_flight"
    retryable = True


class StaleRevision(PreconditionFailed):
    """The resource has changed since the revision that If-Match names."""

    code = "revision.stale"


def _problem(request: Request, status: int, code: str, title: str, detail: str, **more: Any) -> JSONResponse:
    body = Problem(
        title=title, status=status, detail=detail, code=code, request_id=request.state.request_id, **more
    ).model_dump(mode="json")
    response = JSONResponse(body, status, media_type="application/problem+json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101  registered for this class alone
    status = next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)
    title = (type(error).__doc__ or error.code).strip().splitlines()[0]
    return _problem(request, status, error.code, title, error.message, errors=error.errors, retryable=error.retryable)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "message": item["msg"]}
        for item in error.errors()
    ]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    return _problem(request, 422, "request.invalid", "The request does not fit its schema.", detail, errors=errors)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "request.no_such_path", 405: "request.method"}.get(error.status_code, f"http.{error.status_code}")
    response = _problem(request, error.status_code, code, str(error.detail), str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _identify(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give the request an id, log it, and answer a fault with a problem that carries the id."""
    request.state.request_id = request.headers.get("x-request-id") or str(uuid4())
    with structlog.contextvars.bound_contextvars(request_id=request.state.request_id):
        try:
            response = await call_next(request)
        except Exception:
            log.exception("request.fault", method=request.method, path=request.url.path)
            response = _problem(request, 500, "internal", "A fault of ours.", "The request failed; it has been logged.")
    response.headers["X-Request-ID"] = request.state.request_id
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


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        401: "No valid token.",
        403: "The token's roles do not allow this.",
        404: "Nothing of that name for this caller.",
        409: "The present state does not allow this.",
        412: "If-Match names another revision.",
        422: "The request can never succeed as it is.",
        503: "A part that is needed does not answer; try again.",
    }.items()
}


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """FastAPI adds the model of an error as application/json; ours are sent as application/problem+json alone."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if "application/problem+json" in content and "application/json" in content:
                        content["application/problem+json"] = content.pop("application/json")
        return document


def create_app(title: str, routers: list[APIRouter], **kwargs: Any) -> FastAPI:
    """A service's application: its routers, errors as problems, a health probe."""
    app = _App(title=title, separate_input_output_schemas=False, redirect_slashes=False, **kwargs)
    app.middleware("http")(_identify)
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    for router in routers:
        app.include_router(router, dependencies=[Depends(_known_parameters)], responses=PROBLEMS)
    return app


# --- calls -----------------------------------------------------------------------------------------------------------


class _Dry(Exception):
    """Leaves the transaction uncommitted."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who calls, and the transaction its use case runs in."""

    principal: Principal
    request_id: str
    expected_revision: int | None
    validate_only: bool
    _database: Database
    _idempotency: type[IdempotencyColumns]
    _operation_id: str
    _key: str | None
    _fingerprint: str

    def read(self, query: Callable[[Transaction], A]) -> A:
        """Answer `query`, which changes nothing."""
        with self._database.transaction() as tx:
            return query(tx)

    def run(self, use_case: Callable[[Transaction], T], status: int = 200) -> Response:
        """Run `use_case` in one transaction with its idempotency record, commit, and answer what it returned.

        With `validate_only` everything is checked and nothing is kept. What gave way to another request is run again
        a few times. Raises KeyReused, KeyInFlight, Contended.
        """
        for _ in range(CONTENDED_TRIES - 1):
            try:
                return self._run(use_case, status)
            except Contended:
                continue
        return self._run(use_case, status)

    def _run(self, use_case: Callable[[Transaction], T], status: int) -> Response:
        try:
            with self._database.transaction() as tx:
                if self._key is not None and not self.validate_only:
                    replay = self._take_key(tx)
                    if replay is not None:
                        return replay
                body = use_case(tx)
                tx.session.flush()
                answer = body.model_dump_json()
                if self.validate_only:
                    raise _Dry
                if self._key is not None:
                    tx.session.add(self._record(status, answer))
        except _Dry:
            return Response(answer, 200, {"Godwit-Validate-Only": "true"}, "application/json")
        return _answer(status, answer)

    def replay(self) -> Response | None:
        """The answer already given to this Idempotency-Key; for work that happens outside a transaction."""
        if self._key is None or self.validate_only:
            return None
        with self._database.transaction() as tx:
            return self._take_key(tx)

    def _take_key(self, tx: Transaction) -> Response | None:
        scope = (self.principal.project, self.principal.subject, self._operation_id, self._key)
        number = int.from_bytes(hashlib.blake2b(repr(scope).encode(), digest_size=8).digest(), "big", signed=True)
        if not tx.session.scalar(select(func.pg_try_advisory_xact_lock(number))):
            raise KeyInFlight("the first request with this Idempotency-Key has not been answered yet")
        record = tx.session.get(self._idempotency, scope)
        if record is None:
            return None
        if record.fingerprint != self._fingerprint:
            raise KeyReused("this Idempotency-Key was used with another request; use a new one")
        response = _answer(record.status, record.body)
        response.headers["Idempotency-Replayed"] = "true"
        return response

    def _record(self, status: int, body: str) -> IdempotencyColumns:
        record = self._idempotency()
        record.project, record.subject = self.principal.project, self.principal.subject
        record.operation_id, record.key = self._operation_id, self._key or ""
        record.fingerprint, record.status, record.body = self._fingerprint, status, body
        return record


def _answer(status: int, body: str) -> Response:
    response = Response(body, status, media_type="application/json")
    revision = json.loads(body).get("revision")
    if revision is not None:
        response.headers["ETag"] = f'"{revision}"'
    return response


def resource(body: BaseModel) -> Response:
    """A resource with its ETag."""
    return _answer(200, body.model_dump_json())


def check_revision(expected: int | None, revision: int) -> None:
    """Raises StaleRevision if the caller's If-Match names another revision than the present one."""
    if expected is not None and expected != revision:
        raise StaleRevision(f"the resource is at revision {revision}, If-Match names {expected}; read it again")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the handlers of one application work with: its `app.state.wiring`."""

    verifier: Verifier
    database: Database
    idempotency: type[IdempotencyColumns]


def bearer(verifier: Verifier, authorization: str | None, x_auth_token: str | None) -> Principal:
    """Who calls, from `Authorization: Bearer` or `X-Auth-Token`. Raises TokenRefused."""
    token = (authorization or "").removeprefix("Bearer ").strip() or x_auth_token
    if not token:
        raise TokenRefused("the request carries no token; send `Authorization: Bearer …`")
    return verifier.verify(token)


def called_by(*roles: str) -> Callable[..., Awaitable[Call]]:
    """A `Call` by somebody who holds one of `roles`: what every handler depends on.

    The role is checked before a stored answer is given again. Raises TokenRefused, RoleMissing.
    """

    async def call(
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        x_auth_token: Annotated[str | None, Header(include_in_schema=False)] = None,
        idempotency_key: Annotated[
            str | None, Header(min_length=1, max_length=255, description="Makes a repeated request answer the same.")
        ] = None,
        if_match: Annotated[str | None, Header(description="The ETag the change is meant for.")] = None,
        validate_only: Annotated[bool, Query(description="Run every check and change nothing.")] = False,
    ) -> Call:
        wiring: Wiring = request.app.state.wiring
        principal = bearer(wiring.verifier, authorization, x_auth_token)
        principal.require(*roles)
        body = await request.body()
        fingerprint = hashlib.blake2b(
            b"\0".join((request.method.encode(), request.url.path.encode(), body)), digest_size=16
        ).hexdigest()
        structlog.contextvars.bind_contextvars(subject=principal.subject, project=principal.project)
        return Call(
            principal=principal,
            request_id=request.state.request_id,
            expected_revision=_revision(if_match),
            validate_only=validate_only,
            _database=wiring.database,
            _idempotency=wiring.idempotency,
            _operation_id=request.scope["route"].operation_id or request.scope["route"].name,
            _key=idempotency_key,
            _fingerprint=fingerprint,
        )

    return call


def _revision(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    text = if_match.removeprefix("W/").strip('"')
    if not text.isdigit():
        raise InvalidHeader(f"If-Match is {if_match!r}; send the ETag of the resource")
    return int(text)


# --- lists -----------------------------------------------------------------------------------------------------------


class Page(BaseModel, Generic[T]):
    """A part of a list, in a stable order. `next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page starts (the key after which) and how long it may be."""

    limit: int
    after: list[str] | None

    def key(self, *parts: Callable[[str], Any]) -> tuple[Any, ...] | None:
        """`after` with each part converted; None on the first page. Raises InvalidCursor."""
        if self.after is None:
            return None
        try:
            return tuple(convert(text) for convert, text in zip(parts, self.after, strict=True))
        except ValueError as error:
            raise InvalidCursor("the cursor was not made by this list") from error

    def page(self, items: list[T], key: Callable[[T], list[str]]) -> Page[T]:
        """A page of `items`, of which one more than `limit` were asked for; `key` is what the list is ordered by."""
        if len(items) <= self.limit:
            return Page(items=items)
        shown = items[: self.limit]
        cursor = base64.urlsafe_b64encode(json.dumps(key(shown[-1])).encode()).decode()
        return Page(items=shown, next_cursor=cursor)


def paging(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Paging:
    if cursor is None:
        return Paging(limit, None)
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor("the cursor was not made by this list") from error
    if not isinstance(after, list) or not all(isinstance(part, str) for part in after):
        raise InvalidCursor("the cursor was not made by this list")
    return Paging(limit, after)


PagingDep = Annotated[Paging, Depends(paging)]


def uuid_of(text: str, missing: type[NotFound], what: str) -> UUID:
    """`text` as an id; one that is none answers like one that does not exist."""
    try:
        return UUID(text)
    except ValueError as error:
        raise missing(f"there is no {what} {text!r}") from error
