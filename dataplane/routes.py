"""Drivers of the routing tables: announcements, forwarding and its fallback, the VXLAN's neighbours, discards.

Ours is what bears rtnetlink protocol `OUR_PROTOCOL`. A row is (prefix, metric) in a table; the metric is always given,
for an IPv6 metric of 0 becomes 1024 and a row is deleted by its exact metric only. A row of another owner in the place
of ours is refused, not replaced.
"""

from __future__ import annotations

import errno
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar, cast

from dataplane.driver import DriverError
from dataplane.entries import Anchor, Discard, Fallback, Forward, Peer
from dataplane.linux import MAIN, OUR_PROTOCOL, Address, Linux, Neighbour, Prefix, Route, link_local
from dataplane.mirror import Mirror

ANNOUNCEMENTS, FORWARDING = 100, 101
FORWARD_METRIC, FALLBACK_METRIC, LAST_METRIC = 100, 4000, 4294967294

R = TypeVar("R", Anchor, Discard, Fallback, Forward)


def endpoint_mac(endpoint: IPv4Address) -> str:
    """The VXLAN link's MAC of the hypervisor with that endpoint: 06:76 and the address."""
    return (b"\x06\x76" + endpoint.packed).hex(":")


def mac_endpoint(mac: str) -> IPv4Address | None:
    """The inverse; None for a MAC of another form."""
    raw = bytes.fromhex(mac.replace(":", ""))
    return IPv4Address(raw[2:]) if raw[:2] == b"\x06\x76" else None


@contextmanager
def refusals(code: str, what: object) -> Iterator[None]:
    """The kernel's refusal as a DriverError."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error").lower()
        raise DriverError(f"{code}.{name}", f"{what}: {error.strerror or error}") from error


class RouteTable:
    """What the route drivers of one namespace share: the kernel, and a mirror of our tables."""

    def __init__(self, kernel: Linux) -> None:
        self.kernel = kernel
        self.mirror = Mirror(kernel, (ANNOUNCEMENTS, FORWARDING))
        self.main = Mirror(kernel, (MAIN,), OUR_PROTOCOL)

    def close(self) -> None:
        self.mirror.close()
        self.main.close()

    def put(self, route: Route) -> None:
        held = self._mirror(route.table).get(*route.key)
        if held == route:
            return
        if held is not None and held.protocol != OUR_PROTOCOL:
            raise DriverError("route.foreign", f"{route.prefix} metric {route.metric} belongs to another")
        with refusals("route", route.prefix):
            try:
                self.kernel.add_route(route, replace=held is not None)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise
                raise DriverError("route.foreign", f"{route.prefix} metric {route.metric} is taken") from error

    def drop(self, table: int, prefix: Prefix, metric: int) -> None:
        held = self._mirror(table).get(table, prefix, metric)
        if held is not None and held.protocol == OUR_PROTOCOL:
            with refusals("route", prefix):
                self.kernel.delete_route(held)

    def get(self, table: int, prefix: Prefix, metric: int) -> Route | None:
        row = self._mirror(table).get(table, prefix, metric)
        return row if row is not None and row.protocol == OUR_PROTOCOL else None

    def read(self, table: int) -> list[Route]:
        return [row for row in self._mirror(table).read(table) if row.protocol == OUR_PROTOCOL]

    def _mirror(self, table: int) -> Mirror:
        return self.main if table == MAIN else self.mirror


class _Routes(Generic[R]):
    """A driver whose entries are routes of one table; subclasses say how an entry and a route translate."""

    table: int
    metric = 0  # of every row, where a key is a prefix

    def __init__(self, tables: RouteTable) -> None:
        self._tables = tables
        self._kernel = tables.kernel

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, R]:
        if keys is None:
            rows: Iterable[Route | None] = self._tables.read(self.table)
        else:
            rows = [self._tables.get(self.table, *self._place(key)) for key in keys]
        found = [self._read(row) for row in rows if row is not None]
        return {entry.key: entry for entry in found if entry is not None}

    def put(self, entry: R) -> None:
        self._tables.put(self._route(entry))

    def drop(self, entry: R) -> None:
        self._tables.drop(self.table, *self._place(entry.key))

    def _place(self, key: Hashable) -> tuple[Prefix, int]:
        """(prefix, metric) of a key."""
        return cast("Prefix", key), self.metric

    def _route(self, entry: R) -> Route:
        raise NotImplementedError

    def _read(self, row: Route) -> R | None:
        """The entry a row of ours stands for; None if it is another driver's."""
        raise NotImplementedError

    def _link_index(self, name: str) -> int:
        link = self._kernel.link(name)
        if link is None:
            raise DriverError("route.no_link", f"there is no link {name}")
        return link.index

    def _link_name(self, index: int) -> str:
        link = self._kernel.link(index=index)
        return "" if link is None else link.name


class Anchors(_Routes[Anchor]):
    """Rows of the announcement table; the metric is the address's sequence, from 1."""

    entry = Anchor
    table = ANNOUNCEMENTS

    def _place(self, key: Hashable) -> tuple[Prefix, int]:
        return cast("tuple[Prefix, int]", key)

    def _route(self, entry: Anchor) -> Route:
        if not 0 < entry.sequence <= LAST_METRIC:
            raise DriverError("anchor.sequence", f"{entry.prefix}: {entry.sequence} is no metric")
        return Route(self.table, entry.prefix, entry.sequence, unreachable=True)

    def _read(self, row: Route) -> Anchor | None:
        return Anchor(row.prefix, row.metric) if row.unreachable else None


class Discards(_Routes[Discard]):
    """`unreachable` routes of last resort in the main table."""

    entry = Discard
    table, metric = MAIN, LAST_METRIC

    def _route(self, entry: Discard) -> Route:
        return Route(self.table, entry.prefix, LAST_METRIC, unreachable=True)

    def _read(self, row: Route) -> Discard | None:
        return Discard(row.prefix) if row.unreachable and row.metric == LAST_METRIC else None


class Forwards(_Routes[Forward]):
    """Routes to guests' links in the forwarding table, each with its permanent neighbour."""

    entry = Forward
    table, metric = FORWARDING, FORWARD_METRIC

    def put(self, entry: Forward) -> None:
        route = self._route(entry)
        neighbour = Neighbour(route.oif, entry.mac, _neighbour_of(entry))
        if self._kernel.neighbour(route.oif, neighbour.address) != neighbour:
            with refusals("neighbour", neighbour.address):
                self._kernel.put_neighbour(neighbour)
        self._tables.put(route)

    def drop(self, entry: Forward) -> None:
        """The neighbour of an IPv6 prefix stays: the guest's other prefixes use it; it goes with the link."""
        held = self._tables.get(self.table, *self._place(entry.key))
        super().drop(entry)
        if held is not None and entry.prefix.version == 4:
            address = entry.prefix.network_address
            neighbour = self._kernel.neighbour(held.oif, address)
            if neighbour is not None and neighbour.protocol == OUR_PROTOCOL:
                with refusals("neighbour", address):
                    self._kernel.delete_neighbour(held.oif, address)

    def _route(self, entry: Forward) -> Route:
        gateway = link_local(entry.mac) if entry.prefix.version == 6 else None
        return Route(self.table, entry.prefix, FORWARD_METRIC, oif=self._link_index(entry.link), gateway=gateway)

    def _read(self, row: Route) -> Forward | None:
        if row.metric != FORWARD_METRIC:
            return None
        address = row.gateway or row.prefix.network_address
        neighbour = self._kernel.neighbour(row.oif, address) if row.oif else None
        mac = neighbour.mac if neighbour is not None and neighbour.permanent else ""
        if row.gateway is not None and mac and row.gateway != link_local(mac):
            mac = ""
        return Forward(row.prefix, self._link_name(row.oif), mac)


def _neighbour_of(entry: Forward) -> Address:
    return link_local(entry.mac) if entry.prefix.version == 6 else entry.prefix.network_address


class Fallbacks(_Routes[Fallback]):
    """Routes by the VXLAN link that the kernel takes when a guest's link has no carrier."""

    entry = Fallback
    table, metric = FORWARDING, FALLBACK_METRIC

    def __init__(self, tables: RouteTable, vxlan_link: str) -> None:
        super().__init__(tables)
        self._vxlan_link = vxlan_link

    def _route(self, entry: Fallback) -> Route:
        gateway = link_local(endpoint_mac(entry.peer))
        oif = self._link_index(self._vxlan_link)
        return Route(self.table, entry.prefix, FALLBACK_METRIC, oif=oif, gateway=gateway)

    def _read(self, row: Route) -> Fallback | None:
        if row.metric != FALLBACK_METRIC:
            return None
        known = isinstance(row.gateway, IPv6Address) and self._link_name(row.oif) == self._vxlan_link
        peer = _endpoint(row.gateway) if known and isinstance(row.gateway, IPv6Address) else None
        return Fallback(row.prefix, peer or IPv4Address(0))


def _endpoint(address: IPv6Address) -> IPv4Address | None:
    """The endpoint whose VXLAN link has that link-local address."""
    raw = address.packed
    return mac_endpoint((bytes((raw[8] ^ 2,)) + raw[9:11] + raw[13:]).hex(":"))


class Peers:
    """Other hypervisors on the VXLAN link: link-local address → MAC → endpoint.

    A forwarding-database row bears no owner's mark; ours are those behind a neighbour of ours.
    """

    entry = Peer

    def __init__(self, kernel: Linux, vxlan_link: str) -> None:
        self._kernel = kernel
        self._vxlan_link = vxlan_link

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Peer]:
        link = self._kernel.link(self._vxlan_link)
        if link is None:
            return {}
        if keys is None:
            endpoints = {mac_endpoint(row.mac) for row in self._kernel.neighbours(link.index) if row.mac}
        else:
            endpoints = {key for key in keys if isinstance(key, IPv4Address)}
        return {e: Peer(e) for e in endpoints if e is not None and self._held(link.index, e)}

    def put(self, entry: Peer) -> None:
        index = self._index()
        mac = endpoint_mac(entry.endpoint)
        with refusals("peer", entry.endpoint):
            self._kernel.put_tunnel(index, mac, entry.endpoint)
            self._kernel.put_neighbour(Neighbour(index, mac, link_local(mac)))

    def drop(self, entry: Peer) -> None:
        link = self._kernel.link(self._vxlan_link)
        if link is None:
            return
        mac = endpoint_mac(entry.endpoint)
        neighbour = self._kernel.neighbour(link.index, link_local(mac))
        if neighbour is None or neighbour.protocol != OUR_PROTOCOL:
            return
        with refusals("peer", entry.endpoint):
            self._kernel.delete_tunnel(link.index, mac)
            self._kernel.delete_neighbour(link.index, link_local(mac))

    def _held(self, index: int, endpoint: IPv4Address) -> bool:
        mac = endpoint_mac(endpoint)
        wanted = Neighbour(index, mac, link_local(mac))
        return self._kernel.neighbour(index, wanted.address) == wanted and self._kernel.tunnel(index, mac) == endpoint

    def _index(self) -> int:
        link = self._kernel.link(self._vxlan_link)
        if link is None:
            raise DriverError("peer.no_link", f"there is no link {self._vxlan_link}")
        return link.index
