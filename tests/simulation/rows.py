"""The controller's rows: dictionaries in which a claim goes from one step to the next by compare-and-swap.

A transaction is what a worker does between two stops; nobody else runs meanwhile. What PostgreSQL adds to that (locks,
constraints, snapshots) is shown on PostgreSQL, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import takewhile
from typing import Any
from uuid import UUID

from services.netagent import wire
from services.placement import modes
from services.placement.conversion.steps import Stage
from services.placement.fleet.steps import Work
from services.placement.move import Kind, Passage, Step
from services.placement.scheduler import Host, Supply
from services.placement.snapshot import Entries, Interface, Prefix, Sequenced

EPOCH = 1
UNREACHABLE_AFTER_S = 4.0

Ring = Callable[[str, tuple[str, ...]], None]
Trusts = Callable[[dict[str, str], list[tuple[wire.EntryKey, bytes]], wire.Realized], bool]


@dataclass(slots=True)
class Node:
    """A machine with an agent, and how far it has confirmed what it must hold."""

    id: UUID
    name: str
    role: str
    endpoint: IPv4Address
    neighbour: IPv4Address  # its end of the edge's link to it
    prefixes: list[Prefix] = field(default_factory=list)  # of a hypervisor: those it gives node-bound addresses from
    vcpus: int = 0
    generation: int = 1
    applied: int = 0
    digest: wire.Digest = field(default_factory=wire.Digest)
    seen_at: float = -1e9
    refused: int = 0  # entries its kernel is known not to hold as asked
    refusal: str | None = None  # why its agent takes nothing
    admin_state: str = "enabled"
    fence: bool = False  # a person's evidence
    fenced: bool = False  # the edges have read back that they hold it apart

    def up(self, now: float) -> bool:
        return now - self.seen_at < UNREACHABLE_AFTER_S


@dataclass(slots=True)
class Address:
    """Our copy of one address of a port's AddressSet."""

    flexible_ip: UUID
    prefix: Prefix
    host: Interface
    candidates: tuple[UUID, ...] = ()  # of a failover address, the best first
    health_check: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Port:
    """An instance and its network interface, in one: its id is the target's too."""

    id: UUID
    name: str
    mac: str
    mode: str
    node: UUID | None = None
    ledger_mode: str = ""  # whose limits the ledger knows
    gives_up_ipv4: bool = False
    set_revision: int = 0
    reported_revision: int = 0
    addresses: list[Address] = field(default_factory=list)

    @property
    def families(self) -> set[int]:
        return {address.prefix.version for address in self.addresses}

    @property
    def public(self) -> list[Prefix]:
        """The addresses whose way at the edge a conversion changes."""
        return [address.prefix for address in self.addresses if address.prefix.version == 4]


@dataclass(frozen=True, slots=True)
class ConversionClaim:
    """The operation that is taking a port there or back, and how far it is."""

    port: UUID
    operation: str
    kind: str
    stage: Stage
    source: UUID | None
    wave: str
    entered_at: float
    settled_at: float | None = None
    answered: tuple[tuple[str, bool], ...] = ()  # what did before the switch
    failed: str | None = None  # why it goes back


@dataclass(frozen=True, slots=True)
class Claim:
    """The operation that is changing a port, and how far it is."""

    port: UUID
    operation: str
    kind: Kind
    step: Step
    source: UUID | None
    destination: UUID | None
    wanted: tuple[UUID, ...] = ()  # create: the addresses asked for
    wave: str = ""  # those of one are taken together
    given: tuple[Prefix, ...] = ()  # node-bound addresses of the destination
    undone: bool = False  # it goes back

    @property
    def passage(self) -> Passage:
        return Passage(self.kind, self.step, self.source, self.destination)


def passage_of(claim: Claim | ConversionClaim | None) -> Passage | None:
    """A claim's part in where the port is; a conversion has none."""
    return claim.passage if isinstance(claim, Claim) else None


@dataclass(slots=True)
class NodeWork:
    """What is being done to a node as a whole."""

    node: UUID
    operation: str
    kind: Work
    concurrency: int = 1
    paused: bool = False


@dataclass(slots=True)
class AddressFence:
    """An address that the edges hold apart from a node which has not withdrawn it."""

    id: UUID
    node: UUID
    key: wire.EntryKey
    port: UUID
    realized: bool = False


@dataclass(slots=True)
class Operation:
    """A long-running change; `waits` is the code of what it waits for."""

    id: str
    kind: str
    resource: UUID | str
    state: str = "pending"
    waits: str | None = None
    error: str | None = None

    @property
    def final(self) -> bool:
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(slots=True)
class Row:
    """One entry of what a node must hold; `removed` rows are tombstones until their generation is confirmed."""

    node: UUID
    key: wire.EntryKey
    entry: wire.Entry
    value: bytes
    owner: UUID
    generation: int
    removed: bool = False
    asked_by: UUID | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What to send a node, and the digest its agent must then answer with."""

    message: wire.Snapshot | wire.Delta
    digest: dict[str, str]


class NodeBound(dict[Prefix, tuple[UUID, UUID | None]]):
    """Prefix → (node, port): UNIQUE (zone, prefix). `of`: the same by port."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[UUID, dict[Prefix, None]] = {}

    def __setitem__(self, prefix: Prefix, held: tuple[UUID, UUID | None]) -> None:
        if prefix in self:
            del self[prefix]
        super().__setitem__(prefix, held)
        if held[1] is not None:
            self.of.setdefault(held[1], {})[prefix] = None

    def __delitem__(self, prefix: Prefix) -> None:
        holder = self[prefix][1]
        super().__delitem__(prefix)
        if holder is not None:
            del self.of[holder][prefix]


class Rows:
    """All rows of the controller."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.nodes: dict[UUID, Node] = {}
        self.ports: dict[UUID, Port] = {}
        self.claims: dict[UUID, Claim | ConversionClaim] = {}
        self.operations: dict[str, Operation] = {}
        self.stack, self.nat_closed = "dual", False  # of the zone
        self.zone_prefixes: list[Prefix] = []
        self.node_bound = NodeBound()
        self.carried: set[Prefix] = set()  # of those: what the ledger owns, or is about to
        self.sequences: dict[Prefix, Sequenced] = {}
        self.works: dict[UUID, NodeWork] = {}  # by node: one at a time
        self.address_fences: dict[tuple[UUID, wire.EntryKey], AddressFence] = {}
        self.allocations: dict[UUID | str, UUID] = {}  # consumer → node; an instance takes one VCPU
        self._entries: dict[UUID, dict[wire.EntryKey, Row]] = {}  # by node, in the order of their generations
        self._of_owner: dict[UUID, dict[tuple[UUID, wire.EntryKey], Row]] = {}

    # --- claims ------------------------------------------------------------------------------------------------------

    def swap(self, old: Claim | ConversionClaim | None, new: Claim | ConversionClaim | None) -> bool:
        """Put `new` in the place of `old`; False, and nothing changed, if `old` is not what is there."""
        either = old or new
        if either is None or self.claims.get(either.port) != old:
            return False
        if new is None:
            del self.claims[either.port]
        else:
            self.claims[new.port] = new
        return True

    def claim_of(self, operation: str) -> Claim | None:
        """That of a move."""
        found = self.operations.get(operation)
        claim = self.claims.get(found.resource) if found and isinstance(found.resource, UUID) else None
        return claim if isinstance(claim, Claim) and claim.operation == operation else None

    def converting(self, port: UUID) -> ConversionClaim | None:
        claim = self.claims.get(port)
        return claim if isinstance(claim, ConversionClaim) else None

    def held_by(self, port: UUID) -> list[Prefix]:
        """The node-bound prefixes of a port."""
        return list(self.node_bound.of.get(port, ()))

    def claimed_by(self, name: str) -> list[UUID]:
        """The ports of an Operation, or of a wave, that a move has."""
        claims = sorted((claim for claim in self.claims.values() if isinstance(claim, Claim)), key=lambda one: one.port)
        return [claim.port for claim in claims if name in {claim.operation, claim.wave}]

    def on_node(self, node: UUID) -> list[Port]:
        """The ports that are, or are about to be, on a node."""
        about_to = {
            claim.port for claim in self.claims.values() if isinstance(claim, Claim) and claim.destination == node
        }
        return [port for port in self.ports.values() if port.node == node or port.id in about_to]

    def free_node_bound(self, port: Port, keep: UUID | None) -> None:
        """Free what the port holds of other nodes than `keep`, save what is being carried over."""
        for prefix in self.held_by(port.id):
            if self.node_bound[prefix][0] != keep and prefix not in self.carried:
                del self.node_bound[prefix]

    def kept_families(self, port: Port) -> set[int]:
        """IP versions of which a port gets no node-bound address on another node."""
        stays = not modes.MODES[port.mode].rebinds
        held = {prefix.version for prefix in self.held_by(port.id) if stays or prefix in self.carried}
        return held | {address.prefix.version for address in port.addresses if address.prefix.version == 6}

    def hosts(self, now: float) -> list[Host]:
        """The hypervisors as the scheduler sees them."""
        used: dict[UUID, int] = {}
        for node in self.allocations.values():
            used[node] = used.get(node, 0) + 1
        return [
            Host(
                node.id,
                node.name,
                enabled=node.admin_state == "enabled" and not node.fence and not node.fenced,
                up=node.up(now),
                traits=frozenset(),
                supplies={"VCPU": Supply(node.vcpus, 0, 1, node.vcpus, 1, 1.0, used.get(node.id, 0))},
            )
            for node in self.nodes.values()
            if node.role == "hypervisor"
        ]

    def of_role(self, role: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.role == role]

    # --- what nodes must hold: as `services.placement.store.entries` -----------------------------------------------

    def replace(self, owner: UUID, wanted: Entries, asked_by: UUID | None = None) -> list[UUID]:
        """Make `wanted` all that nodes hold of `owner`; return the nodes that change."""
        held: dict[UUID, dict[wire.EntryKey, Row]] = {}
        for (node_id, key), row in self._of_owner.get(owner, {}).items():
            held.setdefault(node_id, {})[key] = row
        changed = []
        for node_id in sorted(held.keys() | wanted.keys()):
            target = {wire.EntryKey.of(entry): entry for entry in wanted.get(node_id, ())}
            rows = held.get(node_id, {})
            puts = {
                key: entry
                for key, entry in target.items()
                if key not in rows or rows[key].removed or rows[key].value != entry.value()
            }
            drops = [row for key, row in rows.items() if key not in target and not row.removed]
            if puts or drops:
                self._write(self.nodes[node_id], owner, puts, drops, asked_by)
                changed.append(node_id)
        return changed

    def _write(
        self, node: Node, owner: UUID, puts: dict[wire.EntryKey, wire.Entry], drops: list[Row], asked_by: UUID | None
    ) -> None:
        node.generation += 1
        table = self._entries.setdefault(node.id, {})
        for row in drops:
            node.digest.remove(row.key.kind, row.key.key, row.value)
            self._fail(row, None)
            row.removed, row.generation, row.asked_by = True, node.generation, asked_by
            table[row.key] = table.pop(row.key)
        for key, entry in puts.items():
            before = table.get(key)
            if before is not None:
                if not before.removed:
                    node.digest.remove(key.kind, key.key, before.value)
                self._forget(before)
            row = Row(node.id, key, entry, entry.value(), owner, node.generation)
            table[key] = row
            self._of_owner.setdefault(owner, {})[node.id, key] = row
            node.digest.add(key.kind, key.key, row.value)

    def _fail(self, row: Row, failure: str | None) -> None:
        self.nodes[row.node].refused += (failure is not None) - (row.failure is not None)
        row.failure = failure

    def _forget(self, row: Row) -> None:
        self._fail(row, None)
        del self._entries[row.node][row.key]
        of_owner = self._of_owner[row.owner]
        del of_owner[row.node, row.key]
        if not of_owner:
            del self._of_owner[row.owner]

    def batch(self, node_id: UUID, *, whole: bool) -> Batch | None:
        """The Delta since what the node confirmed, or the Snapshot; None when there is nothing to say."""
        node = self.nodes[node_id]
        if node.generation == node.applied and not whole:
            return None
        whole = whole or node.applied == 0
        rows = self.entries_of(node_id) if whole else self._since(node_id, node.applied)
        puts = [row.entry for row in rows if not row.removed]
        tombstones = [wire.Tombstone(row.key, row.asked_by) for row in rows if row.removed]
        message: wire.Snapshot | wire.Delta
        if whole:
            message = wire.Snapshot(node_id, EPOCH, node.generation, puts, tombstones)
        else:
            message = wire.Delta(node_id, EPOCH, node.applied, node.generation, puts, tombstones)
        return Batch(message, node.digest.hex())

    def confirm(self, batch: Batch, realized: wire.Realized, trusts: Trusts) -> list[UUID] | None:
        """Store what a node read back; return the owners for whom that changes something.

        None, and nothing is confirmed, when it holds something else than it was sent.
        """
        node = self.nodes[batch.message.node]
        failed = {
            wire.EntryKey(wire.Kind[item.kind.upper()], bytes.fromhex(item.key)): item.code for item in realized.failed
        }
        table = self._entries.get(node.id, {})
        missing = [table[key] for key in failed if key in table and not table[key].removed]
        if not trusts(batch.digest, [(row.key, row.value) for row in missing], realized):
            return None
        before = node.applied
        node.applied = max(before, min(realized.generation, node.generation))
        node.refusal = None
        if before == node.applied and not failed and not node.refused:
            return []
        owners: dict[UUID, None] = {}
        every = failed or node.refused
        for row in self.entries_of(node.id) if every else self._since(node.id, before):
            fresh = before < row.generation <= node.applied
            if not fresh and row.failure is None and row.key not in failed:
                continue
            failure = failed.get(row.key) if row.generation <= realized.generation else row.failure
            if row.generation > before or failure != row.failure:
                owners[row.owner] = None
            self._fail(row, failure)
            if row.removed and failure is None and row.generation <= node.applied:
                self._forget(row)
        return list(owners)

    def refuse(self, node_id: UUID, refusal: str) -> list[UUID]:
        """The node's agent does not take what it is sent; return the owners who wait for it."""
        node = self.nodes[node_id]
        node.refusal = refusal
        return self.waiting_for(node_id)

    def pending(self, owner: UUID) -> list[tuple[Node, str | None]]:
        """The nodes that have not read back what they must hold of `owner`, each with a failure if there is one.

        What is held apart counts as withdrawn: a node that is fenced, and an address that is fenced from a node.
        """
        behind: dict[UUID, str | None] = {}
        for row in self._of_owner.get(owner, {}).values():
            node = self.nodes[row.node]
            if node.fenced or row.key.kind is wire.Kind.HEALTH_CHECK or not self._is_late(row):
                continue
            fence = self.address_fences.get((row.node, row.key)) if row.removed else None
            if fence is None or not fence.realized:
                behind[row.node] = behind.get(row.node) or row.failure or node.refusal
        return [(self.nodes[node_id], behind[node_id]) for node_id in sorted(behind)]

    def withdrawing(self, node_id: UUID) -> list[Prefix]:
        """The addresses that leave a node, and that its kernel may still hold."""
        leaving = [row for row in self.entries_of(node_id) if row.removed and row.key.kind is wire.Kind.ADDRESS]
        return [wire.unpack_prefix(row.key.key) for row in leaving]

    def _is_late(self, row: Row) -> bool:
        return row.generation > self.nodes[row.node].applied or row.failure is not None

    def waiting_for(self, node_id: UUID) -> list[UUID]:
        """The owners of what a node has not read back."""
        return list(dict.fromkeys(row.owner for row in self.entries_of(node_id) if self._is_late(row)))

    def unwithdrawn(self) -> list[Row]:
        """Addresses that leave a port which stays, not withdrawn by its node nor fenced from it; nor is the node."""
        found = []
        for node in self.nodes.values():
            if node.fenced:
                continue
            for row in self.entries_of(node.id):
                going = row.removed and row.key.kind is wire.Kind.ADDRESS and self._is_late(row)
                if going and (node.id, row.key) not in self.address_fences and self._has_port(row.owner, node.id):
                    found.append(row)
        return found

    def _has_port(self, owner: UUID, node: UUID) -> bool:
        row = self._of_owner[owner].get((node, wire.EntryKey(wire.Kind.PORT, owner.bytes)))
        return row is not None and not row.removed

    def outlived(self) -> list[AddressFence]:
        """Address fences whose node has withdrawn the address, or has read back that it holds it again."""
        held = {place: self._entries.get(place[0], {}).get(place[1]) for place in self.address_fences}
        return [
            fence
            for place, fence in self.address_fences.items()
            if (row := held[place]) is None or not self._is_late(row)
        ]

    def mappings(self) -> int:
        """Mappings that gateways hold, or have not yet read back to be gone."""
        kinds = {wire.Kind.INBOUND, wire.Kind.OUTBOUND}
        found = [row for node in self.of_role("gateway") for row in self.entries_of(node.id)]
        return sum(row.key.kind in kinds and not row.removed for row in found)

    def entries_of(self, node_id: UUID) -> list[Row]:
        return list(self._entries.get(node_id, {}).values())

    def _since(self, node_id: UUID, generation: int) -> list[Row]:
        """Those that are newer than `generation`."""
        table = self._entries.get(node_id, {})
        newest_first = takewhile(lambda row: row.generation > generation, reversed(table.values()))
        return list(newest_first)[::-1]

    def held_of(self, owner: UUID) -> list[tuple[UUID, wire.Entry]]:
        """What nodes must hold of `owner`."""
        return [(row.node, row.entry) for row in self._of_owner.get(owner, {}).values() if not row.removed]

    def owners(self) -> list[UUID]:
        """All that any node must hold something of, or give something up of."""
        return list(self._of_owner)
