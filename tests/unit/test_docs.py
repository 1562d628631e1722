"""What of the documentation is made, or names what is made, is as the code has it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.site import figures, reference

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#:]+)[^)]*\)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_page_of_figures_is_made_of_those_that_are_kept() -> None:
    assert figures.PAGE.read_text() == figures.page(), "make figures"


@pytest.mark.parametrize("chapter", figures.CHAPTERS, ids=lambda chapter: chapter.title)
def test_each_figure_is_counted_by_a_command_that_there_is(chapter: figures.Chapter) -> None:
    assert {told.command.removeprefix("make ") for told in chapter.columns.values()} <= TARGETS
    for key in chapter.keys:
        _, shown, of = chapter.row(key, (2.0, 3))
        assert shown.startswith("2")
        assert of.startswith("3 ")


def test_what_demos_left_is_taken_in_with_its_date_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr(figures, "KEPT", kept)
    monkeypatch.setattr(figures, "MEASURED", kept / "measured.json")
    (tmp_path / "compose.json").write_text(json.dumps({"nat_move_lost": {"value": 7, "n": 5000}}))
    assert figures.take_in(tmp_path, "a machine") == ["compose"]
    assert re.search(r"`nat_move_lost` \| - \| 7 packets of 5000 probes \|", figures.page())
    assert re.search(r"- containers: `make compose-demo`, measured \d{4}-\d\d-\d\d on a machine\n", figures.page())


@pytest.mark.parametrize("process", reference.PROCESSES)
def test_every_setting_says_what_it_is(process: str) -> None:
    fields = reference.PROCESSES[process].model_fields
    assert {name for name, field in fields.items() if not field.description} == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_links_out_of_pages_beside_the_site_lead_somewhere(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text())
    assert links
    assert {link for link in links if not (ROOT / link).exists()} == set()
