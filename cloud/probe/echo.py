"""A UDP echo that signs its answers, so that a prober knows which of two holders of one address answered."""

from __future__ import annotations

import socket

from cloud.probe.clock import say_ready
from cloud.probe.flows import BUFFER_BYTES, IP_FREEBIND, IPV6_FREEBIND

SIGNED_ECHO_PORT = 7007


def run(address: str, port: int, name: str) -> None:
    """Answer datagrams to `address`, which this namespace may come to hold later, until the process is ended."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    level, freebind = (
        (socket.IPPROTO_IPV6, IPV6_FREEBIND) if family == socket.AF_INET6 else (socket.IPPROTO_IP, IP_FREEBIND)
    )
    signature = name.encode()
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.setsockopt(level, freebind, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        server.bind((address, port))
        say_ready()
        while True:
            data, peer = server.recvfrom(512)
            try:
                server.sendto(data + signature, peer)
            except OSError:  # no way back now: the probe is lost, as it would be
                continue
