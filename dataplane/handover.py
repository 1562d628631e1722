"""How a leaving leg steps aside when another one carries its guest, so that no packet meets a closing link.

Taking a link down loses what is sent into it for a millisecond or two: the kernel stops receiving first, and tells
routes that carrier is lost last. So the hypervisor that is left watches the guest's bridge, and as soon as another port
carries the guest, takes away its routes by the link (the fallback is already there, and is taken at once), then takes
its leg down, then puts the routes back, which are ignored without carrier. Nobody sends it a message. Is it dead, the
other side takes the leg down after a grace, and the millisecond is lost.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final, Protocol

from dataplane import netlink as nl
from dataplane.linux import OUR_PROTOCOL, PORT_FORWARDING, Link, Linux
from dataplane.mirror import GROUP_LINK, Mirror
from dataplane.routes import FALLBACK_METRIC, FORWARD_METRIC, FORWARDING

IN_FLIGHT_SECONDS: Final = 0.002  # packets already on their way to the guest
CARRIER_SECONDS: Final = 1.0


class Watched(Protocol):
    """What the leg driver asks of a handover."""

    def watch(self, link: str, events: int, inside: int) -> None:
        """A leg is leaving; `events` and `inside` are netlink sockets in the guest, the receiver's from now on."""

    def forget(self, link: str) -> None:
        """A leg is no longer leaving, or gone."""


class Handover:
    """Watches the leaving legs of one hypervisor, in a thread of its own."""

    def __init__(self, kernel: Linux) -> None:
        self._kernel = kernel
        self._routes = Mirror(kernel, (FORWARDING,), OUR_PROTOCOL)
        self._lock = threading.Lock()
        self._legs: dict[str, tuple[nl.Notifications, Linux]] = {}
        self._changed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        threading.Thread(target=self._run, name="handover", daemon=True).start()

    def watch(self, link: str, events: int, inside: int) -> None:
        self.forget(link)
        with self._lock:
            self._legs[link] = (nl.Notifications((GROUP_LINK,), descriptor=events), Linux(inside))
            self._routes.by_link(0)  # read now, so that at the switch only what changed since is
        os.eventfd_write(self._changed, 1)

    def forget(self, link: str) -> None:
        with self._lock:
            known = self._legs.pop(link, None)
            if known is not None:
                for opened in known:
                    opened.close()
        os.eventfd_write(self._changed, 1)

    def _run(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self._changed, select.POLLIN)
            with self._lock:
                for events, _ in self._legs.values():
                    poll.register(events.fileno(), select.POLLIN)
                self._look()
            for descriptor, _ in poll.poll():
                if descriptor == self._changed:
                    os.eventfd_read(self._changed)

    def _look(self) -> None:
        for name, (events, inside) in list(self._legs.items()):
            try:
                for _ in events.pending():  # that something changed is all that matters
                    continue
            except nl.Overrun:
                pass
            try:
                link = self._kernel.link(name)
                if link is not None and link.running and self._taken_over(link):
                    self._step_aside(link, inside)
            except nl.NetlinkError:
                continue  # the link or its guest vanished meanwhile: there is nothing left to hand over

    def _taken_over(self, link: Link) -> bool:
        if link.netnsid is None:
            return False
        ports = self._kernel.links(link.netnsid)
        return any(
            port.running and port.port_state == PORT_FORWARDING and not port.mute
            for port in ports
            if port.index != link.peer
        )

    def _step_aside(self, link: Link, inside: Linux) -> None:
        routes = [
            row
            for row in self._routes.by_link(link.index)
            if row.metric == FORWARD_METRIC and self._routes.get(FORWARDING, row.prefix, FALLBACK_METRIC) is not None
        ]
        try:
            for route in routes:
                self._kernel.delete_route(route)
            time.sleep(IN_FLIGHT_SECONDS)
            inside.set_link(link.peer, up=False)
            self._await_no_carrier(link)
        finally:
            for route in routes:
                self._kernel.add_route(route, replace=True)

    def _await_no_carrier(self, link: Link) -> None:
        """Routes put back before it is known would be taken."""
        deadline = time.monotonic() + CARRIER_SECONDS
        while (now := self._kernel.link(index=link.index)) is not None and now.running:
            if time.monotonic() > deadline:
                return
            time.sleep(0.0005)
