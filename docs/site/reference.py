"""The reference, made from the code: Markdown for pages of `docs/reference`, whose files hold an introduction alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from cli.main import app
from common.settings import Settings
from services.ipam.settings import Settings as IpamSettings
from services.netagent.settings import AgentSettings
from services.placement.settings import PlacementSettings

DOCUMENTS = Path(__file__).parents[2] / "clients/openapi"
METHODS = ("get", "put", "post", "patch", "delete")
PROCESSES: Mapping[str, type[Settings]] = {
    "ipam": IpamSettings,
    "placement, its workers, beat and poller": PlacementSettings,
    "netagent": AgentSettings,
}


def commands() -> str:
    """Every command with its arguments and options, as its own `--help` tells them."""
    root = typer.main.get_command(app)
    made: str = get_docs_for_click(obj=root, ctx=typer.Context(root, info_name="godwit"), name="godwit")
    for command in _below(root):  # lists of commands are cut for a terminal's width
        short = command.get_short_help_str()
        made = made.replace(f"`{command.name}`: {short}\n", f"`{command.name}`: {_sentence(command.help or '')}\n")
    _, _, body = made.partition("\n")  # the page has its title
    return f"\n{body}"


def _below(command: Any) -> Iterator[Any]:
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from _below(each)


def _sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def settings() -> str:
    """Every variable of every process."""
    lines: list[str] = []
    for process, of in PROCESSES.items():
        lines += [f"\n## {process}\n", *_table(("variable", "type", "default", "what it is"))]
        prefix = of.model_config["env_prefix"]
        lines += [_row(_setting(f"{prefix}{name}".upper(), field)) for name, field in of.model_fields.items()]
    return "\n".join(lines)


def _setting(variable: str, field: FieldInfo) -> Sequence[str]:
    if field.default is PydanticUndefined:
        default = "must be set"
    else:
        text = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        default = _code(text) if text not in {"", "None"} else "-"
    return f"`{variable}`", _type(field.annotation), default, field.description or ""


def _type(annotation: Any) -> str:
    """In words: `a list of IPv4Network or IPv6Network`."""
    name = annotation.__name__ if isinstance(annotation, type) else re.sub(r"\w+\.(?=\w)", "", str(annotation))
    return re.sub(r"tuple\[(.*), \.\.\.\]", r"list of \1", name).removesuffix(" | None").replace(" | ", " or ")


def api(service: str) -> str:
    """Every operation of a service by its tag, and every schema, from its committed OpenAPI document."""
    document = json.loads((DOCUMENTS / f"{service}.json").read_text())
    operations = [
        (method.upper(), path, item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]
    everywhere = set.intersection(*(set(_refusals(operation)) for _, _, operation in operations))
    lines = ["\n## Refusals of every operation\n", *_table(("answer", "code", "what it says"))]
    lines += [_row(each) for each in sorted(everywhere)]
    for tag in document["tags"]:
        lines += [f"\n## {tag['name']}\n", tag.get("description", "")]
        for method, path, operation in operations:
            if tag["name"] in operation["tags"]:
                lines += _operation(method, path, operation, everywhere)
    lines.append("\n## Schemas\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines)


Refusal = tuple[str, str, str]
"""Status, code, and what it says."""


def _refusals(operation: Mapping[str, Any]) -> Iterator[Refusal]:
    for status, answer in operation["responses"].items():
        for line in answer["description"].splitlines() if "x-codes" in answer else ():
            code, _, text = line.removeprefix("- ").partition(": ")
            yield status, code, text


def _operation(method: str, path: str, operation: Mapping[str, Any], told: Container[Refusal]) -> Iterator[str]:
    yield f"\n### {operation['operationId']}\n"
    yield f"`{method} {path}`\n"
    yield f"{operation['summary']}.\n"
    yield operation.get("description", "") + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield from _table(("parameter", "in", "type", "what it is"))
        for each in parameters:
            name = f"`{each['name']}`" + ("" if each["required"] else " (optional)")
            yield _row((name, each["in"], _shape(each["schema"]), each.get("description", "")))
        yield ""
    if "requestBody" in operation:
        for body in operation["requestBody"]["content"].values():
            yield f"Body: {_shape(body['schema'])}\n"
    yield from _table(("answer", "what it holds", "when"))
    for status, answer in operation["responses"].items():
        content: Mapping[str, Any] = next(iter(answer.get("content", {}).values()), {})
        if "x-codes" not in answer:
            yield _row((status, _shape(content.get("schema", {})), answer["description"]))
    yield from (_row(each) for each in _refusals(operation) if each not in told)
    yield ""


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {name}\n"
    yield schema.get("description", "") + "\n"
    if "properties" in schema:
        yield from _table(("property", "type", "what it is"))
        required = schema.get("required", [])
        for key, value in schema["properties"].items():
            yield _row(
                (f"`{key}`" + ("" if key in required else " (optional)"), _shape(value), value.get("description", ""))
            )
    else:
        yield _shape(schema)
    yield ""


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to those that have a name."""
    match schema:
        case {"$ref": target}:
            name = str(target).rpartition("/")[2]
            shape = f"[{name}](#{name.lower()})"
        case {"anyOf": several} | {"oneOf": several} | {"allOf": several}:
            shape = " or ".join(_shape(each) for each in several)
        case {"enum": values}:
            shape = ", ".join(_code(value) for value in values)
        case {"const": value}:
            shape = _code(value)
        case {"type": "array", "items": items}:
            shape = f"list of {_shape(items)}"
        case {"type": "object", "additionalProperties": {} as values}:
            shape = f"object of {_shape(values) or 'anything'}"
        case _:
            shape = ", ".join(str(schema[key]) for key in ("type", "format") if key in schema)
    return shape


def _table(names: Sequence[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _code(value: object) -> str:
    return f"`{value}`"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/cli": commands,
    "reference/settings": settings,
    "reference/api-ipam": lambda: api("ipam"),
    "reference/api-placement": lambda: api("placement"),
}
