"""Connections to the nodes' agents: one a node, kept open, with the controller's certificate and a signed token."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from common.auth import Principal, Signer
from services.netagent.client import AgentClient, Dial
from services.placement.settings import PlacementSettings

TOKEN_LIFETIME_S = 900


def service_token(settings: PlacementSettings, audience: str) -> Callable[[], str]:
    """A source of tokens for one audience: made anew when two thirds of the last one's life are over."""
    signer = Signer.from_file(settings.signing_key)
    principal = Principal("placement", "", frozenset({"service"}), frozenset({"instance"}))
    token, renew_at = "", 0.0

    def current() -> str:
        nonlocal token, renew_at
        if time.monotonic() >= renew_at:
            token = signer.sign(principal, [audience], TOKEN_LIFETIME_S)
            renew_at = time.monotonic() + TOKEN_LIFETIME_S * 2 / 3
        return token

    return current


def dial(settings: PlacementSettings, node_id: UUID, url: str) -> Dial:
    """How a node's agent is dialled."""
    token = service_token(settings, f"node/{node_id}")
    return Dial(url, node_id, token, settings.certificate, settings.certificate_key, settings.node_ca)


class Agents:
    """Clients by node."""

    def __init__(self, settings: PlacementSettings) -> None:
        self._settings = settings
        self._clients: dict[tuple[UUID, str], AgentClient] = {}

    def of(self, node_id: UUID, url: str) -> AgentClient:
        key = (node_id, url)
        if key not in self._clients:
            self._clients[key] = AgentClient(dial(self._settings, node_id, url))
        return self._clients[key]
