"""Routing tables as the kernel tells of them, so that one row costs one row to read.

rtnetlink can look a route up, or dump a table, but not read a row. The mirror reads a table once, then follows the
kernel's notifications, which are queued before the request that caused them is acknowledged: after a write, `get`
answers what the kernel made of it. A lost notification, and every full read, starts anew from a dump.
"""

from __future__ import annotations

from dataplane import netlink as nl
from dataplane.linux import (
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    Linux,
    Prefix,
    Route,
    link_event,
    parse_route,
)

GROUP_LINK, GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE = 1, 7, 11

RouteKey = tuple[int, Prefix, int]


class Mirror:
    """The rows of some tables, whoever they belong to. Not thread-safe."""

    def __init__(self, kernel: Linux, tables: tuple[int, ...], protocol: int = 0) -> None:
        """With `protocol`, rows of other owners are not remembered (a main table may hold a million of them)."""
        self._kernel = kernel
        self._tables = tables
        self._protocol = protocol
        self._events = nl.Notifications((GROUP_LINK, GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE))
        self._rows: dict[RouteKey, Route] = {}
        self._by_link: dict[int, set[RouteKey]] = {}
        self._loaded = False

    def close(self) -> None:
        self._events.close()

    def get(self, table: int, prefix: Prefix, metric: int) -> Route | None:
        self._follow()
        return self._rows.get((table, prefix, metric))

    def by_link(self, index: int) -> list[Route]:
        """The rows by one link, at the cost of those rows alone."""
        self._follow()
        return [self._rows[key] for key in self._by_link.get(index, ())]

    def read(self, table: int) -> list[Route]:
        """All rows of a table, from the kernel itself."""
        self._load()
        return [row for row in self._rows.values() if row.table == table]

    def _load(self) -> None:
        while True:
            try:
                for _ in self._events.pending():  # older than the dump that follows
                    continue
                break
            except nl.Overrun:
                continue
        self._rows.clear()
        self._by_link.clear()
        for table in self._tables:
            for row in self._kernel.routes(table, self._protocol):
                self._remember(row)
        self._loaded = True

    def _follow(self) -> None:
        if not self._loaded:
            self._load()
        try:
            for kind, raw in self._events.pending():
                self._heard(kind, raw)
        except nl.Overrun:
            self._load()

    def _heard(self, kind: int, raw: bytes) -> None:
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            row = parse_route(raw)
            if row is None or row.table not in self._tables:
                return
            if kind == RTM_DELROUTE:
                self._forget(row.key)
            elif not self._protocol or row.protocol == self._protocol:
                self._remember(row)
            else:
                self._forget(row.key)
        elif kind in (RTM_NEWLINK, RTM_DELLINK):
            index, up = link_event(raw)
            if kind == RTM_DELLINK or not up:
                # The kernel drops a dead link's routes; of the IPv4 ones it does not tell.
                for key in list(self._by_link.get(index, ())):
                    self._forget(key)

    def _remember(self, row: Route) -> None:
        self._forget(row.key)
        self._rows[row.key] = row
        if row.oif:
            self._by_link.setdefault(row.oif, set()).add(row.key)

    def _forget(self, key: RouteKey) -> None:
        row = self._rows.pop(key, None)
        if row is not None and row.oif:
            keys = self._by_link[row.oif]
            keys.discard(key)
            if not keys:
                del self._by_link[row.oif]
