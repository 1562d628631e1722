"""Errors as problem+json (RFC 9457): the one place where domain errors become HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
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

STATUS: dict[type[DomainError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    Invalid: 422,
    Unavailable: 503,
}


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
    errors: list[FieldError] = []
    retryable: bool = False
    request_id: str


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


def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101  registered for this class alone
    status = next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)
    title = (type(error).__doc__ or error.code).strip().splitlines()[0]
    return problem(request, status, error.code, title, error.message, errors=error.errors, retryable=error.retryable)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "message": item["msg"]}
        for item in error.errors()
    ]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    return problem(request, 422, "request.invalid", "The request does not fit its schema.", detail, errors=errors)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "request.no_such_path", 405: "request.method"}.get(error.status_code, f"http.{error.status_code}")
    response = problem(request, error.status_code, code, str(error.detail), str(error.detail))
    response.headers.update(error.headers or {})
    return response


def answer_errors_of(app: FastAPI) -> None:
    """Let `app` answer every error with a problem."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


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
"""What an OpenAPI document says of the errors."""
