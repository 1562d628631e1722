"""One node's reconciler on an in-memory kernel: the state of the kernel is asserted, not calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_interface
from pathlib import Path
from uuid import UUID

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Anchor, Entry, Forward, GuardAddress, GuestAddress, HostNat, Leg, LegState
from dataplane.memory import Kernel, World, drivers
from services.netagent import wire
from services.netagent.checkpoint import Checkpoint, MemoryCheckpoint, SqliteCheckpoint
from services.netagent.errors import BaseMismatch, RemovalBudget, StaleGeneration
from services.netagent.reconciler import UNWANTED, Reconciler
from services.netagent.render import link_name, link_of

NODE, OPERATION = UUID(int=1), UUID(int=9)
EPOCH = 1
UID = UUID("0123456789abcdef0123456789abcdef")
PORT = wire.Port(UID, bytes.fromhex("060000000007"), wire.PortState.ACTIVE, "web-1")


def prefix(number: int) -> IPv4Network:
    return IPv4Network((IPv4Address("198.18.0.0") + number, 32))


def address(number: int, sequence: int = 1) -> wire.Address:
    return wire.Address(prefix(number), UID, ip_interface(str(prefix(number))), sequence)


def snapshot(generation: int, *entries: wire.Entry) -> wire.Snapshot:
    return wire.Snapshot(NODE, EPOCH, generation, list(entries))


def delta(base: int, *puts: wire.Entry, gone: tuple[wire.Entry, ...] = ()) -> wire.Delta:
    tombstones = [wire.Tombstone(wire.EntryKey.of(entry), OPERATION) for entry in gone]
    return wire.Delta(NODE, EPOCH, base, base + 1, list(puts), tombstones)


def digest(*entries: wire.Entry) -> dict[str, str]:
    return wire.Digest.of(entries).hex()


class Node:
    """A hypervisor: a kernel, a checkpoint, and an agent that can be killed."""

    def __init__(self, name: str = "hv-1", world: World | None = None, checkpoint: Checkpoint | None = None) -> None:
        self.kernel = Kernel(name, world)
        self.checkpoint = checkpoint or MemoryCheckpoint()
        self.start()

    def start(self) -> None:
        self.agent = Reconciler(NODE, drivers(self.kernel, link_of).hypervisor, self.checkpoint)

    def anchors(self) -> set[tuple[IPv4Network, int]]:
        return {(row.prefix, row.sequence) for row in self.kernel.table(Anchor).values()}  # type: ignore[misc]


@pytest.fixture
def node() -> Node:
    return Node()


def refuse_anchor(number: int) -> Callable[[Entry], None]:
    def refuse(entry: Entry) -> None:
        if isinstance(entry, Anchor) and entry.prefix == prefix(number):
            raise DriverError("route.einval", "poisoned")

    return refuse


# --- applying --------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_made_so_and_read_back(node: Node) -> None:
    realized = node.agent.apply(snapshot(5, PORT, address(1, 7)))

    assert (realized.epoch, realized.generation, realized.failed) == (EPOCH, 5, [])
    assert realized.digest == digest(PORT, address(1, 7))
    link = link_name(UID)
    assert node.kernel.table(Leg)[link].state is LegState.ACTIVE
    assert node.kernel.table(GuardAddress).keys() == {(link, prefix(1))}
    assert node.kernel.table(Forward).keys() == {prefix(1)}
    assert node.anchors() == {(prefix(1), 7)}
    assert node.kernel.world.addresses[UID.hex] == {ip_interface("198.18.0.1/32"): None}


def test_a_delta_adds_and_removes(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))

    realized = node.agent.apply(delta(5, address(3), gone=(address(1),)))

    assert realized.digest == digest(PORT, address(2), address(3))
    assert node.anchors() == {(prefix(2), 1), (prefix(3), 1)}
    assert node.kernel.table(Forward).keys() == {prefix(2), prefix(3)}


def test_a_new_sequence_is_added_before_the_old_is_dropped(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1, 7)))
    seen: list[set[tuple[IPv4Network, int]]] = []
    node.kernel.refuse = lambda entry: seen.append(node.anchors()) if isinstance(entry, Anchor) else None

    node.agent.apply(delta(5, address(1, 8)))

    assert seen == [{(prefix(1), 7)}, {(prefix(1), 7), (prefix(1), 8)}]  # before the put, before the drop
    assert node.anchors() == {(prefix(1), 8)}


def test_a_repeated_delta_answers_the_same(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT))
    first = node.agent.apply(delta(5, address(1)))
    assert node.agent.apply(delta(5, address(1))) == first
    assert node.agent.realized() == first


def test_a_ports_new_state_reaches_its_addresses(node: Node) -> None:
    node.agent.apply(snapshot(5, replace(PORT, state=wire.PortState.STANDBY), address(1)))
    assert UID.hex not in node.kernel.world.addresses

    realized = node.agent.apply(delta(5, PORT))

    assert realized.digest == digest(PORT, address(1))
    assert ip_interface("198.18.0.1/32") in node.kernel.world.addresses[UID.hex]


def test_an_address_waits_for_its_port(node: Node) -> None:
    realized = node.agent.apply(snapshot(5, address(1)))
    assert [failure.code for failure in realized.failed] == ["agent.entry.no_port"]

    realized = node.agent.apply(delta(5, PORT))

    assert realized.failed == []
    assert realized.digest == digest(PORT, address(1))


def test_a_table_that_the_role_lacks_fails_its_entries_alone(node: Node) -> None:
    inbound = wire.Inbound(IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9"))
    realized = node.agent.apply(snapshot(5, inbound, PORT))
    assert [failure.code for failure in realized.failed] == ["agent.entry.unsupported"]
    assert realized.digest == digest(PORT)


def test_removing_a_port_with_its_addresses_leaves_nothing(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1)))
    realized = node.agent.apply(delta(5, gone=(PORT, address(1))))
    assert (realized.digest, realized.failed) == ({}, [])
    assert not any(node.kernel.rows.values())
    assert not node.kernel.world.legs


PRIVATE = IPv4Address("10.1.0.5")
INSIDE = wire.Address(IPv4Network(PRIVATE), UID, ip_interface(f"{PRIVATE}/32"))


def hostnat(sequence: int = 0, *, outbound: bool = False) -> wire.HostNat:
    return wire.HostNat(UID, prefix(1).network_address, PRIVATE, inbound=True, outbound=outbound, sequence=sequence)


def test_a_port_passes_to_hostnat_and_back_by_changes_of_one_entry(node: Node) -> None:
    """CONVERSION.md, "Order of one switch": each step writes its own rows, and nothing else."""
    node.agent.apply(snapshot(5, PORT, INSIDE))
    before = {kind: dict(rows) for kind, rows in node.kernel.rows.items() if rows}
    prepared, announced, switched = hostnat(), hostnat(3), hostnat(3, outbound=True)
    writes: list[list[Entry]] = []

    def order(*puts: wire.Entry, gone: tuple[wire.Entry, ...] = ()) -> None:
        touched: list[Entry] = []
        node.kernel.refuse = touched.append
        generation = node.agent.realized().generation
        realized = node.agent.apply(delta(generation, *puts, gone=gone))
        assert realized.failed == []
        assert realized.digest == digest(PORT, INSIDE, *puts)
        writes.append(touched)

    for step in (prepared, announced, switched, announced, prepared):
        order(step)
    order(gone=(prepared,))

    link, public, private = link_name(UID), prefix(1).network_address, PRIVATE
    silent, both = HostNat(link, public, private, True, False), HostNat(link, public, private, True, True)
    route, anchor = Forward(prefix(1), link, PORT.mac.hex(":")), Anchor(prefix(1), 3)
    assert writes == [[silent, route], [anchor], [both], [silent], [anchor], [route, silent]]
    assert {kind: rows for kind, rows in node.kernel.rows.items() if rows} == before


def test_hostnat_waits_for_its_port(node: Node) -> None:
    realized = node.agent.apply(snapshot(5, INSIDE, hostnat(3)))
    assert {failure.code for failure in realized.failed} == {"agent.entry.no_port"}

    realized = node.agent.apply(delta(5, PORT))

    assert realized.digest == digest(PORT, INSIDE, hostnat(3))


def test_a_switch_altered_behind_the_agent_is_mended(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, INSIDE, hostnat(3, outbound=True)))
    link, public = link_name(UID), prefix(1).network_address
    node.kernel.alter(HostNat(link, public, PRIVATE, inbound=True, outbound=False))

    assert node.agent.verify()
    assert node.agent.realized().digest == digest(PORT, INSIDE)
    node.agent.repair()

    assert node.kernel.table(HostNat)[link].outbound


# --- refusals --------------------------------------------------------------------------------------------------------


def test_an_older_message_touches_nothing(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1)))
    before = node.agent.realized()
    with pytest.raises(StaleGeneration):
        node.agent.apply(snapshot(4, PORT))
    assert node.agent.realized() == before
    assert node.anchors() == {(prefix(1), 1)}


def test_a_delta_needs_its_base(node: Node) -> None:
    with pytest.raises(BaseMismatch):
        node.agent.apply(delta(5, PORT))
    node.agent.apply(snapshot(5, PORT))
    with pytest.raises(BaseMismatch):
        node.agent.apply(delta(6, address(1)))


def test_an_emptied_snapshot_withdraws_nothing(node: Node) -> None:
    """Q4, Q8."""
    many = [address(number) for number in range(1, 31)]
    node.agent.apply(snapshot(5, PORT, *many))
    for message in (snapshot(6), snapshot(6, PORT, *many[:20])):
        with pytest.raises(RemovalBudget):
            node.agent.apply(message)
    assert len(node.anchors()) == 30


def test_without_its_checkpoint_a_node_counts_what_its_kernel_holds(node: Node) -> None:
    """Q4, Q8: a first snapshot prunes, so it has the same budget."""
    many = [address(number) for number in range(1, 31)]
    node.agent.apply(snapshot(5, PORT, *many))
    node.checkpoint = MemoryCheckpoint()
    node.start()

    for message in (snapshot(6), snapshot(6, PORT, *many[:20])):
        with pytest.raises(RemovalBudget, match="of 31 entries"):
            node.agent.apply(message)
    assert len(node.anchors()) == 30
    assert node.agent.apply(snapshot(6, PORT, *many[:26])).digest == digest(PORT, *many[:26])
    assert len(node.anchors()) == 26


# --- failures --------------------------------------------------------------------------------------------------------


def test_one_poisoned_entry_does_not_stop_the_rest(node: Node) -> None:
    """Q7."""
    node.kernel.refuse = refuse_anchor(2)

    realized = node.agent.apply(snapshot(5, PORT, address(1), address(2), address(3)))

    assert [(failure.kind, failure.code) for failure in realized.failed] == [("address", "route.einval")]
    assert realized.failed[0].key == address(2).key().hex()
    assert realized.digest == digest(PORT, address(1), address(3))
    assert node.anchors() == {(prefix(1), 1), (prefix(3), 1)}


def test_a_mended_entry_is_confirmed_by_the_next_delta_that_names_it(node: Node) -> None:
    node.kernel.refuse = refuse_anchor(2)
    node.agent.apply(snapshot(5, PORT))
    assert node.agent.apply(delta(5, address(2))).failed
    node.kernel.refuse = lambda _: None

    realized = node.agent.apply(delta(5, address(2)))

    assert realized.failed == []
    assert realized.digest == digest(PORT, address(2))


def test_a_new_form_that_is_refused_leaves_the_old_in_place(node: Node) -> None:
    """Add first, delete after: a refused new sequence does not withdraw the address."""
    node.agent.apply(snapshot(5, PORT, address(2, 1)))
    node.kernel.refuse = refuse_anchor(2)

    assert node.agent.apply(delta(5, address(2, 2))).failed
    assert node.anchors() == {(prefix(2), 1)}

    node.kernel.refuse = lambda _: None
    node.agent.repair()
    assert node.anchors() == {(prefix(2), 2)}
    assert node.agent.realized().failed == []


def test_what_cannot_be_dropped_is_listed_and_tried_again(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.kernel.refuse = refuse_anchor(2)

    realized = node.agent.apply(delta(5, gone=(address(2),)))
    assert [failure.key for failure in realized.failed] == [address(2).key().hex()]
    assert (prefix(2), 1) in node.anchors()

    node.kernel.refuse = lambda _: None
    node.agent.repair()
    assert node.agent.realized().failed == []
    assert node.anchors() == {(prefix(1), 1)}


def test_an_entry_whose_row_could_be_neither_dropped_nor_put_anew_stays_failed(node: Node) -> None:
    """Whatever else is changed meanwhile: the kernel still sends the address to its last holder."""
    other = replace(PORT, port=UUID(int=7))
    node.agent.apply(snapshot(5, PORT, other, address(1)))

    def refuse(entry: Entry) -> None:
        if isinstance(entry, Forward) and entry.prefix == prefix(1):
            raise DriverError("route.refused", "the kernel refuses")

    node.kernel.refuse = refuse
    assert node.agent.apply(delta(5, gone=(address(1),))).failed
    assert node.agent.apply(delta(6, replace(address(1), port=other.port))).failed

    realized = node.agent.apply(delta(7, address(2)))

    assert [failure.key for failure in realized.failed] == [address(1).key().hex()]
    assert realized.digest == digest(PORT, other, address(2))


# --- drift -----------------------------------------------------------------------------------------------------------


def test_drift_is_seen_then_repaired(node: Node) -> None:
    """Q2, Q6."""
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.kernel.remove(Anchor, (prefix(1), 1))
    node.kernel.alter(Forward(prefix(2), "elsewhere", "06:00:00:00:00:99"))

    assert node.agent.verify()
    assert node.agent.realized().digest == digest(PORT)
    assert len(node.agent.realized().failed) == 2

    node.agent.repair()
    assert node.agent.realized().digest == digest(PORT, address(1), address(2))
    assert node.anchors() == {(prefix(1), 1), (prefix(2), 1)}
    assert not node.agent.verify()


def test_what_was_mended_is_told_at_the_next_read_back(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.kernel.remove(Anchor, (prefix(1), 1))
    assert node.agent.verify()

    node.agent.repair(tell=False)

    assert node.anchors() == {(prefix(1), 1), (prefix(2), 1)}
    assert node.agent.realized().digest == digest(PORT, address(2))
    assert not node.agent.verify()
    assert node.agent.realized().digest == digest(PORT, address(1), address(2))


def test_a_row_of_ours_that_nobody_asked_for_is_seen_then_removed(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1)))
    node.kernel.alter(Anchor(prefix(66), 4))

    assert node.agent.verify()
    assert UNWANTED in node.agent.realized().digest
    node.agent.repair()

    assert node.anchors() == {(prefix(1), 1)}
    assert node.agent.realized().digest == digest(PORT, address(1))


def test_rows_of_others_are_left_alone(node: Node) -> None:
    foreign = Anchor(prefix(1), 1)
    node.kernel.claim(foreign)

    realized = node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.agent.repair()

    assert [failure.code for failure in realized.failed] == ["route.foreign"]
    assert node.kernel.foreign[Anchor] == {foreign.key: foreign}
    assert node.anchors() == {(prefix(2), 1)}


def test_a_leg_that_vanishes_comes_back_with_all_that_went_with_it(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1)))
    node.kernel.remove(Leg, link_name(UID))

    assert node.agent.verify()
    node.agent.repair()

    assert node.agent.realized().digest == digest(PORT, address(1))
    assert node.kernel.table(Forward).keys() == {prefix(1)}


# --- restarts --------------------------------------------------------------------------------------------------------


def test_a_restart_goes_on_from_the_checkpoint_and_touches_nothing(node: Node) -> None:
    """Q3, Q5."""
    before = node.agent.apply(snapshot(5, PORT, address(1)))
    touched: list[Entry] = []
    node.kernel.refuse = touched.append

    node.start()
    node.agent.repair()

    assert touched == []
    assert node.agent.realized() == before
    assert node.agent.apply(delta(5, address(2))).digest == digest(PORT, address(1), address(2))


def test_after_a_reboot_the_checkpoint_is_made_so_again(node: Node) -> None:
    node.agent.apply(snapshot(5, PORT, address(1)))
    node.kernel = Kernel("hv-1")

    node.start()
    node.agent.repair()

    assert node.agent.realized().digest == digest(PORT, address(1))
    assert node.anchors() == {(prefix(1), 1)}


def test_a_host_that_comes_back_takes_no_guest_that_was_started_elsewhere() -> None:
    world = World()
    back, new = Node("hv-1", world), Node("hv-2", world)
    back.agent.apply(snapshot(5, PORT, address(1)))
    new.agent.apply(snapshot(5, PORT, address(1, 2)))  # it was fenced, and its guest started here

    back.start()
    for _ in range(2):
        back.agent.repair()
        assert "leg.elsewhere" in {failure.code for failure in back.agent.realized().failed}
        assert not new.agent.verify()

    back.agent.apply(snapshot(6, PORT, address(1, 3)))  # an order takes it back
    assert back.agent.realized().failed == []
    assert new.agent.verify()


def test_without_a_checkpoint_nothing_is_removed_before_the_first_snapshot(node: Node) -> None:
    """Q4."""
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.checkpoint = MemoryCheckpoint()
    node.start()

    assert not node.agent.verify()
    node.agent.repair()
    with pytest.raises(BaseMismatch):
        node.agent.apply(delta(5, address(3)))
    assert node.anchors() == {(prefix(1), 1), (prefix(2), 1)}

    node.agent.apply(snapshot(6, PORT, address(1)))
    assert node.anchors() == {(prefix(1), 1)}


def test_with_a_checkpoint_what_it_does_not_know_waits_for_a_snapshot(node: Node) -> None:
    """A checkpoint may be older than the kernel."""
    node.agent.apply(snapshot(5, PORT, address(1)))
    node.kernel.alter(Anchor(prefix(66), 4))
    node.start()

    node.agent.repair()
    assert (prefix(66), 4) in node.anchors()
    assert UNWANTED in node.agent.realized().digest

    node.agent.apply(snapshot(5, PORT, address(1)))
    assert node.anchors() == {(prefix(1), 1)}


def test_a_checkpoint_on_disk_holds_every_change(tmp_path: Path) -> None:
    node = Node(checkpoint=SqliteCheckpoint(tmp_path / "state" / "checkpoint.sqlite"))
    node.agent.apply(snapshot(5, PORT, address(1), address(2)))
    node.agent.apply(delta(5, address(3, 4), gone=(address(1),)))

    stored = SqliteCheckpoint(tmp_path / "state" / "checkpoint.sqlite").load()

    assert stored is not None
    assert (stored.position.epoch, stored.position.generation) == (EPOCH, 6)
    assert set(stored.entries.values()) == {PORT, address(2), address(3, 4)}


# --- a move ----------------------------------------------------------------------------------------------------------


def test_a_moving_guest_keeps_its_addresses_and_hears_one_leg() -> None:
    world = World()
    source, destination = Node("hv-1", world), Node("hv-2", world)
    source.agent.apply(snapshot(1, PORT, address(1, 1)))

    destination.agent.apply(snapshot(1, replace(PORT, state=wire.PortState.STANDBY), address(1, 0)))
    leaving = replace(PORT, state=wire.PortState.LEAVING)
    source.agent.apply(delta(1, leaving, replace(address(1, 1), fallback=IPv4Address("172.31.0.2"))))
    assert world.hears[UID.hex] == ("hv-1", link_name(UID))

    destination.agent.apply(delta(1, PORT))
    assert world.hears[UID.hex] == ("hv-2", link_name(UID))
    assert not source.agent.verify()  # a leg that is leaving is not defended
    destination.agent.apply(delta(2, address(1, 2)))
    source.agent.apply(delta(2, gone=(PORT, address(1))))

    assert world.legs[UID.hex] == {("hv-2", link_name(UID))}
    assert ip_interface("198.18.0.1/32") in world.addresses[UID.hex]
    assert (source.anchors(), destination.anchors()) == (set(), {(prefix(1), 2)})
    assert not destination.agent.verify()
    assert GuestAddress in {driver.entry for driver in drivers(destination.kernel, link_of).hypervisor}


def test_a_change_reads_back_and_writes_what_it_changes_only(node: Node) -> None:
    """Nothing is in proportion to what a node holds already."""
    node.agent.apply(snapshot(5, PORT, *[address(number) for number in range(1, 30)]))
    touched: list[Entry] = []
    node.kernel.refuse = touched.append

    realized = node.agent.apply(delta(5, address(7, 2)))

    assert touched == [Anchor(prefix(7), 2), Anchor(prefix(7), 1)]
    assert len(realized.failed) == 0


# --- what is told of rows --------------------------------------------------------------------------------------------


def differing(node: Node, number: int) -> dict[wire.Table, tuple[dict[str, str] | None, dict[str, str] | None]]:
    found = node.agent.rows([UID], [prefix(number)]).rows
    return {row.table: (row.wanted, row.seen) for row in found if row.wanted != row.seen}


def test_the_rows_of_an_address_are_told_as_wanted_and_as_seen(node: Node) -> None:
    node.agent.apply(snapshot(1, PORT, address(1), address(2)))

    told = node.agent.rows([UID], [prefix(1)])

    assert (told.epoch, told.generation) == (EPOCH, 1)
    assert [row.table for row in told.rows] == [
        "anchor",
        "forward",
        "guard_address",
        "guard_port",
        "guest_address",
        "leg",
    ]
    assert all(row.wanted == row.seen for row in told.rows)
    assert all(str(prefix(2)) not in str(row) for row in told.rows), "another address's"


def test_a_row_that_was_lost_altered_or_put_by_another_hand_is_told_so(node: Node) -> None:
    node.agent.apply(snapshot(1, PORT, address(1, sequence=3)))
    node.kernel.remove(Forward, prefix(1))
    node.kernel.remove(Anchor, (prefix(1), 3))
    node.kernel.alter(Anchor(prefix(1), 7))

    told = node.agent.rows([UID], [prefix(1)]).rows

    anchors = [(row.wanted, row.seen) for row in told if row.table is wire.Table.ANCHOR]
    wanted, seen = ({"prefix": "198.18.0.1/32", "sequence": sequence} for sequence in ("3", "7"))
    assert anchors == [(wanted, None), (None, seen)]
    assert [row.seen for row in told if row.table is wire.Table.FORWARD] == [None]


def test_rows_of_what_nobody_asked_for_are_told_and_change_nothing(node: Node) -> None:
    node.agent.apply(snapshot(1, PORT, address(1)))
    node.kernel.alter(Anchor(prefix(9), 5))

    assert differing(node, 9) == {wire.Table.ANCHOR: (None, {"prefix": "198.18.0.9/32", "sequence": "5"})}
    assert (prefix(9), 5) in node.anchors()


def test_a_table_that_cannot_be_read_is_told_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.agent.apply(snapshot(1, PORT, address(1)))
    blind = OSError("no such device")

    def fail(*_: object) -> None:
        raise blind

    driver = next(one for one in node.agent._drivers if one.entry is Forward)
    monkeypatch.setattr(driver, "observe", fail)

    (row,) = [row for row in node.agent.rows([UID], [prefix(1)]).rows if row.table is wire.Table.FORWARD]
    assert row.seen is None
    assert row.unreadable == "no such device"
