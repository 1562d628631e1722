"""Serves an ASGI application on several sockets at once: TCP addresses, unix sockets, inherited file descriptors."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI


@dataclass(frozen=True, slots=True)
class MutualTls:
    """Our certificate, and the authority whose certificates clients must show."""

    certificate: Path
    key: Path
    client_authority: Path


def listening_socket(address: str) -> socket.socket:
    """`tcp:HOST:PORT`, `unix:PATH`, or `fd:N` (inherited and already listening). Raises ValueError, OSError."""
    scheme, _, rest = address.partition(":")
    if scheme == "fd":
        return socket.socket(fileno=int(rest))
    if scheme == "unix":
        Path(rest).unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(rest)
    elif scheme == "tcp":
        host, _, port = rest.rpartition(":")
        # Named as TCP, or asyncio leaves Nagle's algorithm on: 40 ms an answer with a client that delays its ACKs.
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, int(port)))
    else:
        raise ValueError(f"{address}: listen on tcp:HOST:PORT, unix:PATH or fd:N")
    server.listen(1024)
    return server


def server(app: FastAPI, tls: MutualTls | None = None) -> uvicorn.Server:
    """What serves `app`, as every process of ours does, once it is given sockets."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        ssl_ca_certs=str(tls.client_authority) if tls else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls else ssl.CERT_NONE,
    )
    return uvicorn.Server(config)


def serve(app: FastAPI, listen: Sequence[str], tls: MutualTls | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    server(app, tls).run(sockets=[listening_socket(address) for address in listen])
