"""The two generated clients as one connection."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from godwit_client import ipam, placement
from godwit_client.transport import Patient, RetryingTransport


@dataclass(frozen=True, slots=True)
class Connection:
    """Clients of both services for one token; safe to share between threads."""

    ipam: ipam.AuthenticatedClient
    placement: placement.AuthenticatedClient


def connect(
    ipam_url: str, placement_url: str, token: str, patience: Patient | None = None, timeout_s: float = 35.0
) -> Connection:
    """Open nothing yet: connections are made at the first call. `timeout_s` is longer than any long poll."""

    def options() -> dict[str, object]:
        return {"transport": RetryingTransport(patience or Patient())}

    timeout = httpx.Timeout(timeout_s, connect=5.0)
    return Connection(
        ipam.AuthenticatedClient(base_url=ipam_url, token=token, timeout=timeout, httpx_args=options()),
        placement.AuthenticatedClient(base_url=placement_url, token=token, timeout=timeout, httpx_args=options()),
    )
