"""The two generated clients as one connection."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def from_environment(environment: Mapping[str, str] = os.environ) -> Connection:
    """To where GODWIT_IPAM_URL, GODWIT_PLACEMENT_URL and GODWIT_TOKEN say. Raises KeyError for one that is not set."""
    return connect(environment["GODWIT_IPAM_URL"], environment["GODWIT_PLACEMENT_URL"], environment["GODWIT_TOKEN"])
