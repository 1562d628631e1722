"""Drivers of what an edge holds apart: a node, by its link; an address, at a node's link or wherever it is announced.

A node is named by the IPv4 address of its own end of a link, whose network holds no third host. Ours is a link whose
alias begins with `godwit fence`, and the nftables table `inet godwit`.

A link that is down has no routes: the kernel drops them with it, of both families and in every table, and takes no new
ones; a routing daemon whose neighbour's link is gone ends the session at once, where a silent one would be waited for
(graceful restart). So the link alone is read back.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import Any, Final

from dataplane.driver import DriverError
from dataplane.entries import Blackhole, Fence
from dataplane.linux import Link, Linux, Prefix
from dataplane.nft import Nftables, Object
from dataplane.routes import refusals

MARK: Final = "godwit fence"  # then the link's former state, `up` or `down`, and its former alias
POINT_TO_POINT: Final = 30  # the shortest prefix length of a network of two hosts


def neighbours(kernel: Linux) -> dict[IPv4Address, Link]:
    """The edge's links by the other end's address."""
    links = {link.index: link for link in kernel.links()}
    found: dict[IPv4Address, Link] = {}
    for index, address in kernel.addresses():
        if address.version == 4 and POINT_TO_POINT <= address.network.prefixlen < 32 and index in links:
            link = links.pop(index)  # the first such address names it
            other = next(host for host in address.network.hosts() if host != address.ip)
            found[IPv4Address(other)] = link
    return found


def _link_to(neighbour: IPv4Address, links: dict[IPv4Address, Link]) -> Link:
    if neighbour not in links:
        raise DriverError("fence.no_link", f"no link leads to {neighbour} alone")
    return links[neighbour]


class Fences:
    """Links that are held down."""

    entry = Fence

    def __init__(self, kernel: Linux) -> None:
        self._kernel = kernel

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Fence]:
        marked = {n: link for n, link in neighbours(self._kernel).items() if link.alias.startswith(MARK)}
        chosen = marked if keys is None else marked.keys() & set(keys)
        return {neighbour: Fence(neighbour, closed=not marked[neighbour].up) for neighbour in chosen}

    def put(self, entry: Fence) -> None:
        link = _link_to(entry.neighbour, neighbours(self._kernel))
        alias = link.alias if link.alias.startswith(MARK) else f"{MARK} {'up' if link.up else 'down'} {link.alias}"
        with refusals("fence", link.name):
            self._kernel.set_link(link.index, up=False, alias=alias)

    def drop(self, entry: Fence) -> None:
        link = neighbours(self._kernel).get(entry.neighbour)
        if link is None or not link.alias.startswith(MARK):
            return
        was, _, alias = link.alias[len(MARK) + 1 :].partition(" ")
        with refusals("fence", link.name):
            self._kernel.set_link(link.index, up=True if was == "up" else None, alias=alias)


class Blackholes:
    """Elements of the sets by which our nftables table discards, per family: those of one link, those of every link."""

    entry = Blackhole

    def __init__(self, kernel: Linux, nft: Nftables) -> None:
        self._kernel = kernel
        self._nft = nft

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Blackhole]:
        """Nothing, unless the rules that use the sets are as we make them."""
        sound, members = self._read()
        rows = self._rows(members) if sound else []
        wanted = None if keys is None else set(keys)
        return {row.key: row for row in rows if wanted is None or row.key in wanted}

    def put(self, entry: Blackhole) -> None:
        added = _added(*self._member(entry))
        sound, members = self._read()
        commands = [added]
        if not sound:
            made = [{"add": part} for part in (_TABLE, *_PARTS)]
            held = [_added(name, member) for name in members for member in members[name]]
            commands = [{"add": _TABLE}, {"delete": _TABLE}, *made, *held, added]
        with refusals("blackhole", entry.prefix):
            self._nft.run(commands)

    def drop(self, entry: Blackhole) -> None:
        if entry.neighbour is not None and entry.neighbour not in neighbours(self._kernel):
            return
        name, member = self._member(entry)
        if member in self._read()[1].get(name, ()):
            with refusals("blackhole", entry.prefix):
                self._nft.run([{"delete": _added(name, member)["add"]}])

    def _member(self, entry: Blackhole) -> tuple[str, Member]:
        """The set's name, and the member in it."""
        prefix = entry.prefix
        held: Member = str(prefix.network_address)
        if prefix.prefixlen < prefix.max_prefixlen:
            held = {"prefix": {"addr": held, "len": prefix.prefixlen}}
        if entry.neighbour is None:
            return f"every{prefix.version}", held
        link = _link_to(entry.neighbour, neighbours(self._kernel))
        return f"link{prefix.version}", {"concat": [link.name, held]}

    def _rows(self, members: dict[str, list[Member]]) -> Iterator[Blackhole]:
        by_name = {link.name: neighbour for neighbour, link in neighbours(self._kernel).items()}
        for member in (member for name in members for member in members[name]):
            if not isinstance(member, dict) or "concat" not in member:
                yield Blackhole(_prefix(member))
            elif member["concat"][0] in by_name:
                yield Blackhole(_prefix(member["concat"][1]), by_name[member["concat"][0]])

    def _read(self) -> tuple[bool, dict[str, list[Member]]]:
        """Whether the table is as we make it, and what its sets hold."""
        if _TABLE not in map(_bare, self._nft.run([{"list": {"tables": {}}}])):
            return False, {}
        listed = self._nft.run([{"list": _TABLE}])
        members = {each["set"]["name"]: each["set"].get("elem", []) for each in listed if "set" in each}
        parts = [part for each in listed if "metainfo" not in (part := _bare(each))]
        return _sorted(parts) == _sorted([_TABLE, *_PARTS]), members


# --- nftables' objects -----------------------------------------------------------------------------------------------

Member = str | dict[str, Any]  # of a set: an address or {"prefix": …}, or {"concat": [link, one of these]}

_IN_TABLE: Final = {"family": "inet", "table": "godwit"}
_TABLE: Final[Object] = {"table": {"family": "inet", "name": "godwit"}}
_PREROUTING_RAW, _POSTROUTING_FILTER = -300, 0  # priorities: before connections are tracked; after all forwarding


def _set(name: str, kind: str | list[str]) -> Object:
    return {"set": {**_IN_TABLE, "name": name, "type": kind, "flags": ["interval"]}}


def _chain(name: str, hook: str, priority: int) -> Object:
    return {"chain": {**_IN_TABLE, "name": name, "type": "filter", "hook": hook, "prio": priority, "policy": "accept"}}


def _rule(chain: str, left: Object, members: str) -> Object:
    """What is in the set is dropped."""
    match = {"match": {"op": "==", "left": left, "right": f"@{members}"}}
    return {"rule": {**_IN_TABLE, "chain": chain, "expr": [match, {"drop": None}]}}


def _field(protocol: str, name: str) -> Object:
    return {"payload": {"protocol": protocol, "field": name}}


def _by_link(end: str, protocol: str, name: str) -> Object:
    return {"concat": [{"meta": {"key": end}}, _field(protocol, name)]}


_PARTS: Final[list[Object]] = [
    _chain("received", "prerouting", _PREROUTING_RAW),
    _chain("sent", "postrouting", _POSTROUTING_FILTER),
    *(
        part
        for version, protocol in ((4, "ip"), (6, "ip6"))
        for part in (
            _set(f"link{version}", ["ifname", f"ipv{version}_addr"]),
            _set(f"every{version}", f"ipv{version}_addr"),
            _rule("received", _by_link("iifname", protocol, "saddr"), f"link{version}"),
            _rule("received", _field(protocol, "daddr"), f"every{version}"),
            _rule("sent", _by_link("oifname", protocol, "daddr"), f"link{version}"),
        )
    ),
]


def _added(members: str, member: Member) -> Object:
    return {"add": {"element": {**_IN_TABLE, "name": members, "elem": [member]}}}


def _prefix(member: Member) -> Prefix:
    if isinstance(member, str):
        return ip_network(member)
    return ip_network((member["prefix"]["addr"], member["prefix"]["len"]))


def _bare(listed: Object) -> Object:
    """Without what the kernel adds."""
    return {
        kind: {key: value for key, value in part.items() if key not in ("handle", "elem")}
        for kind, part in listed.items()
    }


def _sorted(parts: list[Object]) -> list[str]:
    return sorted(json.dumps(part, sort_keys=True) for part in parts)
