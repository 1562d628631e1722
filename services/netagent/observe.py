"""What kernels tell beside the entries: an edge, of the routes that BIRD installs; a hypervisor, what its links carry;
every node, its reverse path filters and what became of packets.

A `Feed` numbers the events and lets a long poll wait for them. It is lossy: a wake-up, re-derived by polling.
"""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from uuid import UUID

import structlog

from dataplane import netlink as nl
from dataplane.hostnat import LinkTraffic, Traffic
from dataplane.linux import MAIN, OUR_PROTOCOL, RTM_DELROUTE, RTM_NEWROUTE, Linux, Prefix, parse_route
from dataplane.mirror import GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE
from services.netagent.render import link_name
from services.netagent.wire import Changes, EdgeRoute, Observed, PortTraffic, PrivatePeer, ReversePath

log = structlog.get_logger()

Address = IPv4Address | IPv6Address

REMEMBERED = 4096  # events
REVERSE_PATHS = (ReversePath.OFF, ReversePath.STRICT, ReversePath.LOOSE)  # by rp_filter's value; above is loose


class Feed:
    """Numbered events: prefixes whose route changed, addresses of which a check found something new. Thread-safe.

    Numbers go on rising when the agent restarts, so that who waits for the next one is not told the past as new.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.time_ns() // 1000
        self._events: deque[tuple[int, Prefix | Address]] = deque(maxlen=REMEMBERED)
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def changed(self, *things: Prefix | Address) -> None:
        with self._lock:
            for thing in things:
                self._last += 1
                self._events.append((self._last, thing))
            waiting = list(self._waiting)
        for loop, event_seen in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event_seen.set)

    def since(self, after: int) -> Changes:
        """What came after event number `after`; to one that was never given, no event but the present number."""
        with self._lock:
            things = dict.fromkeys(thing for number, thing in self._events if after and number > after)
            prefixes = [str(thing) for thing in things if isinstance(thing, IPv4Network | IPv6Network)]
            checks = [str(thing) for thing in things if isinstance(thing, IPv4Address | IPv6Address)]
            return Changes(next=self._last, prefixes=prefixes, checks=checks)

    async def wait(self, after: int, seconds: float) -> Changes:
        """The same, waiting until there is something."""
        woken = asyncio.Event()
        place = (asyncio.get_running_loop(), woken)
        with self._lock:
            self._waiting.add(place)
        try:
            changes = self.since(after)
            if changes.next == after:
                try:
                    await asyncio.wait_for(woken.wait(), seconds)
                except TimeoutError:
                    return changes
                changes = self.since(after)
            return changes
        finally:
            with self._lock:
                self._waiting.discard(place)


class EdgeRoutes:
    """Where an edge's kernel sends prefixes, and word of every change in its main table."""

    def __init__(self, kernel: Linux, feed: Feed) -> None:
        self._kernel = kernel
        self._feed = feed
        self._events = nl.Notifications((GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE))

    def start(self) -> None:
        threading.Thread(target=self._follow, name="edge-routes", daemon=True).start()

    def lookup(self, prefixes: Iterable[str]) -> list[EdgeRoute]:
        """The next hops the kernel would use now, those of the longest match. Raises ValueError."""
        return [EdgeRoute(prefix=prefix, next_hops=self._next_hops(ip_network(prefix))) for prefix in prefixes]

    def _next_hops(self, prefix: Prefix) -> list[str]:
        anycast = isinstance(prefix, IPv6Network) and prefix.prefixlen < 128  # the routers' address, never a host's
        address = prefix.network_address + (1 if anycast else 0)
        return [str(hop) for hop in self._kernel.next_hops(address)]

    def _follow(self) -> None:
        poll = select.poll()
        poll.register(self._events.fileno(), select.POLLIN)
        while True:
            poll.poll()
            try:
                self._feed.changed(*changed_prefixes(self._events))
            except nl.Overrun:
                log.warning("edge.notifications_lost")


def changed_prefixes(events: nl.Notifications) -> list[Prefix]:
    """Prefixes of the main table's routes, ours left out, that have changed since last asked. Raises Overrun."""
    changed: dict[Prefix, None] = {}
    for kind, raw in events.pending():
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            row = parse_route(raw)
            if row is not None and row.table == MAIN and row.protocol != OUR_PROTOCOL:
                changed[row.prefix] = None
    return list(changed)


def observed(packets: Mapping[str, int], room: int | None = None) -> Observed:
    """With the reverse path filters of the calling thread's namespace."""
    filters = {link: REVERSE_PATHS[min(value, 2)] for link, value in Linux.reverse_path_filters().items()}
    return Observed(reverse_path=filters, packets=dict(packets), room=room)


def port_traffic(traffic: Traffic, ports: Iterable[UUID]) -> list[PortTraffic]:
    """Of those ports that are here."""
    by_link = {link_name(port): port for port in ports}
    return [_port_traffic(by_link[link], seen) for link, seen in traffic.of(by_link).items()]


def _port_traffic(port: UUID, seen: LinkTraffic) -> PortTraffic:
    return PortTraffic(
        port=port,
        inbound_packets=seen.inbound_packets,
        inbound_bytes=seen.inbound_bytes,
        outbound_packets=seen.outbound_packets,
        outbound_bytes=seen.outbound_bytes,
        private_peers=[
            PrivatePeer(peer=p.peer, received=p.received, sent=p.sent, seen_seconds_ago=p.seen_seconds_ago)
            for p in seen.peers
        ],
    )
