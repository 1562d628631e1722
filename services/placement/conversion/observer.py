"""What the zone's agents see of ports and of themselves: what prechecks and verdicts are made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_interface
from uuid import UUID

import structlog

from common.db import Database
from common.errors import DomainError
from services.netagent.wire import Observed, PortTraffic, ProbeTarget
from services.placement.agents import Agents
from services.placement.conversion.prechecks import HOSTNAT_TRAIT, Host, Seen
from services.placement.errors import EdgeMissing
from services.placement.model import Node, Port
from services.placement.node_addresses import host_of
from services.placement.store import nodes

log = structlog.get_logger()

PEER_S = 7 * 86_400.0  # a 10.x peer not heard of for longer is none
PROBES, PROBE_INTERVAL_S, PROBE_TIMEOUT_S = 2, 0.01, 0.5
FULL_SIZE, SMALL = 1500, 64  # bytes of IP packet
WRONG_TENANT = "dropped_not_its_address"

Ways = dict[str, bool]
"""Ways by which a guest was tried, and whether it answered."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a guest answered: by which ways, and of how many packets how many were lost on those."""

    ways: Ways
    sent: int = 0
    lost: int = 0


class Observer:
    """Asks agents. Who does not answer is left out: what is made of that is the caller's to decide."""

    def __init__(self, database: Database, agents: Agents) -> None:
        self._db = database
        self._agents = agents
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="observer")

    def seen(self, zone: str, ports: Sequence[Port]) -> dict[UUID, Seen]:
        """What is known of each port for its prechecks."""
        hosted: dict[UUID, list[UUID]] = {}
        for port in ports:
            if port.node_id is not None:
                hosted.setdefault(port.node_id, []).append(port.id)
        with self._db.transaction() as tx:
            hosts = {node.id: node for node in nodes.by_id(tx, hosted)}
            edges = nodes.nodes_of_zone(tx, zone, "edge")
        observed = self._observed([*edges, *hosts.values()])
        reverse_path = {edge.name: observed[edge.id].reverse_path if edge.id in observed else None for edge in edges}
        traffic = dict(self._pool.map(lambda node_id: (node_id, self._traffic(hosts[node_id], hosted[node_id])), hosts))
        peers = {
            one.port: [str(peer.peer) for peer in one.private_peers if peer.seen_seconds_ago < PEER_S]
            for found in traffic.values()
            for one in found or ()
        }
        room = {node_id: observed[node_id].room for node_id in hosts if node_id in observed}
        return {port.id: _seen(port, hosts, room, reverse_path, peers) for port in ports}

    def _traffic(self, node: Node, ports: Sequence[UUID]) -> list[PortTraffic] | None:
        try:
            return self._agents.of(node.id, node.agent_url).port_traffic(ports)
        except DomainError as error:
            log.warning("observer.silent", node=node.name, error=error.message)
            return None

    def _observed(self, asked: Sequence[Node]) -> dict[UUID, Observed]:
        def one(node: Node) -> Observed | None:
            try:
                return self._agents.of(node.id, node.agent_url).observed()
            except DomainError as error:
                log.warning("observer.silent", node=node.name, error=error.message)
                return None

        answers = zip(asked, self._pool.map(one, asked), strict=True)
        return {node.id: observed for node, observed in answers if observed is not None}

    def wrong_tenant_packets(self, zone: str) -> dict[str, int]:
        """By hypervisor: packets dropped at a guest's link since it was made, for they were not that guest's."""
        with self._db.transaction() as tx:
            asked = nodes.nodes_of_zone(tx, zone, "hypervisor")
        observed = self._observed([node for node in asked if nodes.up(node)])
        return {node.name: observed[node.id].packets.get(WRONG_TENANT, 0) for node in asked if node.id in observed}

    def tried(self, zone: str, ports: Sequence[Port], ways: Mapping[UUID, Collection[str]]) -> dict[UUID, Tried]:
        """By which ways the guests of `ports` answer now, as seen from an edge. Raises Unavailable if none answers.

        `ways`: of a port that was tried before, those that are worth trying again.
        """
        targets = {port.id: _targets(port, ways.get(port.id)) for port in ports}
        wanted = [target for ways in targets.values() for target in ways.values()]
        if not wanted:
            return {port.id: Tried({}) for port in ports}
        with self._db.transaction() as tx:
            edges = nodes.nodes_of_zone(tx, zone, "edge")
        if not edges:
            raise EdgeMissing(f"zone {zone} has no edge that could try its guests")
        edge = next((node for node in edges if nodes.up(node)), edges[0])
        results = self._agents.of(edge.id, edge.agent_url).probe(wanted, PROBES, PROBE_INTERVAL_S, PROBE_TIMEOUT_S)
        received = {(result.address, result.size): result.received for result in results}
        return {
            port_id: _tried({way: received[target.address, target.size] for way, target in asked.items()})
            for port_id, asked in targets.items()
        }


def _tried(received: Mapping[str, int]) -> Tried:
    answered = [count for count in received.values() if count]
    lost = sum(PROBES - count for count in answered)
    return Tried({way: count > 0 for way, count in received.items()}, PROBES * len(answered), lost)


def _targets(port: Port, ways: Collection[str] | None) -> dict[str, ProbeTarget]:
    """Each public address of a running port, small and at full size; of these `ways`, if they are given."""
    if port.node_id is None:
        return {}
    flexible = [ip_interface(address.host) for address in port.addresses]
    legacy = [host_of(held.prefix) for held in port.node_addresses if held.prefix.version == 6]
    targets = {
        f"{host.ip}{' at full size' if size == FULL_SIZE else ''}": ProbeTarget(address=host.ip, size=size)
        for host in (*flexible, *legacy)
        for size in (SMALL, FULL_SIZE)
    }
    return targets if ways is None else {way: target for way, target in targets.items() if way in ways}


def _seen(
    port: Port,
    hosts: Mapping[UUID, Node],
    room: Mapping[UUID, int | None],
    reverse_path: Mapping[str, Mapping[str, str] | None],
    peers: Mapping[UUID, Sequence[str]],
) -> Seen:
    families = [address.prefix.version for address in port.addresses]
    host = hosts.get(port.node_id) if port.node_id else None
    return Seen(
        host=Host(host.name, HOSTNAT_TRAIT in host.traits, _stale(host), room.get(host.id)) if host else None,
        public_ipv4=families.count(4),
        public_ipv6=families.count(6),
        reverse_path=reverse_path,
        private_peers=peers.get(port.id) if host else (),
    )


def _stale(node: Node) -> str | None:
    if not nodes.up(node):
        return f"{node.name} does not answer: what it holds is not known"
    if node.refusal:
        return f"{node.name} does not take what it is sent: {node.refusal}"
    return None
