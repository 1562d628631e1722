"""Errors as problem+json (RFC 9457): the one place where domain errors become HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

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
from common.wire import Answer

STATUS: dict[type[DomainError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    Invalid: 422,
    Unavailable: 503,
}


class FieldError(Answer):
    """One thing that is wrong with one field."""

    field: str
    message: str


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `retryable` says whether the same request may succeed later."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What is wrong and what the caller can do, in words.")
    code: str = Field(examples=["ipam.pool.exhausted"])
    errors: list[FieldError] = Field([], description="What is wrong with which field of the request.")
    retryable: bool = False
    request_id: str = Field(description="Also in `X-Request-ID`; the logs know the request by it.")


def problem(request: Request, status: int, code: str, title: str, detail: str, **more: Any) -> JSONResponse:
    body = Problem(
        title=title, status=status, detail=detail, code=code, request_id=request.state.request_id, **more
    ).model_dump(mode="json")
    response = JSONResponse(body, status, media_type="application/problem+json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


class RequestInvalid(Invalid):
    """The request does not fit its schema."""

    code = "request.invalid"


def _status(error: type[DomainError]) -> int:
    return next((STATUS[cls] for cls in error.__mro__ if cls in STATUS), 500)


def _title(error: type[DomainError]) -> str:
    return (error.__doc__ or error.code).strip().splitlines()[0]


def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101  registered for this class alone
    status, title = _status(type(error)), _title(type(error))
    return problem(request, status, error.code, title, error.message, errors=error.errors, retryable=error.retryable)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "message": item["msg"]}
        for item in error.errors()
    ]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    return _domain_error(request, RequestInvalid(detail, errors))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 400:  # FastAPI's, of a body that is no JSON
        return _domain_error(request, RequestInvalid("the body is not valid JSON"))
    code = {404: "request.no_such_path", 405: "request.method"}.get(error.status_code, f"http.{error.status_code}")
    response = problem(request, error.status_code, code, str(error.detail), str(error.detail))
    response.headers.update(error.headers or {})
    return response


def answer_errors_of(app: FastAPI) -> None:
    """Let `app` answer every error with a problem."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


CODES = "x-codes"
"""The extension of a documented response that lists the codes of its problems."""

Responses = dict[int | str, dict[str, Any]]


def refuses(*errors: type[DomainError]) -> Responses:
    """What an OpenAPI document says of the errors an operation answers with: each code, under its status."""
    found: Responses = {}
    for error in sorted(errors, key=lambda error: (_status(error), error.code)):
        response = found.setdefault(_status(error), {"model": Problem, "description": "", CODES: []})
        response[CODES].append(error.code)
        response["description"] += f"- `{error.code}`: {_title(error)}\n"
    return found
