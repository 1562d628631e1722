"""Asks the ledger, the database and the nodes what they know of an address, and has it judged.

A node that does not answer is told as silent: what the others say still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Network, ip_network
from uuid import UUID

from common.auth import Principal
from common.db import Database, Transaction
from common.errors import DomainError, Unavailable
from services.ipam import wire as ipam_wire
from services.ipam.client import IpamClient
from services.netagent import wire as agent_wire
from services.placement import model
from services.placement.agents import Agents
from services.placement.errors import AddressAmbiguous, AddressMalformed, AddressUnknown, PortUnknown
from services.placement.service.operations import project_of
from services.placement.store import entries, instances, operations, tracing
from services.placement.trace.facts import Claim, Held, Intent, Node, Port, Prefix, Reality
from services.placement.trace.way import Trace, trace

READINGS = 3
"""So often the database is read again, when it has changed while the nodes were asked."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is asked about: an address of a zone, its port, and what the ledger says of it."""

    prefix: Prefix
    zone: str
    port: UUID | None = None
    ledger: Held | None = None
    silent: str | None = None


class Tracer:
    """Traces addresses."""

    def __init__(self, database: Database, agents: Agents, ipam: IpamClient) -> None:
        self._db = database
        self._agents = agents
        self._ipam = ipam
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="trace")

    def trace(self, address: str, zone: str | None) -> Trace:
        """Raises AddressMalformed, AddressUnknown, AddressAmbiguous; Unavailable if only the ledger could say."""
        return self._judged([self._subject(_parsed(address), zone)])[0]

    def reachability(self, principal: Principal, port_id: UUID) -> tuple[Port, list[Trace]]:
        """How each address of a port is reached. Raises PortUnknown."""
        with self._db.transaction() as tx:
            row = instances.port(tx, port_id)
            project = project_of(principal)
            if row is None or project not in (None, row.instance.project):
                raise PortUnknown(f"there is no port {port_id}")
            zone, flexible = row.instance.zone, {one.flexible_ip: one.prefix for one in row.addresses}
            bound = [one.prefix for one in row.node_addresses if one.prefix not in flexible.values()]
            port = _port(tx, row)
        held, silent = self._held(flexible)
        subjects = [_Subject(prefix, zone, port_id, held.get(fip_id), silent) for fip_id, prefix in flexible.items()]
        subjects += [_Subject(prefix, zone, port_id) for prefix in bound]
        return port, self._judged(subjects)

    # --- what it is --------------------------------------------------------------------------------------------------

    def _subject(self, prefix: Prefix, zone: str | None) -> _Subject:
        with self._db.transaction() as tx:
            attached = tracing.attached(tx, prefix)
            bound = [row for row in tracing.node_bound(tx, prefix, zone) if row.port_id]
            covered = {node.zone for node, _, _ in tracing.covering(tx, [prefix], zone)}
            covered |= {row.zone for row in tracing.zone_prefixes(tx, prefix, zone)}
        if attached is not None:
            address, in_zone = attached
            held, silent = self._held([address.flexible_ip])
            return _Subject(address.prefix, in_zone, address.port_id, held.get(address.flexible_ip), silent)
        zones = {row.zone for row in bound} or covered
        if len(zones) > 1:
            raise AddressAmbiguous(f"{prefix} is in {', '.join(sorted(zones))}; say which zone")
        if bound:
            return _Subject(bound[0].prefix, bound[0].zone, bound[0].port_id)
        return self._of_ledger(prefix, zones)

    def _of_ledger(self, prefix: Prefix, zones: set[str]) -> _Subject:
        """An address that no port has: the ledger's, or free in one of `zones`."""
        for candidate in self._candidates(prefix):
            for fip in self._ipam.flexible_ips_at(candidate):
                target = fip.attachment or fip.next_attachment
                with self._db.transaction() as tx:
                    port = instances.port_of_target(tx, target.target.kind, target.target.id) if target else None
                return _Subject(candidate, fip.zone, port.id if port else None, _ledger(fip))
        if not zones:
            raise AddressUnknown(f"{prefix} is in no pool, and in no node's own prefixes")
        return _Subject(prefix, zones.pop())

    def _candidates(self, prefix: Prefix) -> list[Prefix]:
        """What the ledger may know the address by: an IPv6 one by the length its pool gives out."""
        if prefix.version == 4 or prefix.prefixlen < prefix.max_prefixlen:
            return [prefix]
        lengths = {pool.prefix_length for pool in self._ipam.pools() if pool.family is ipam_wire.Family.IPV6}
        return [ip_network((prefix.network_address, length), strict=False) for length in sorted(lengths)]

    def _held(self, ids: Iterable[UUID]) -> tuple[dict[UUID, Held], str | None]:
        """What the ledger says of flexible IPs, and why it says nothing."""
        try:
            return {fip.id: _ledger(fip) for fip in self._ipam.flexible_ips(ids)}, None
        except Unavailable as error:
            return {}, error.message

    # --- what is known -----------------------------------------------------------------------------------------------

    def _judged(self, subjects: Sequence[_Subject]) -> list[Trace]:
        """What is judged was the same before the nodes were asked and after it."""
        intents, reality = self._intents(subjects), Reality()
        for _ in range(READINGS):
            reality = self._ask(intents)
            before, intents = intents, self._intents(subjects)
            if before == intents:
                break
        return [trace(intent, reality) for intent in intents]

    def _intents(self, subjects: Sequence[_Subject]) -> list[Intent]:
        with self._db.transaction() as tx:
            return [_intent(tx, subject) for subject in subjects]

    def _ask(self, intents: Sequence[Intent]) -> Reality:
        nodes = {node.id: node for intent in intents for node in intent.nodes.values()}
        ports = {intent.port.id for intent in intents if intent.port}
        addresses = list(dict.fromkeys(one for intent in intents for one in (intent.prefix, *intent.private)))
        everything = list(dict.fromkeys((*addresses, *(one for intent in intents for one in intent.covering))))
        answers = self._pool.map(lambda node: self._answer(node, ports, addresses, everything), nodes.values())
        answered = dict(zip(nodes, answers, strict=True))
        known = {address for node in nodes.values() for address in node.known_by}
        used = {hop for answer in answered.values() for hops in answer.routes.values() for hop in hops}
        with self._db.transaction() as tx:
            strangers = {row.id: _node(row) for row in tracing.by_hop(tx, sorted(used - known))}
        asked = self._pool.map(lambda node: self._answer(node, ports, addresses, addresses), strangers.values())
        answered |= dict(zip(strangers, asked, strict=True))
        return Reality(
            routes={node: answer.routes for node, answer in answered.items() if answer.routes},
            rows={node: answer.rows for node, answer in answered.items() if answer.rows},
            silent={node: answer.silent for node, answer in answered.items() if answer.silent},
            passers_by=strangers,
        )

    def _answer(
        self, node: Node, ports: set[UUID], addresses: Sequence[Prefix], everything: Sequence[Prefix]
    ) -> _Answer:
        agent, edge = self._agents.of(node.id, node.url), node.role == "edge"
        try:
            rows = agent.rows(ports, addresses if edge else everything)
            told = agent.edge_routes([str(prefix) for prefix in addresses]) if edge else []
        except DomainError as error:
            return _Answer(silent=error.message)
        return _Answer(rows, {prefix: one.next_hops for prefix, one in zip(addresses, told, strict=False)})


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one agent told, or why it did not."""

    rows: agent_wire.Rows | None = None
    routes: Mapping[Prefix, Sequence[str]] = field(default_factory=dict)
    silent: str | None = None


def _parsed(address: str) -> Prefix:
    """One IPv4 address; one IPv6 address, or a prefix. Raises AddressMalformed."""
    try:
        prefix = ip_network(address)
    except ValueError as error:
        raise AddressMalformed(f"{address!r} is no address") from error
    if isinstance(prefix, IPv6Network) and prefix.network_address.scope_id:
        raise AddressMalformed(f"{address} is of one link alone")
    if prefix.version == 4 and prefix.prefixlen < 32:
        raise AddressMalformed(f"{address} is a prefix; name one address of it")
    return prefix


def _ledger(fip: ipam_wire.FlexibleIP) -> Held:
    frozen, rests = fip.frozen_since, fip.quarantined_until
    return Held(fip.state.value, frozen.isoformat() if frozen else None, rests.isoformat() if rests else None)


def _intent(tx: Transaction, subject: _Subject) -> Intent:
    row = instances.port(tx, subject.port) if subject.port else None
    held = tracing.held(tx, row.id) if row else {}
    behind = {node.id: failure for node, failure in entries.pending(tx, [row.id])[row.id]} if row else {}
    bound = [one.prefix for one in row.node_addresses] if row and subject.prefix.version == 4 else []
    private = tuple(one for one in bound if one.version == 4 and one != subject.prefix)
    own = tracing.covering(tx, (subject.prefix, *private), subject.zone)
    public = [one.prefix for one in tracing.zone_prefixes(tx, subject.prefix, subject.zone)]
    seats = {row.node_id} if row and row.node_id else set()
    fenced_from = frozenset(tracing.fenced_from(tx, subject.prefix))
    concerned = {*held, *behind, *seats, *fenced_from, *(node.id for node, _, _ in own)}
    return Intent(
        subject.prefix,
        subject.zone,
        subject.ledger,
        subject.silent,
        _port(tx, row) if row else None,
        {
            node.id: replace(
                _node(node),
                behind=node.id in behind,
                failure=behind.get(node.id),
                entries=tuple(sorted(held.get(node.id, ()), key=repr)),
            )
            for node in tracing.nodes(tx, subject.zone, concerned)
        },
        private,
        {prefix: node.id for node, _, prefix in own},
        tuple(dict.fromkeys([*(prefix for _, prefix, _ in own), *public])),
        fenced_from,
    )


def _port(tx: Transaction, row: model.Port) -> Port:
    claim = row.claim
    if claim is None:
        return Port(row.id, row.instance.name, row.mode, row.node_id)
    operation = operations.get(tx, claim.operation_id)
    waits = (operation.waiting_for or {}).get("text") if operation else None
    return Port(
        row.id, row.instance.name, row.mode, row.node_id, Claim(claim.kind, claim.step, claim.operation_id, waits)
    )


def _node(row: model.Node) -> Node:
    known_by = {str(row.endpoint), str(row.endpoint_ipv6), *row.neighbours} - {"None"}
    return Node(
        row.id,
        row.name,
        row.role,
        row.agent_url,
        frozenset(known_by),
        row.applied_generation,
        row.fence is not None,
        row.fenced_at is not None,
    )
