"""Asks a node's agent, as placement does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cloud.namespaces import entered
from cloud.pki import PLACEMENT, Pki
from cloud.plan import Plan
from common.auth import Principal, Signer
from services.netagent.client import AgentClient, Dial

T = TypeVar("T")


def ask(plan: Plan, name: str, question: Callable[[AgentClient], T]) -> T:
    """What the agent of node `name` answers. Raises DomainError."""
    node, pki = plan.node(name), Pki(plan.paths.pki)
    signer = Signer.from_file(pki.signing_key(PLACEMENT))
    token = signer.sign(Principal("placement", "", frozenset({"service"})), [f"node/{node.id}"])
    identity = pki.placement
    client = AgentClient(
        Dial(node.agent_url, node.id, lambda: token, identity.certificate, identity.key, pki.nodes.certificate)
    )
    try:
        with entered(plan.control):
            return question(client)
    finally:
        client.close()
