"""Compiling at run time: what is built once is not built again, and what fails leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataplane.bpf import build


@pytest.mark.parametrize("name", ["nat_gateway", "guest_link"])
def test_a_program_is_built_once(tmp_path: Path, name: str) -> None:
    first = build.program(name, tmp_path / "cache")
    os.utime(first, (1, 1))

    assert build.program(name, tmp_path / "cache") == first
    assert first.stat().st_mtime == 1
    assert list((tmp_path / "cache").iterdir()) == [first]


def test_another_header_makes_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for path in build.HERE.glob("*.[ch]"):
        (sources / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "HERE", sources)
    before = build.library("store", tmp_path)
    with (sources / "maps.h").open("a") as header:
        header.write("/* changed */\n")

    assert build.library("store", tmp_path) != before


def test_a_refusal_says_why_and_leaves_no_draft(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int x = y;\n")

    with pytest.raises(build.BuildError, match="use of undeclared identifier 'y'"):
        build.compiled(source, tmp_path / "cache", build.LIBRARY, ".so")

    assert list((tmp_path / "cache").iterdir()) == []
