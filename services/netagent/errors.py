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


class DiskAbsent(NotFound):
    """The port has no disk here."""

    code = "agent.disk.absent"


class DiskInUse(Conflict):
    """A guest runs on the disk, or is about to end; withdraw its port first."""

    code = "agent.disk.in_use"
    retryable = True


class DiskExists(Conflict):
    """The port has a disk already, which nothing may overwrite; discard it first."""

    code = "agent.disk.exists"


class DiskNotSettled(Conflict):
    """The disk holds what that archive does not; only what was archived, and not used since, is discarded."""

    code = "agent.disk.not_settled"


class DiskBusy(Unavailable):
    """The disk is being transferred; the same request again joins in, and gets the answer."""

    code = "agent.disk.busy"


class DiskStorage(Unavailable):
    """The storage of the disks failed, or is full."""

    code = "agent.disk.storage"


class ArchiveUrl(Invalid):
    """The URL is under none of the stores that this node may use."""

    code = "agent.archive.url"


class ArchiveAbsent(NotFound):
    """The store has no such archive."""

    code = "agent.archive.absent"


class ArchiveDiffers(Conflict):
    """The store's object is not what was archived; nothing of it was used."""

    code = "agent.archive.differs"


class StoreUnreachable(Unavailable):
    """The object store does not answer, or refuses."""

    code = "agent.archive.store_unreachable"


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
        DiskAbsent,
        DiskInUse,
        DiskExists,
        DiskNotSettled,
        DiskBusy,
        DiskStorage,
        ArchiveUrl,
        ArchiveAbsent,
        ArchiveDiffers,
        StoreUnreachable,
    )
}
