"""Brings the world to what the database says. The Celery tasks call this, and nothing else.

Everything re-reads, acts, and writes with compare-and-swap: it may be called twice at once, in any order, or not at all
until the sweep. No database session is held across a call to an agent or the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_network

from common.db import Database
from services.ipam.client import IpamClient
from services.placement import bells, claims
from services.placement.address_fences import AddressFences
from services.placement.address_sets import AddressSets
from services.placement.agents import Agents
from services.placement.conversion.observer import Observer
from services.placement.conversion.ports import PortConversions
from services.placement.conversion.zones import ZoneConversions
from services.placement.desired import derive_zone
from services.placement.disks import Disks
from services.placement.edges import Edges
from services.placement.failover import Failovers
from services.placement.fleet.work import NodeWorks
from services.placement.products import instance
from services.placement.progress import Progress
from services.placement.store import archives, conversions, entries, instances, nodes
from services.placement.sync import NodeSync


class Reconciler:
    """The controller's hands, by subject."""

    def __init__(
        self,
        database: Database,
        agents: Agents,
        ipam: IpamClient,
        archive_url: str,
        waiting: Callable[[str], int],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`archive_url`: where stopped guests' disks go. `waiting`: how many wake-ups wait in a queue.

        `sleep` passes the time, which `clock` shows; both in seconds.
        """
        self._db = database
        self._waiting = waiting
        self._ipam = ipam
        self.sync = NodeSync(database, agents)
        self.sets = AddressSets(database, ipam, self.sync)
        edges, observer = Edges(database, agents), Observer(database, agents)
        self.disks = Disks(database, agents, sleep)
        self.progress = Progress(database, edges, self.disks, ipam, self.sync, self.sets, archive_url)
        self.address_fences = AddressFences(database, self.sync, self.sets)
        self.failovers = Failovers(database, agents, ipam, self.sets, self.address_fences)
        self.works = NodeWorks(database, self.sync)
        self.ports = PortConversions(database, edges, observer, self.sync, sleep)
        self.zones = ZoneConversions(database, edges, observer, ipam, clock)

    def pools(self) -> None:
        """Fetch the zones' public prefixes from the ledger; the edges and the gateways answer for them."""
        with self._db.transaction() as tx:
            names = nodes.zone_names(tx)
        for name in names:
            pools = list(self._ipam.pools(name))
            prefixes = {ip_network(prefix.cidr) for pool in pools for prefix in pool.prefixes}
            revisions = {str(pool.id): pool.revision for pool in pools}
            with self._db.transaction() as tx:
                zone = nodes.zone(tx, name, lock=True)
                if zone is None or zone.pool_revisions == revisions:
                    continue
                if any(revisions.get(pool, seen) < seen for pool, seen in zone.pool_revisions.items()):
                    continue  # read before somebody else's newer reading
                zone.pool_revisions = revisions
                nodes.set_zone_prefixes(tx, name, prefixes)
                for node_id in derive_zone(tx, zone):
                    tx.ring(bells.NODE, str(node_id))

    def sweep(self) -> None:
        """Find all work that wake-ups missed, from the database and the ledger alone, and ring for it.

        Ports, of which there may be very many, only when no wake-ups of theirs wait any more: it may be those.
        """
        reports_wait = self._waiting(bells.queue_of(bells.REPORT, ()))
        sets_wait = self._waiting(bells.queue_of(bells.ADDRESS_SET, (instance.KIND,)))
        with self._db.transaction() as tx:
            for node_id in nodes.unrealized(tx):
                tx.ring(bells.NODE, str(node_id))
            for claim in instances.claims(tx):
                claims.ring(tx, claim)
            for work in nodes.works(tx):
                tx.ring(bells.NODE_WORK, str(work.node_id))
            for edge_id in entries.checking(tx):
                tx.ring(bells.FAILOVER, str(edge_id))
            for conversion_id in conversions.active(tx):
                tx.ring(bells.CONVERSION, str(conversion_id))
            for port_id in () if reports_wait else instances.unreported(tx):
                tx.ring(bells.REPORT, str(port_id))
            if archives.unreferenced(tx):
                tx.ring(bells.ARCHIVES)
            tx.ring(bells.ADDRESS_FENCES)
            tx.ring(bells.POOLS)
        lagging = [] if sets_wait else list(self._ipam.lagging(instance.KIND))
        with self._db.transaction() as tx:
            for target in lagging:
                tx.ring(bells.ADDRESS_SET, target.target.kind, str(target.target.id))
