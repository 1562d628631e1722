"""The committed OpenAPI documents, and the client made of them, are those of the running code."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest

from clients import generate

HINT = "it is not what the code says; run: make clients"


@pytest.mark.parametrize("service", generate.DOCUMENTS)
def test_the_committed_document_is_the_running_one(service: str) -> None:
    committed = generate.path_of(service).read_text(encoding="utf-8")
    assert committed == generate.text_of(generate.DOCUMENTS[service]()), f"clients/openapi/{service}.json: {HINT}"


@pytest.mark.parametrize("service", generate.DOCUMENTS)
def test_the_committed_client_is_made_of_its_document(service: str, tmp_path: Path) -> None:
    generate.generate_python(service, tmp_path / service)
    committed = generate.HERE / "python" / "godwit_client" / service
    assert differing(filecmp.dircmp(tmp_path / service, committed, ignore=["__pycache__", ".ruff_cache"])) == [], HINT


def differing(pair: filecmp.dircmp[str]) -> list[str]:
    found = [*pair.left_only, *pair.right_only, *pair.diff_files, *pair.funny_files]
    for below in pair.subdirs.values():
        found += differing(below)
    return found
