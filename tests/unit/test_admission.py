"""Which messages a node takes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

import pytest

from services.netagent import wire
from services.netagent.admission import Position, admit
from services.netagent.errors import BaseMismatch, MalformedMessage, RemovalBudget, StaleGeneration, WrongNode

NODE, OPERATION = UUID(int=1), UUID(int=9)
AT = Position(2, 10)


def peers(count: int) -> list[wire.Entry]:
    return [wire.Peer(IPv4Address("172.31.0.1") + number) for number in range(count)]


def held(count: int) -> dict[wire.EntryKey, wire.Entry]:
    return {wire.EntryKey.of(entry): entry for entry in peers(count)}


def tombstones(entries: list[wire.Entry], operation: UUID | None) -> list[wire.Tombstone]:
    return [wire.Tombstone(wire.EntryKey.of(entry), operation) for entry in entries]


def snapshot(generation: int, count: int, epoch: int = 2) -> wire.Snapshot:
    return wire.Snapshot(NODE, epoch, generation, peers(count))


def delta(base: int, generation: int, puts: list[wire.Entry], gone: list[wire.Tombstone] | None = None) -> wire.Delta:
    return wire.Delta(NODE, 2, base, generation, puts, gone or [])


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_a_first_snapshot_is_complete_knowledge() -> None:
    change = admit(NODE, None, {}, snapshot(10, 3))
    assert (change.position, len(change.puts), change.removals, change.complete) == (AT, 3, [], True)


def test_a_snapshot_changes_what_differs_only() -> None:
    change = admit(NODE, AT, held(3), snapshot(11, 4))
    assert list(change.puts) == [wire.EntryKey.of(peers(4)[3])]


@pytest.mark.parametrize("message", [snapshot(9, 3), snapshot(99, 3, epoch=1)], ids=["generation", "epoch"])
def test_an_older_snapshot_is_refused(message: wire.Snapshot) -> None:
    """Q1, Q19."""
    with pytest.raises(StaleGeneration):
        admit(NODE, AT, held(3), message)


def test_a_new_epoch_begins_at_any_generation() -> None:
    assert admit(NODE, AT, held(3), snapshot(1, 3, epoch=3)).position == Position(3, 1)


def test_a_repeated_snapshot_changes_nothing() -> None:
    change = admit(NODE, AT, held(3), snapshot(10, 3))
    assert (change.puts, change.removals) == ({}, [])


def test_a_snapshot_puts_right_a_node_that_went_astray() -> None:
    assert len(admit(NODE, AT, held(3), snapshot(10, 4)).puts) == 1


def test_a_message_for_another_node_is_refused() -> None:
    """Q1, Q26."""
    for message in (replace(snapshot(11, 3), node=UUID(int=5)), replace(delta(10, 11, []), node=UUID(int=5))):
        with pytest.raises(WrongNode):
            admit(NODE, AT, held(3), message)


def test_a_snapshot_that_names_an_entry_twice_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        admit(NODE, AT, held(3), wire.Snapshot(NODE, 2, 11, peers(3) + peers(1)))


# --- removals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("had", "kept", "allowed"),
    [(100, 80, True), (100, 79, False), (10, 5, True), (10, 4, False), (3, 1, True), (3, 0, False), (0, 0, True)],
)
def test_unasked_removals_have_a_budget(had: int, kept: int, allowed: bool) -> None:
    """Q4, Q8: a fifth, and always five, but never all."""
    if allowed:
        assert len(admit(NODE, AT, held(had), snapshot(11, kept)).removals) == had - kept
    else:
        with pytest.raises(RemovalBudget):
            admit(NODE, AT, held(had), snapshot(11, kept))


def test_a_refusal_says_which_rule_it_broke() -> None:
    with pytest.raises(RemovalBudget, match=rf"^21 of 100 entries .* at most 20 may; `godwit node approve {NODE} "):
        admit(NODE, AT, held(100), snapshot(11, 79))
    with pytest.raises(RemovalBudget, match=r"^all 3 entries .* never allowed; "):
        admit(NODE, AT, held(3), snapshot(11, 0))


def test_removals_that_an_operation_asked_for_are_free() -> None:
    message = replace(snapshot(11, 0), tombstones=tombstones(peers(100), OPERATION))
    assert len(admit(NODE, AT, held(100), message).removals) == 100


def test_a_tombstone_without_operation_asks_for_nothing() -> None:
    with pytest.raises(RemovalBudget):
        admit(NODE, AT, held(100), replace(snapshot(11, 0), tombstones=tombstones(peers(100), None)))


def test_an_approval_lets_go_what_its_digest_names_and_nothing_else() -> None:
    gone = wire.removals_digest([wire.EntryKey.of(entry) for entry in peers(100)])
    message = replace(snapshot(11, 0), approved=gone)
    assert len(admit(NODE, AT, held(100), message).removals) == 100
    with pytest.raises(RemovalBudget):
        admit(NODE, AT, held(101), message)


def test_what_is_known_by_its_rows_alone_is_put_anew_and_counts_as_held() -> None:
    rows = dict.fromkeys(held(100))
    assert len(admit(NODE, None, rows, snapshot(11, 80)).puts) == 80
    with pytest.raises(RemovalBudget, match=r"^21 of 100"):
        admit(NODE, None, rows, snapshot(11, 79))


def test_a_delta_has_the_same_budget() -> None:
    with pytest.raises(RemovalBudget):
        admit(NODE, AT, held(100), delta(10, 11, [], tombstones(peers(21), None)))
    assert len(admit(NODE, AT, held(100), delta(10, 11, [], tombstones(peers(21), OPERATION))).removals) == 21


# --- deltas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, 9, 10])
def test_a_delta_applies_from_its_base_on(base: int) -> None:
    change = admit(NODE, AT, held(3), delta(base, 12, peers(5)))
    assert (change.position, len(change.puts), change.complete) == (Position(2, 12), 2, False)


def test_a_delta_to_a_node_that_is_behind_its_base_is_refused() -> None:
    with pytest.raises(BaseMismatch):
        admit(NODE, AT, held(3), delta(11, 12, peers(5)))


def test_a_delta_to_a_node_that_holds_nothing_is_refused() -> None:
    with pytest.raises(BaseMismatch):
        admit(NODE, None, {}, delta(0, 12, peers(5)))


def test_a_delta_of_a_new_epoch_is_refused() -> None:
    with pytest.raises(BaseMismatch):
        admit(NODE, AT, held(3), replace(delta(10, 12, peers(5)), epoch=3))


@pytest.mark.parametrize(("epoch", "generation"), [(2, 9), (1, 99)])
def test_an_older_delta_is_refused(epoch: int, generation: int) -> None:
    with pytest.raises(StaleGeneration):
        admit(NODE, AT, held(3), replace(delta(0, generation, peers(3)), epoch=epoch))


def test_a_repeated_delta_changes_nothing() -> None:
    gone = tombstones(peers(4)[3:], OPERATION)
    change = admit(NODE, AT, held(3), delta(9, 10, peers(2), gone))
    assert (change.puts, change.removals) == ({}, [])


def test_a_delta_that_differs_at_the_same_generation_calls_for_the_whole() -> None:
    with pytest.raises(BaseMismatch):
        admit(NODE, AT, held(3), delta(9, 10, peers(4)))


def test_a_delta_that_puts_and_removes_the_same_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        admit(NODE, AT, held(3), delta(10, 11, peers(1), tombstones(peers(1), OPERATION)))
