"""The guest helper: makes, configures and destroys guests, and hands their network namespaces out as descriptors.

It is the only process with CAP_SYS_ADMIN beside agents that have none. Everything it knows is in its directory, one
folder per guest, so that a kill costs nothing:

    <directory>/<guest>/net      the guest's network namespace, bind-mounted
    <directory>/<guest>/name     its host name
    <directory>/<guest>/pid      its process
    <directory>/<guest>/addresses  what it configures, one a line, the first being the preferred source

Their disks lie elsewhere (see `disks`), for they outlive them.

Requests are JSON objects, one per packet of a unix SOCK_SEQPACKET socket: `{"do": "open", "guest", "mac", "name"}`
(answered with two descriptors, SCM_RIGHTS), `addresses`, `configure` (`add`, `remove`), `collect`. An answer has
`error` and `message` when the request failed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from pydantic_settings import SettingsConfigDict

from common import logs
from common.settings import Settings
from dataplane import netlink as nl
from dataplane.guests import NIC
from dataplane.linux import MAIN, Interface, Linux, Route
from services.netagent import namespaces
from services.netagent.disks import Disk

log = structlog.get_logger()

T = TypeVar("T")

GATEWAYS: Final = (IPv4Address("169.254.0.1"), IPv6Address("fe80::1"))
DEFAULT_METRIC: Final = 100
BOOT_PROTOCOL: Final = 3  # rtnetlink "boot": the guest's own routes, not ours to reconcile
END_SECONDS: Final = 2.0  # for a killed process to be gone
GRACE_SECONDS: Final = 2.0  # a guest just opened is about to get its leg
MESSAGE_BYTES: Final = 1 << 16
GUEST_NAME: Final = re.compile(r"[0-9a-f]{32}")
GUEST_PROGRAM: Final = Path(__file__).with_name("guest.py")

SYSCTLS: Final = {
    "ipv6/conf/all/forwarding": 0,
    "ipv6/conf/all/accept_ra": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv4/ip_forward": 0,
}


class GuestSettings(Settings):
    """`GODWIT_GUESTS_SOCKET`, `GODWIT_GUESTS_DIRECTORY`, `GODWIT_GUESTS_DISKS`."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_GUESTS_")

    socket: Path
    directory: Path
    disks: Path  # as the hypervisors' agents know it


class Refused(Exception):
    """The request cannot be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class GuestHouse:
    """The guests of one directory. Used by one thread."""

    def __init__(self, directory: Path, disks: Path) -> None:
        self._directory = directory
        self._disks = disks
        self._opened: dict[str, float] = {}  # monotonic
        self._leaving: set[str] = set()
        directory.mkdir(parents=True, exist_ok=True)
        for folder in sorted(directory.iterdir()):
            self._recover(folder)

    # --- requests ----------------------------------------------------------------------------------------------------

    def open(self, guest: str, mac: str, name: str) -> list[int]:
        """Descriptors of the guest's namespace and of a netlink socket in it; the guest is made if need be."""
        folder = self._folder(guest)
        pin = folder / "net"
        self._opened[guest] = time.monotonic()
        self._leaving.discard(guest)
        made = not namespaces.is_namespace(pin)
        if made:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # the guest's process reads its name in it, as nobody
            pin.touch()
            namespaces.create(pin)
        if made or _read(folder / "name") != name:
            _write(folder / "name", name)
        opened = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return [opened, namespaces.inside(opened, lambda: self._boot(folder, mac))]
        except OSError:
            os.close(opened)
            raise

    def addresses(self, guest: str) -> list[str]:
        """What the NIC holds, from the kernel; empty when there is no such guest."""
        pin = self._folder(guest) / "net"
        if not namespaces.is_namespace(pin):
            return []
        return self._inside(pin, lambda kernel: [str(address) for address in _held(kernel)])

    def configure(self, guest: str, add: list[str], remove: list[str]) -> None:
        folder = self._folder(guest)
        pin = folder / "net"
        if not namespaces.is_namespace(pin):
            raise Refused("guest.unknown", f"there is no guest {guest}")
        order = (_read(folder / "addresses") or "").split()
        order = [a for a in order if a not in remove] + [a for a in add if a not in order]
        _write(folder / "addresses", "\n".join(order))
        wanted = [ip_interface(a) for a in order]
        removed = [ip_interface(a) for a in remove]
        self._inside(pin, lambda kernel: _configure(kernel, wanted, removed))

    def collect(self, guest: str) -> None:
        """Destroy the guest if it has no leg; one just opened is looked at again in a moment."""
        folder = self._folder(guest)
        if not folder.is_dir():
            self._disk(folder).end()
            return
        if time.monotonic() - self._opened.get(guest, 0.0) < GRACE_SECONDS:
            self._leaving.add(guest)
            return
        self._leaving.discard(guest)
        pin = folder / "net"
        if namespaces.is_namespace(pin) and self._inside(pin, _has_leg):
            return
        self._opened.pop(guest, None)
        self._destroy(folder)
        log.info("guest.destroyed", guest=guest)

    def tidy(self) -> None:
        """Look again at the guests whose `collect` came too early."""
        for guest in list(self._leaving):
            try:
                self.collect(guest)
            except OSError as error:  # the next round finds it
                log.warning("guest.not_destroyed", guest=guest, error=str(error))
                self._leaving.add(guest)

    @property
    def has_work(self) -> bool:
        return bool(self._leaving)

    # --- their parts -------------------------------------------------------------------------------------------------

    def _folder(self, guest: str) -> Path:
        if not GUEST_NAME.fullmatch(guest):
            raise Refused("guest.name", f"{guest!r} names no guest")
        return self._directory / guest

    @staticmethod
    def _inside(pin: Path, work: Callable[[Linux], T]) -> T:
        def run() -> T:
            kernel = Linux()
            try:
                return work(kernel)
            finally:
                kernel.close()

        opened = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return namespaces.inside(opened, run)
        finally:
            os.close(opened)

    def _disk(self, folder: Path) -> Disk:
        return Disk(self._disks, folder.name)

    def _start(self, folder: Path) -> None:
        disk = self._disk(folder)
        disk.begin()
        _start(folder, disk.content)

    def _destroy(self, folder: Path) -> None:
        _end(folder)
        self._disk(folder).end()  # before the folder goes: after a kill, it is how this is found again
        _remove(folder)

    def _boot(self, folder: Path, mac: str) -> int:
        """The NIC, its default routes and the guest's process, as far as they are missing; then a netlink socket."""
        kernel = Linux()
        try:
            nic = kernel.link(NIC)
            if nic is None:
                for path, value in SYSCTLS.items():
                    kernel.sysctl(path, value)
                kernel.set_link(1, up=True)
                kernel.add_bridge(NIC, mac)
                kernel.sysctl("ipv6/conf/default/disable_ipv6", 1)  # legs have no addresses
                nic = kernel.link(NIC)
            if nic is None:
                raise OSError(f"{NIC} vanished")
            if nic.mac != mac:
                kernel.set_link(nic.index, mac=mac)
            if not nic.up:
                kernel.set_link(nic.index, up=True)
                _configure(kernel, [ip_interface(a) for a in (_read(folder / "addresses") or "").split()], [])
        finally:
            kernel.close()
        if _process(folder) is None:
            self._start(folder)
        return nl.open_socket().detach()

    def _recover(self, folder: Path) -> None:
        """Take up a guest that was here before us; what a reboot left of one is removed."""
        if not GUEST_NAME.fullmatch(folder.name):
            return
        pin, pid = folder / "net", _process(folder)
        if not namespaces.is_namespace(pin):
            if pid is None:
                self._destroy(folder)
                return
            pin.touch()
            namespaces.bind(Path(f"/proc/{pid}/ns/net"), pin)
        if pid is None:
            self._inside(pin, lambda _: self._start(folder))
        self._leaving.add(folder.name)  # its last leg may have gone while we were away
        self._opened[folder.name] = time.monotonic()
        log.info("guest.recovered", guest=folder.name)


def _held(kernel: Linux) -> list[Interface]:
    nic = kernel.link(NIC)
    if nic is None:
        return []
    return [address for _, address in kernel.addresses(nic.index) if not address.ip.is_link_local]


def _configure(kernel: Linux, wanted: list[Interface], removed: list[Interface]) -> None:
    """Addresses, then default routes preferring the first of each family, then removals: never without a route."""
    nic = kernel.link(NIC)
    if nic is None:
        raise Refused("guest.no_nic", f"the guest has no {NIC}")
    held = set(_held(kernel))
    for address in wanted:
        if address not in held:
            kernel.add_address(nic.index, address)
    for gateway in GATEWAYS:
        source = next((address.ip for address in wanted if address.version == gateway.version), None)
        everything = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
        route = Route(
            MAIN,
            everything,
            DEFAULT_METRIC,
            oif=nic.index,
            gateway=gateway,
            onlink=True,
            source=source,
            protocol=BOOT_PROTOCOL,
        )
        kernel.add_route(route, replace=True)
    for address in removed:
        if address in held and address not in wanted:
            kernel.delete_address(nic.index, address)


def _has_leg(kernel: Linux) -> bool:
    nic = kernel.link(NIC)
    return nic is not None and any(link.master == nic.index for link in kernel.links())


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _start(folder: Path, disk: Path) -> None:
    """The guest's process, detached, in the namespace of the calling thread."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-S", "-E", str(GUEST_PROGRAM), str(folder), str(disk)],
            {},
            setsid=True,
            setsigdef=[signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
            file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)],
        )
    finally:
        os.close(null)
    _write(folder / "pid", str(pid))


def _process(folder: Path) -> int | None:
    """The guest's process, if it runs: a number that another process has taken since does not count."""
    text = _read(folder / "pid")
    if not text:
        return None
    try:
        command = Path(f"/proc/{int(text)}/cmdline").read_bytes()
    except OSError:
        return None
    return int(text) if str(folder).encode() in command.split(b"\0") else None


def _end(folder: Path) -> None:
    """End the guest's process; returns when it writes nothing more."""
    pid = _process(folder)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            ended = select.poll()
            ended.register(process, select.POLLIN)
            if not ended.poll(END_SECONDS * 1000):
                raise OSError(errno.EBUSY, f"process {pid} does not end")
        finally:
            os.close(process)


def _remove(folder: Path) -> None:
    namespaces.unbind(folder / "net")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def destroy_all(directory: Path) -> None:
    """Destroy every guest of a directory, whether a helper runs or not (stop it first)."""
    if directory.is_dir():
        for folder in directory.iterdir():
            if GUEST_NAME.fullmatch(folder.name):
                _end(folder)
                _remove(folder)


def find(directory: Path, name: str) -> Path | None:
    """The folder of the guest with that host name; its namespace is the file `net` in it."""
    for folder in sorted(directory.iterdir()) if directory.is_dir() else ():
        if _read(folder / "name") == name:
            return folder
    return None


# --- serving ---------------------------------------------------------------------------------------------------------


def _do(house: GuestHouse, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """The answer and the descriptors that go with it."""
    what, guest = request["do"], request["guest"]
    if what == "open":
        return {}, house.open(guest, request["mac"], request["name"])
    if what == "addresses":
        return {"addresses": house.addresses(guest)}, []
    if what == "configure":
        house.configure(guest, request["add"], request["remove"])
    elif what == "collect":
        house.collect(guest)
    else:
        raise Refused("guest.request", f"{what!r} is no request")
    return {}, []


def _answer(house: GuestHouse, raw: bytes) -> tuple[dict[str, Any], list[int]]:
    try:
        return _do(house, json.loads(raw))
    except (KeyError, TypeError, ValueError) as error:
        return {"error": "guest.request", "message": f"{type(error).__name__}: {error}"}, []
    except Refused as error:
        return {"error": error.code, "message": str(error)}, []
    except OSError as error:
        return {"error": "guest.kernel", "message": str(error)}, []


def _serve_one(house: GuestHouse, connection: socket.socket) -> bool:
    """Answer one request; False when the client has gone."""
    try:
        raw = connection.recv(MESSAGE_BYTES)
        if not raw:
            return False
        answer, descriptors = _answer(house, raw)
        if "error" in answer:
            log.warning("guest.refused", **answer)
        try:
            socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    except OSError:  # the client has gone; it asks again
        return False
    return True


def listen(path: Path) -> socket.socket:
    """The helper's socket, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(64)
    return server


def serve(server: socket.socket, house: GuestHouse) -> None:
    """Answer for ever, one request after the other."""
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    while True:
        ready = selector.select(timeout=0.5 if house.has_work else None)
        for key, _ in ready:
            if key.fileobj is server:
                selector.register(server.accept()[0], selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket) and not _serve_one(house, key.fileobj):
                selector.unregister(key.fileobj)
                key.fileobj.close()
        house.tidy()


def main() -> None:
    logs.configure("guest-helper")
    settings = GuestSettings()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guests outlive us, and are nobody's children
    house = GuestHouse(settings.directory, settings.disks)
    serve(listen(settings.socket), house)


if __name__ == "__main__":
    main()
