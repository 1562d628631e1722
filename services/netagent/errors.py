"""What an agent refuses, and why. Codes are stable."""

from __future__ import annotations

from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable


class WrongNode(Invalid):
    """The message is for another node."""

    code = "agent.wrong_node"


class MalformedMessage(Invalid):
    """The message is cut, altered, or of another version; nothing of it was used."""

    code = "agent.malformed"


class StaleGeneration(Conflict):
    """The message is older than what this node was given."""

    code = "agent.stale_generation"


class BaseMismatch(Conflict):
    """The delta does not apply to what this node holds; send the whole."""

    code = "agent.base_mismatch"


class RemovalBudget(Conflict):
    """The message removes too much that nobody asked to remove."""

    code = "agent.removal_budget"


class NotAnEdge(NotFound):
    """Only an edge knows where the fabric sends a prefix."""

    code = "agent.not_an_edge"


class NotAHypervisor(NotFound):
    """Only a hypervisor has guests' links."""

    code = "agent.not_a_hypervisor"


class CannotProbe(Unavailable):
    """This node sends no probes now: enough are under way, or its probe address or right to is missing."""

    code = "agent.cannot_probe"


class WrongAgent(Unavailable):
    """The agent that answers is not the node that was dialled."""

    code = "agent.identity"


BY_CODE: dict[str, type[DomainError]] = {
    known.code: known
    for known in (
        WrongNode,
        MalformedMessage,
        StaleGeneration,
        BaseMismatch,
        RemovalBudget,
        NotAnEdge,
        NotAHypervisor,
        CannotProbe,
    )
}
