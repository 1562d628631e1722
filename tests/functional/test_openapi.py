"""The committed OpenAPI documents, and the clients made of them, are those of the running code; and fit for reading."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from clients import generate, node

HINT = "it is not what the code says; run: make clients"
DOCUMENTS = {service: make() for service, make in generate.DOCUMENTS.items()}


@pytest.mark.parametrize("service", DOCUMENTS)
def test_the_committed_document_is_the_running_one(service: str) -> None:
    committed = generate.path_of(service).read_text(encoding="utf-8")
    assert committed == generate.text_of(DOCUMENTS[service]), f"clients/openapi/{service}.json: {HINT}"


@pytest.mark.parametrize("service", DOCUMENTS)
def test_the_committed_client_is_made_of_its_document(service: str, tmp_path: Path) -> None:
    generate.generate_python(service, tmp_path / service)
    committed = generate.HERE / "python" / "godwit_client" / service
    assert differing(filecmp.dircmp(tmp_path / service, committed, ignore=["__pycache__", ".ruff_cache"])) == [], HINT


def test_the_committed_typescript_is_made_of_the_documents_and_strict(tmp_path: Path) -> None:
    node.generate(tmp_path)
    for service in DOCUMENTS:
        assert differing(filecmp.dircmp(tmp_path / service, node.HERE / "src" / service)) == [], HINT
    node.node(node.TSC)


def test_the_typescript_layer_holds() -> None:
    node.node("--test")


def differing(pair: filecmp.dircmp[str]) -> list[str]:
    found = [*pair.left_only, *pair.right_only, *pair.diff_files, *pair.funny_files]
    for below in pair.subdirs.values():
        found += differing(below)
    return found


@pytest.mark.parametrize("service", DOCUMENTS)
def test_the_document_is_valid(service: str) -> None:
    validate(DOCUMENTS[service])


def operations(service: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in DOCUMENTS[service]["paths"].items():
        for method, operation in found.items():
            yield f"{method} {path}", operation


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_operation_is_named_told_and_filed_by_hand(service: str) -> None:
    tags = {tag["name"] for tag in DOCUMENTS[service]["tags"]}
    seen = set()
    for what, operation in operations(service):
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)+", operation["operationId"]), what
        assert operation["summary"], what
        assert len(operation["tags"]) == 1, what
        assert set(operation["tags"]) <= tags, what
        assert all(parameter.get("description") for parameter in operation["parameters"] if parameter["in"] != "path")
        seen.add(operation["operationId"])
    assert len(seen) == len(list(operations(service)))


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_refusal_is_a_problem_with_its_codes(service: str) -> None:
    for what, operation in operations(service):
        refused = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"401", "403", "422", "503"} <= set(refused), what
        for status, answer in refused.items():
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, f"{what}: {status}"
            assert answer["x-codes"], f"{what}: {status}"


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_schema_is_told_and_every_part_of_one_has_a_name(service: str) -> None:
    """An object without a name would get one from a client's generator, and a bad one."""
    for name, schema in DOCUMENTS[service]["components"]["schemas"].items():
        assert schema.get("description") or name.endswith("Page") or "enum" in schema, name
        for field, described in schema.get("properties", {}).items():
            for part in [described, described.get("items", {}), *described.get("anyOf", [])]:
                assert part.get("type") != "object", f"{name}.{field}"


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_body_has_an_example(service: str) -> None:
    """`test_examples` sends them."""
    schemas = DOCUMENTS[service]["components"]["schemas"]
    for what, operation in operations(service):
        if "requestBody" in operation:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert schemas[reference.rpartition("/")[2]].get("examples"), what
