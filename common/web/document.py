"""An OpenAPI document as clients are made of it, from the one that FastAPI writes. Pure.

What every request of a kind can be refused with is said here once; an operation's own refusals are its route's
`responses=refuses(…)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.web.problems import CODES, Problem, Responses

A_PROBLEM: Responses = {422: {"model": Problem}}
"""Takes the place of FastAPI's own description of invalid requests."""

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "The same token."},
}
HEADERS = {
    "X-Request-ID": {
        "description": "What the logs know the request by: what the request named in this header, or one made up.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "The resource's revision, for `If-Match`.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to send the request again.", "schema": {"type": "integer"}},
}
SUCCESS = {
    "200": "OK.",
    "201": "It was made.",
    "202": "It is under way: watch the Operation until it is final.",
}
DRY = "What would be answered; with `validate_only` nothing was changed."


@dataclass(frozen=True, slots=True)
class Refusals:
    """What requests are refused with: all of them, and those that have a parameter of a name."""

    always: Responses
    with_parameter: dict[str, Responses]

    def of(self, parameters: Iterable[str]) -> list[Responses]:
        return [self.always, *(self.with_parameter[name] for name in parameters if name in self.with_parameter)]


def finished(document: dict[str, Any], refusals: Refusals) -> dict[str, Any]:
    """`document`, changed in place, with security, headers, and every problem an operation answers with."""
    for operations in document["paths"].values():
        for operation in operations.values():
            _finish(operation, refusals, document["components"]["schemas"])
    components = document["components"]
    components["schemas"] = {_named(name): schema for name, schema in components["schemas"].items()}
    components |= {"headers": HEADERS, "securitySchemes": SECURITY}
    _tidy(document["paths"])
    _tidy(components["schemas"])
    return document


def _finish(operation: dict[str, Any], refusals: Refusals, schemas: dict[str, Any]) -> None:
    summary, _, rest = operation.pop("description", "").partition("\n")
    operation["summary"] = summary.rstrip(".")
    if rest.strip():
        operation["description"] = rest.strip()
    operation["security"] = [{name: []} for name in SECURITY]
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _without_null(parameter["schema"])
    own = operation["responses"]
    responses = {status: _success(status, own.pop(status), schemas) for status in list(own) if status in SUCCESS}
    names = [parameter["name"] for parameter in parameters]
    if "validate_only" in names and "200" not in responses:
        (made,) = responses.values()
        responses = {"200": made | {"description": DRY}, **responses}
    refused: dict[str, dict[str, Any]] = {}
    for said in (*refusals.of(names), own):
        for status, response in said.items():
            if CODES in response:
                _add(refused.setdefault(str(status), _problem(str(status))), response)
    operation["responses"] = responses | dict(sorted(refused.items()))


def _success(status: str, response: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    content = response["content"]
    answered = schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]
    names = ["X-Request-ID", *(["ETag"] if "revision" in answered["properties"] else [])]
    return {"description": SUCCESS[status], "headers": _headers(*names), "content": content}


def _problem(status: str) -> dict[str, Any]:
    headers = _headers("X-Request-ID", *(["Retry-After"] if status == "503" else []))
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": "", "headers": headers, "content": content, CODES: []}


def _add(problem: dict[str, Any], response: dict[str, Any]) -> None:
    problem["description"] += response["description"]
    problem[CODES] += response[CODES]


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is absent, never null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    (kind,) = kinds
    return {**kind, **{key: value for key, value in schema.items() if key not in {"anyOf", "description"}}}


def _named(schema: str) -> str:
    """The name of a schema, or of a reference to one: `FlexibleIPPage`, not `Page_FlexibleIP_`."""
    return re.sub(r"Page_(\w+)_$", r"\1Page", schema)


def _tidy(part: Any) -> None:
    """Name pages well, and drop pydantic's titles: they repeat the names they stand beside."""
    if isinstance(part, list):
        for item in part:
            _tidy(item)
    elif isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        if "$ref" in part:
            part["$ref"] = _named(part["$ref"])
        for name, value in part.items():
            if name not in {"examples", "default"}:
                _tidy(value)
