"""Sphinx reads this: the pages of `docs/`, strictly (`make docs`)."""

from __future__ import annotations

from sphinx.application import Sphinx

from docs.site import reference

project = "Godwit"
extensions = ["myst_parser"]
exclude_patterns = ["site"]
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_show_copyright = False
myst_heading_anchors = 4
nitpicky = True


def setup(app: Sphinx) -> None:
    app.connect("source-read", _fill_in)


def _fill_in(_app: Sphinx, page: str, text: list[str]) -> None:
    made = reference.PAGES.get(page)
    if made is not None:
        text[0] += made()
