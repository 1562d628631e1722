"""Prints what all seeds of a test run did together, whichever worker played them."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in (report for of_outcome in ("passed", "failed") for report in terminalreporter.getreports(of_outcome)):
        for name, text in report.user_properties:
            if name == "simulation":
                terminalreporter.section("simulation")
                terminalreporter.write_line(str(text))
