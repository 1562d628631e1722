"""A guest of the local cloud: echoes UDP and TCP on port 7, tells its name, addresses and boots by HTTP on port 80.

Usage: `python -S -E guest.py FOLDER DISK`, inside the guest's network namespace; the folder's file `name` holds its
host name, and the disk's file `boots` counts how often it has started, wherever that was. It stands for an instance's
operating system, so it stays small, starts fast, and imports nothing of ours. As `nobody` it may be unable to read
files: what it imports, it imports at once.
"""

from __future__ import annotations

import _thread
import array
import fcntl
import os
import select
import socket
import struct
import sys

ECHO, HTTP = 7, 80
NOBODY = 65534
PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, 8, 8),  # IP_PKTINFO, set and received alike
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, 49),  # 49: IPV6_RECVPKTINFO
}
SIOCGIFCONF = 0x8912


def udp(family: int) -> socket.socket:
    """A socket that tells which of our addresses a datagram was for, so that the answer comes from there."""
    server = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    level, _, receive = PKTINFO[socket.AddressFamily(family)]
    server.setsockopt(level, receive, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    server.bind(("", ECHO))
    server.setblocking(False)
    return server


def echo_datagrams(server: socket.socket) -> None:
    """Answer all that has arrived."""
    level, kind, _ = PKTINFO[server.family]
    while True:
        try:
            data, ancillary, _, sender = server.recvmsg(65536, 64)
        except OSError:  # nothing more, or an ICMP error about an earlier answer
            return
        source = []
        for seen_level, seen_kind, raw in ancillary:
            if (seen_level, seen_kind) == (level, kind):
                if server.family == socket.AF_INET:  # index, our address, the header's destination
                    raw = struct.pack("=i4s4s", 0, raw[4:8], bytes(4))  # noqa: PLW2901
                source = [(level, kind, raw)]
        try:
            server.sendmsg([data], source, 0, sender)
        except OSError:  # no way back to the sender: the probe is lost, as it would be
            continue


def tcp(port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("", port))
    server.listen(256)
    return server


def echo_stream(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def boot(disk: int) -> int:
    """Count this start on the disk; returns the count."""
    with os.fdopen(os.open("boots", os.O_RDWR | os.O_CREAT, 0o644, dir_fd=disk), "r+") as file:
        boots = int(file.read() or 0) + 1
        file.seek(0)
        file.write(f"{boots}\n")
    return boots


def tell(connection: socket.socket, folder: int, boots: int) -> None:
    """One HTTP/1.0 answer, whatever the path: {"name": …, "addresses": […], "boots": …}."""
    connection.settimeout(5)
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 65536:
        data = connection.recv(65536)
        if not data:
            return
        request += data
    with os.fdopen(os.open("name", os.O_RDONLY, dir_fd=folder)) as file:
        name = file.read().strip()
    addresses = ", ".join(f'"{address}"' for address in ipv4_addresses() + ipv6_addresses())
    body = f'{{"name": "{name}", "addresses": [{addresses}], "boots": {boots}}}\n'.encode()
    head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connection.sendall(head + body)


def ipv4_addresses() -> list[str]:
    buffer = array.array("B", bytes(16384))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("iL", len(buffer), buffer.buffer_info()[0])
        (length, _) = struct.unpack("iL", fcntl.ioctl(probe, SIOCGIFCONF, request))
    raw = buffer.tobytes()[:length]
    found = [socket.inet_ntoa(raw[at + 20 : at + 24]) for at in range(0, length, 40)]
    return [address for address in found if not address.startswith("127.")]


def ipv6_addresses() -> list[str]:
    with open("/proc/net/if_inet6") as file:  # noqa: PTH123  pathlib takes longer to import than the rest to run
        found = [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])) for line in file]
    return [address for address in found if address != "::1" and not address.startswith("fe80:")]


def serve(server: socket.socket, folder: int, boots: int) -> None:
    """Accept for ever, a thread per connection."""
    http = server.getsockname()[1] == HTTP

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                if http:
                    tell(connection, folder, boots)
                else:
                    echo_stream(connection)
            except OSError:  # the peer went away
                return

    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the peer went away before we looked
            continue
        _thread.start_new_thread(talk, (connection,))


def main() -> None:
    folder, disk = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.argv[1:3])  # while we may
    datagrams = [udp(socket.AF_INET), udp(socket.AF_INET6)]
    streams = [tcp(ECHO), tcp(HTTP)]
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    boots = boot(disk)
    for server in streams:
        _thread.start_new_thread(serve, (server, folder, boots))
    poll = select.poll()
    by_descriptor = {server.fileno(): server for server in datagrams}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            echo_datagrams(by_descriptor[descriptor])


if __name__ == "__main__":
    main()
