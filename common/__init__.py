"""Plumbing that every room uses, and that knows no noun of networking."""

VERSION = "0.1.0"
"""Of all of it; pyproject.toml reads it here, so that code that was never installed knows it too."""
