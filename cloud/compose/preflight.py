"""`python -m cloud.compose.preflight`: what is missing for a cloud in containers, a line each, before all others."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from urllib.error import HTTPError, URLError

from cloud.compose import secrets
from cloud.compose.layout import PORTS, PROGRAMS, port_variable
from cloud.namespaces import CommandFailed, run
from services.netagent import preflight

FOLDER = Path("/secrets")


def main() -> None:
    complaints = [*_secrets(), *_kernel(), *_ports()]
    for line in complaints:
        print(f"preflight: {line}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


def _secrets() -> Iterator[str]:
    lacking = secrets.missing(FOLDER)
    if lacking:
        number = f"{len(lacking)} of {len(secrets.files())} secrets are missing ({', '.join(lacking[:3])}…)"
        yield f"{number}; make them with: make compose-secrets"


def _kernel() -> Iterator[str]:
    pins = Path(mkdtemp())
    try:
        run(["mount", "-t", "bpf", "bpf", str(pins)])
    except CommandFailed as error:
        yield f"no BPF file system can be mounted: {error.message}"
        return
    refused = preflight.refusal(pins, PROGRAMS)
    if refused:
        yield refused


def _ports() -> Iterator[str]:
    """Ports of the host's loopback that somebody else listens on; a cloud that runs already may."""
    for service in PORTS:
        port = int(os.environ[port_variable(service)])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if not _is_ours(port):
                    variable = port_variable(service)
                    yield f"port {port} of 127.0.0.1 is taken; choose another for {service} with {variable}"


def _is_ours(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=3):
            return False
    except HTTPError as answer:
        return answer.headers.get("Content-Type") == "application/problem+json" and "X-Request-ID" in answer.headers
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    main()
