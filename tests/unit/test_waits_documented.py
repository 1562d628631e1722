from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'Wait\(\s*"([a-z_]+\.[a-z_]+)"')


@pytest.mark.parametrize("room", ["move.py", "fleet/steps.py"])
def test_the_manual_says_what_each_wait_is_and_what_ends_it(room: str) -> None:
    codes = set(CODE.findall((ROOT / "services/placement" / room).read_text()))
    manual = (ROOT / "docs/when-machines-fail.md").read_text()
    assert len(codes) >= 4
    assert {code for code in codes if f"`{code}`" not in manual} == set()
