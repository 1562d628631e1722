"""Echoes to probe against: UDP that signs its answers, so that a prober knows which holder answered, and plain TCP."""

from __future__ import annotations

import select
import socket
import time

from cloud.probe.clock import Stop, say_ready
from cloud.probe.flows import BUFFER_BYTES, IP_FREEBIND, IPV6_FREEBIND

SIGNED_ECHO_PORT = 7007


def run(address: str, port: int, name: str, stop: Stop) -> None:
    """Answer datagrams to `address`, which this namespace may come to hold later, until `stop` is due."""
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
        while not stop.due(time.monotonic_ns()):
            if not select.select([server], [], [], 0.05)[0]:
                continue
            data, peer = server.recvfrom(512)
            try:
                server.sendto(data + signature, peer)
            except OSError:  # no way back now: the probe is lost, as it would be
                continue


def run_tcp(port: int, stop: Stop) -> None:
    """Echo what comes on any connection until `stop` is due."""
    connections: dict[int, socket.socket] = {}
    poll = select.poll()
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        poll.register(server, select.POLLIN)
        say_ready()
        while not stop.due(time.monotonic_ns()):
            for descriptor, _ in poll.poll(50):
                if descriptor == server.fileno():
                    connection, _ = server.accept()
                    connections[connection.fileno()] = connection
                    poll.register(connection, select.POLLIN)
                elif not _echo(connections[descriptor]):
                    poll.unregister(descriptor)
                    connections.pop(descriptor).close()


def _echo(connection: socket.socket) -> bool:
    """Send back what has come. False when the connection is over."""
    try:
        data = connection.recv(65536)
        connection.sendall(data)
    except OSError:
        return False
    return bool(data)
