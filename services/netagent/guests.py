"""Client of the guest helper: the `Guests` of namespaces. A libvirt one would adopt taps that exist already."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterable
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from dataplane.driver import DriverError
from dataplane.guests import Opened
from dataplane.linux import Interface

MESSAGE_BYTES = 1 << 16
TIMEOUT_S = 5.0


class HelperGuests:
    """Guests made by a helper at a unix socket. Requests may be repeated, so a helper's restart is not noticed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    def open(self, guest: str, mac: str, name: str) -> Opened:
        _, descriptors = self._ask({"do": "open", "guest": guest, "mac": mac, "name": name})
        if len(descriptors) != 2:
            for descriptor in descriptors:
                os.close(descriptor)
            raise DriverError("guest.no_namespace", f"no namespace came for {guest}")
        return Opened(*descriptors)

    def addresses(self, guest: str) -> set[Interface]:
        answer, _ = self._ask({"do": "addresses", "guest": guest})
        return {ip_interface(address) for address in answer["addresses"]}

    def configure(self, guest: str, add: Iterable[Interface], remove: Iterable[Interface]) -> None:
        request = {"do": "configure", "guest": guest, "add": [str(a) for a in add], "remove": [str(a) for a in remove]}
        self._ask(request)

    def collect(self, guest: str) -> None:
        self._ask({"do": "collect", "guest": guest})

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            try:
                answer, descriptors = self._exchange(request)
            except OSError:
                self._forget()
                try:
                    answer, descriptors = self._exchange(request)
                except OSError as error:
                    self._forget()
                    raise DriverError("guest.helper_unreachable", f"{self._path}: {error}") from error
        if "error" in answer:
            raise DriverError(answer["error"], answer["message"])
        return answer, descriptors

    def _exchange(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        if self._connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(self._path))
            self._connection = connection
        self._connection.sendall(json.dumps(request).encode())
        raw, descriptors, _, _ = socket.recv_fds(self._connection, MESSAGE_BYTES, 4)
        if not raw:
            raise ConnectionResetError("the helper closed the connection")
        answer: dict[str, Any] = json.loads(raw)
        return answer, descriptors

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
