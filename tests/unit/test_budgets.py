"""How much the controller withdraws that nobody asked for."""

from __future__ import annotations

import pytest

from services.netagent.wire import EntryKey, Kind, removals_digest
from services.placement import budgets


def keys(count: int) -> list[EntryKey]:
    return [EntryKey(Kind.PREFIX, number.to_bytes(4, "big")) for number in range(count)]


@pytest.mark.parametrize(
    ("held", "unasked", "alone", "mapped", "left", "limit"),
    [
        (20, 5, True, 0, 0, None),
        (20, 6, True, 0, 0, "at most 5 may"),
        (100, 20, True, 0, 0, None),
        (100, 21, True, 0, 0, "at most 20 may"),
        (3, 3, True, 0, 0, "never allowed"),
        (3, 3, False, 0, 0, None),
        (20, 1, True, 10, 1, None),
        (20, 1, True, 10, 2, "; 1 may"),
        (20, 1, True, 200, 4, None),
        (20, 1, True, 200, 5, "; 4 may"),
    ],
)
def test_a_limit_is_named_and_the_way_out(
    held: int, unasked: int, alone: bool, mapped: int, left: int, limit: str | None
) -> None:
    why = budgets.refusal("gateway-1", held, keys(unasked), alone=alone, mapped=mapped, left=left)

    assert (why is None) is (limit is None)
    if why is not None and limit is not None:
        assert limit in why
        assert f"godwit node approve gateway-1 {removals_digest(keys(unasked))}" in why


def test_a_digest_names_a_set_of_removals() -> None:
    assert removals_digest(keys(3)) == removals_digest(keys(3)[::-1])
    assert len({removals_digest(keys(count)) for count in range(5)}) == 5
