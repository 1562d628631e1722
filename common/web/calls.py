"""One request: who calls, the transaction its use case runs in, ETags and idempotency. Handlers hold no `try`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import structlog
from fastapi import Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import delete, func, inspect, select, tuple_

from common.auth import Principal, TokenRefused, Verifier
from common.db import Contended, Database, Transaction
from common.errors import Conflict, DomainError, Invalid, PreconditionFailed
from common.tables import IdempotencyColumns

CONTENDED_TRIES = 3
KEPT = timedelta(hours=24)
EXPIRED_AT_ONCE = 10
REVISION = re.compile(r'^(?:\*|(?:W/)?"?([0-9]{1,19})"?)$')

log = structlog.get_logger()

T = TypeVar("T", bound=BaseModel)
A = TypeVar("A")


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
            log.info("request.done", operation=self._operation_id, status=status)
        except _Dry:
            return Response(answer, 200, {"Godwit-Validate-Only": "true"}, "application/json")
        return _answer(status, answer)

    def run_after(self, check: Callable[[], A], use_case: Callable[[Transaction, A], T], status: int = 200) -> Response:
        """`run`, after a `check` that asks others and holds no transaction meanwhile.

        A repeated request is answered before the check, and again if the check refuses what the first one just did.
        """
        replay = self._replay()
        if replay is not None:
            return replay
        try:
            found = check()
        except DomainError:
            replay = self._replay()
            if replay is None:
                raise
            return replay
        return self.run(lambda tx: use_case(tx, found), status)

    def _replay(self) -> Response | None:
        if self._key is None or self.validate_only:
            return None
        with self._database.transaction() as tx:
            return self._take_key(tx)

    def _take_key(self, tx: Transaction) -> Response | None:
        scope = (self.principal.project, self.principal.subject, self._operation_id, self._key)
        number = int.from_bytes(hashlib.blake2b(repr(scope).encode(), digest_size=8).digest(), "big", signed=True)
        if not tx.session.scalar(select(func.pg_try_advisory_xact_lock(number))):
            raise KeyInFlight("the first request with this Idempotency-Key has not been answered yet")
        self._expire(tx)
        record = tx.session.get(self._idempotency, scope)
        if record is None:
            return None
        if record.fingerprint != self._fingerprint:
            raise KeyReused("this Idempotency-Key was used with another request; use a new one")
        response = _answer(record.status, record.body)
        response.headers["Idempotency-Replayed"] = "true"
        return response

    def _expire(self, tx: Transaction) -> None:
        """Forget some answers of more than a day ago: each key that comes takes a few old ones away."""
        old = self._idempotency.created_at < datetime.now(UTC) - KEPT
        keys = inspect(self._idempotency).primary_key
        some = select(*keys).where(old).limit(EXPIRED_AT_ONCE).with_for_update(skip_locked=True)
        tx.session.execute(delete(self._idempotency).where(tuple_(*keys).in_(some)))

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


def _call(
    request: Request,
    roles: tuple[str, ...],
    authorization: str | None,
    x_auth_token: str | None,
    body: bytes = b"",
    idempotency_key: str | None = None,
    if_match: str | None = None,
    validate_only: bool = False,
) -> Call:
    """The role is checked before a stored answer is given again. Raises TokenRefused, RoleMissing, InvalidHeader."""
    wiring: Wiring = request.app.state.wiring
    principal = bearer(wiring.verifier, authorization, x_auth_token)
    principal.require(*roles)
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


CallDependency = Callable[..., Awaitable[Call]]
Token = Annotated[str | None, Header(include_in_schema=False)]  # the document names it as security scheme
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Makes a repeated request answer the same, for 24 hours.",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that the change is meant for; refused with 412 when the resource has changed since.",
        json_schema_extra={"pattern": REVISION.pattern},
    ),
]
ValidateOnly = Annotated[bool, Query(description="Run every check and change nothing.")]


def reading(*roles: str) -> CallDependency:
    """A `Call` that changes nothing, by somebody who holds one of `roles`."""

    async def call(request: Request, authorization: Token = None, x_auth_token: Token = None) -> Call:
        return _call(request, roles, authorization, x_auth_token)

    return call


def creating(*roles: str) -> CallDependency:
    """A `Call` that makes something new or changes what has no revision, by somebody who holds one of `roles`."""

    async def call(
        request: Request,
        authorization: Token = None,
        x_auth_token: Token = None,
        idempotency_key: IdempotencyKey = None,
        validate_only: ValidateOnly = False,
    ) -> Call:
        body = await request.body()
        return _call(request, roles, authorization, x_auth_token, body, idempotency_key, None, validate_only)

    return call


def changing(*roles: str) -> CallDependency:
    """A `Call` that changes what has a revision, by somebody who holds one of `roles`."""

    async def call(
        request: Request,
        authorization: Token = None,
        x_auth_token: Token = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
        validate_only: ValidateOnly = False,
    ) -> Call:
        body = await request.body()
        return _call(request, roles, authorization, x_auth_token, body, idempotency_key, if_match, validate_only)

    return call


def _revision(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    match = REVISION.fullmatch(if_match)
    if match is None:
        raise InvalidHeader(f"If-Match is {if_match!r}; send the ETag of the resource")
    return int(match[1])
