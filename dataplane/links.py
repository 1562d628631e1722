"""Driver of guests' links: a veth from the hypervisor's namespace into the guest's, a port of the bridge there.

Ours is a link whose alias begins with `godwit`; the alias holds the whole entry, so that it is found again by an agent
without memory. What the bridge's ports do is read beside it: a leg that does not play its part reads as another state.

Our end is the same on every hypervisor: one MAC, 169.254.0.1 and fe80::1, answered by the kernel. A veth is never
moved between namespaces (that takes 30 ms and its programs), and its two indexes differ (see `Linux.add_veth`).

The guest's end of a STANDBY leg is down, its port thus disabled: our end then has no carrier, so that routes by it are
in place but not taken, and the hypervisor's other guests still reach this one where it is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface
from os import close
from typing import Final

from dataplane.driver import DriverError
from dataplane.entries import Leg, LegState
from dataplane.guests import NIC, Guests
from dataplane.handover import Watched
from dataplane.linux import PORT_FORWARDING, BridgePort, Interface, Link, Linux
from dataplane.routes import refusals

GATEWAY_MAC: Final = "02:00:00:00:00:01"
GATEWAYS: Final[tuple[Interface, ...]] = (IPv4Interface("169.254.0.1/32"), IPv6Interface("fe80::1/64"))
MTU: Final = 1500
MADE, ADOPTED = "godwit leg", "godwit tap"  # aliases; a tap was here before us and stays after us
CARRIER_SECONDS: Final = 2.0
GRACE_SECONDS: Final = 0.1  # for a leaving leg to step aside

SYSCTLS: Final = {
    "ipv4/conf/{}/forwarding": 1,
    "ipv4/conf/{}/proxy_arp": 0,
    "ipv4/conf/{}/arp_ignore": 1,
    "ipv4/conf/{}/rp_filter": 0,
    "ipv4/conf/{}/send_redirects": 0,
    "ipv4/conf/{}/ignore_routes_with_linkdown": 1,
    "ipv6/conf/{}/disable_ipv6": 0,
    "ipv6/conf/{}/addr_gen_mode": 1,  # none but fe80::1
    "ipv6/conf/{}/accept_dad": 0,
    "ipv6/conf/{}/accept_ra": 0,
    "ipv6/conf/{}/forwarding": 1,
    "ipv6/conf/{}/ignore_routes_with_linkdown": 1,
}


class Legs:
    """Guests' links of one hypervisor."""

    entry = Leg

    def __init__(
        self, kernel: Linux, guests: Guests, guard_attach: Callable[[str], None], handover: Watched | None = None
    ) -> None:
        """`guard_attach` puts the guard on a link that is still down; from then on, nothing passes without a row."""
        self._kernel = kernel
        self._handover = handover
        self._guests = guests
        self._guard_attach = guard_attach

    # --- reading -----------------------------------------------------------------------------------------------------

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Leg]:
        if keys is None:
            links = self._kernel.links()
            addresses: dict[int, set[Interface]] = {}
            for index, address in self._kernel.addresses():
                addresses.setdefault(index, set()).add(address)
        else:
            links = [link for key in keys if (link := self._kernel.link(str(key))) is not None]
            addresses = {link.index: {a for _, a in self._kernel.addresses(link.index)} for link in links}
        found = {}
        for link in links:
            declared = parse_alias(link)
            if declared is not None:
                found[declared.key] = self._read(link, declared, addresses.get(link.index, set()))
        return found

    def _read(self, link: Link, declared: Leg, addresses: set[Interface]) -> Leg:
        adopted = link.alias.startswith(ADOPTED)
        sound = link.up and addresses.issuperset(GATEWAYS)
        if not sound or not (adopted or (link.mac == GATEWAY_MAC and link.mtu == MTU)):
            return replace(declared, state=LegState.UNSOUND)
        if adopted or declared.state is LegState.LEAVING:
            return declared
        return replace(declared, state=self._part(link))

    def _part(self, link: Link) -> LegState:
        """What the leg really does."""
        ports = self._ports(link)
        ours = next((port for port in ports if port.index == link.peer), None)
        if ours is None:
            return LegState.UNSOUND
        if not ours.up:
            return LegState.STANDBY
        alone = not any(port.up for port in ports if port.index != link.peer)
        return LegState.ACTIVE if alone and ours.port_state == PORT_FORWARDING else LegState.UNSOUND

    def _ports(self, link: Link) -> list[Link]:
        """The ports of the guest's bridge."""
        if link.netnsid is None:
            return []
        return _ports(self._kernel.links(link.netnsid))

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, entry: Leg) -> None:
        link = self._kernel.link(entry.link)
        if link is not None and link.mac == GATEWAY_MAC and parse_alias(link) is None:
            self._kernel.delete_link(link.index)  # we were killed while making it
            link = None
        with refusals("leg", entry.link):
            if link is not None and not _made(link):
                self._ready(link, entry, adopted=True)
                return
            opened = self._guests.open(entry.guest, entry.mac, entry.name)
            inside = Linux(opened.kernel)
            try:
                if entry.state is LegState.ACTIVE and not entry.takes and _carried(inside, link):
                    raise DriverError("leg.elsewhere", f"another leg carries {entry.guest}, and nobody said to take it")
                if link is None:
                    link = self._create(entry, opened.namespace, inside)
                self._ready(link, entry, adopted=False)
                if entry.state is not LegState.LEAVING:
                    self._play(link, inside, active=entry.state is LegState.ACTIVE)
            finally:
                inside.close()
                close(opened.namespace)
            self._watch(entry)

    def _watch(self, entry: Leg) -> None:
        if self._handover is None:
            return
        if entry.state is not LegState.LEAVING:
            self._handover.forget(entry.link)
            return
        sockets = []
        for _ in range(2):
            opened = self._guests.open(entry.guest, entry.mac, entry.name)
            close(opened.namespace)
            sockets.append(opened.kernel)
        self._handover.watch(entry.link, *sockets)

    def drop(self, entry: Leg) -> None:
        if self._handover is not None:
            self._handover.forget(entry.link)
        link = self._kernel.link(entry.link)
        with refusals("leg", entry.link):
            if link is not None and link.alias.startswith(ADOPTED):
                for address in GATEWAYS:
                    self._kernel.delete_address(link.index, address)
                self._kernel.set_link(link.index, alias="")
            elif link is not None and _made(link):
                self._kernel.delete_link(link.index)
        self._guests.collect(entry.guest)

    def _create(self, entry: Leg, namespace: int, inside: Linux) -> Link:
        """Down at our end, a mute port at the other: nothing passes, nothing is learnt."""
        index = 0x10000 + secrets.randbelow(1 << 29)
        peer_index = 0x40000000 + secrets.randbelow(1 << 29)
        nic = inside.link(NIC)
        if nic is None:
            raise DriverError("leg.no_nic", f"the guest {entry.guest} has no {NIC}")
        peer = (f"leg{peer_index:x}", peer_index, namespace)
        self._kernel.add_veth(entry.link, index, GATEWAY_MAC, MTU, peer)
        inside.set_link(peer_index, master=nic.index)
        inside.set_port(peer_index, BridgePort(None, mute=True))
        return self._found(entry.link)

    def _ready(self, link: Link, entry: Leg, *, adopted: bool) -> None:
        """Our end: guarded before it is up, and named before it does anything."""
        if not link.up or not link.alias:
            self._guard_attach(link.name)
            for path, value in SYSCTLS.items():
                self._kernel.sysctl(path.format(link.name), value)
        alias = format_alias(entry, adopted=adopted)
        if link.alias != alias:
            self._kernel.set_link(link.index, alias=alias)
        if not adopted and (link.mac != GATEWAY_MAC or link.mtu != MTU):
            self._kernel.set_link(link.index, mac=GATEWAY_MAC, mtu=MTU)
        if not link.up:
            self._kernel.set_link(link.index, up=True)
        held = {address for _, address in self._kernel.addresses(link.index)}
        for address in GATEWAYS:
            if address not in held:
                self._kernel.add_address(link.index, address)

    def _play(self, link: Link, inside: Linux, *, active: bool) -> None:
        ports = {port.index: port for port in _ports(inside.links())}
        ours = ports.pop(link.peer, None)
        if ours is None:
            raise DriverError("leg.no_port", f"{link.name} is no port of the guest's bridge")
        if not active:
            if ours.up:
                inside.set_link(ours.index, up=False)
            inside.set_port(ours.index, BridgePort(None, mute=True))
            return
        if not (ours.up and ours.running and link.running):
            inside.set_link(ours.index, up=True)
            self._await_carrier(link, ours, inside)
        inside.set_port(ours.index, BridgePort(PORT_FORWARDING, mute=None))
        inside.steer(ours.index, GATEWAY_MAC)  # what leaves the guest, leaves it by us
        inside.set_port(ours.index, BridgePort(PORT_FORWARDING, mute=False))  # what tells the others
        self._take_from(ports, inside)

    @staticmethod
    def _take_from(others: dict[int, Link], inside: Linux) -> None:
        """The guest keeps one leg only. The others step aside of themselves (see `handover`), or are taken down."""
        carrying = {index for index, port in others.items() if port.up and port.running}
        deadline = time.monotonic() + GRACE_SECONDS
        while carrying and time.monotonic() < deadline:
            time.sleep(0.0005)
            carrying = {index for index in carrying if (now := inside.link(index=index)) is not None and now.up}
        for index in others:
            if (now := inside.link(index=index)) is not None and now.up:
                inside.set_link(index, up=False)

    def _await_carrier(self, link: Link, port: Link, inside: Linux) -> None:
        """At both ends: only once it is known do routes use ours, and does the bridge forward by its port."""
        deadline = time.monotonic() + CARRIER_SECONDS
        while True:
            here, there = self._kernel.link(index=link.index), inside.link(index=port.index)
            if here is not None and here.running and there is not None and there.running:
                return
            if here is None or there is None or time.monotonic() > deadline:
                raise DriverError("leg.no_carrier", f"{link.name} has no carrier")
            time.sleep(0.0002)

    def _found(self, name: str) -> Link:
        link = self._kernel.link(name)
        if link is None:
            raise DriverError("leg.vanished", f"{name} vanished while it was made")
        return link


def _ports(inside: list[Link]) -> list[Link]:
    """Of the links of a guest's namespace, the ports of its bridge."""
    bridge = next((link.index for link in inside if link.name == NIC), 0)
    return [link for link in inside if bridge and link.master == bridge]


def _carried(inside: Linux, ours: Link | None) -> bool:
    """Whether a leg other than ours carries the guest."""
    return any(
        port.up and port.running and (ours is None or port.index != ours.peer) for port in _ports(inside.links())
    )


def _made(link: Link) -> bool:
    """Whether a link is a veth of ours, rather than a tap that was here before us."""
    return link.alias.startswith(MADE) or link.mac == GATEWAY_MAC


def format_alias(entry: Leg, *, adopted: bool) -> str:
    return f"{ADOPTED if adopted else MADE} {entry.state} {entry.guest} {entry.mac} {entry.name}"


def parse_alias(link: Link) -> Leg | None:
    """The entry a link's alias declares; None for a link that is not ours."""
    kind, words = link.alias[: len(MADE)], link.alias[len(MADE) + 1 :].split(" ", 3)
    if kind not in (MADE, ADOPTED) or len(words) != 4 or words[0] not in set(LegState):
        return None
    state, guest, mac, name = words
    return Leg(link.name, guest, mac, LegState(state), name)
