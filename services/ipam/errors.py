"""What the ledger refuses, and what the caller can do about it. Codes are stable."""

from __future__ import annotations

from common.errors import Conflict, Forbidden, Invalid, NotFound

# --- supply ----------------------------------------------------------------------------------------------------------


class ZoneUnknown(NotFound):
    """There is no zone of that name. List the zones."""

    code = "ipam.zone.unknown"


class PoolUnknown(NotFound):
    """There is no such pool. List the pools of the zone."""

    code = "ipam.pool.unknown"


class PoolExists(Conflict):
    """The zone has a pool of that name already. Choose another name."""

    code = "ipam.pool.exists"


class PoolLength(Invalid):
    """A reservation from this pool cannot have that prefix length."""

    code = "ipam.pool.prefix_length"


class PoolExhausted(Conflict):
    """No free address is left. Choose another pool or add a prefix; retrying won't help."""

    code = "ipam.pool.exhausted"


class PrefixMalformed(Invalid):
    """This is not a prefix in CIDR form with its host bits clear."""

    code = "ipam.prefix.malformed"


class PrefixFamily(Invalid):
    """A prefix must be of its pool's family; a carried one is IPv6."""

    code = "ipam.prefix.family"


class PrefixLength(Invalid):
    """The prefix is too short or too long for its pool, or to be carried."""

    code = "ipam.prefix.length"


class PrefixOverlap(Conflict):
    """Prefixes never overlap. Give one of which no part is a pool's or carried."""

    code = "ipam.prefix.overlap"


class PrefixUnknown(NotFound):
    """The pool has no such prefix."""

    code = "ipam.prefix.unknown"


class PrefixInUse(Conflict):
    """Addresses of the prefix are held or in quarantine. Release them first."""

    code = "ipam.prefix.in_use"


class QuotaExceeded(Conflict):
    """The project holds as many addresses as its quota allows. Release one, or ask an operator for more."""

    code = "ipam.quota.exceeded"


# --- addresses -------------------------------------------------------------------------------------------------------


class AddressMalformed(Invalid):
    """This is not an address, or not one a pool could hold."""

    code = "ipam.address.malformed"


class AddressOutsidePool(Invalid):
    """No pool asked for holds this address. List the pools of the zone."""

    code = "ipam.address.outside_pool"


class AddressTaken(Conflict):
    """Somebody holds this address. Ask for another, or for any."""

    code = "ipam.address.taken"


class AddressQuarantined(Conflict):
    """The address was released a short while ago and rests before it is given again."""

    code = "ipam.address.quarantined"


class FlexibleIPUnknown(NotFound):
    """There is no such flexible IP in this project."""

    code = "ipam.flexible_ip.unknown"


class Attached(Conflict):
    """The flexible IP is attached. Detach it first."""

    code = "ipam.flexible_ip.attached"


class Protected(Conflict):
    """The flexible IP is protected. Clear `protected` first."""

    code = "ipam.flexible_ip.protected"


class AlreadyAttached(Conflict):
    """Another target holds the flexible IP. Use `:move`, or detach it first."""

    code = "ipam.flexible_ip.already_attached"


class InTransition(Conflict):
    """The flexible IP is leaving a target whose nodes have not yet withdrawn it. Wait for its operation."""

    code = "ipam.flexible_ip.in_transition"
    retryable = True


class NotAttached(Conflict):
    """The flexible IP is attached to nothing."""

    code = "ipam.flexible_ip.not_attached"


class NotAttachedThere(Conflict):
    """The flexible IP is not attached to the target named in `from`. Read it again."""

    code = "ipam.flexible_ip.not_attached_there"


class Quarantined(Conflict):
    """The flexible IP was released. Restore it first."""

    code = "ipam.flexible_ip.quarantined"


class NotReleased(Conflict):
    """The flexible IP was not released: there is nothing to restore."""

    code = "ipam.flexible_ip.not_released"


class SwapSame(Invalid):
    """A swap is of two addresses, each on a target of its own."""

    code = "ipam.swap.same"


# --- failover --------------------------------------------------------------------------------------------------------


class NotFailover(Conflict):
    """Only an address of kind `failover` has candidates and a health check. Reserve one."""

    code = "ipam.flexible_ip.not_failover"


class NotCandidate(Conflict):
    """A failover address goes to its candidates only. Make the target one of them first."""

    code = "ipam.failover.not_candidate"


class NoCandidate(Conflict):
    """The failover address has no candidate but the active one. Give it another."""

    code = "ipam.failover.no_candidate"


class ActiveCandidate(Conflict):
    """The target that has the failover address, or is about to get it, stays a candidate. Fail over first."""

    code = "ipam.failover.active_candidate"


class CandidatesFull(Conflict):
    """The failover address has as many candidates as it may. Replace one of them first."""

    code = "ipam.failover.candidates_full"


class CandidateTwice(Invalid):
    """A target is a candidate once."""

    code = "ipam.failover.candidate_twice"


class Frozen(Conflict):
    """It failed over by health too often and stays where it is. `:thaw` it, or fail it over yourself."""

    code = "ipam.failover.frozen"


class HeldDown(Conflict):
    """The address failed over by health a short while ago; so soon it does not again."""

    code = "ipam.failover.held_down"
    retryable = True


# --- projects --------------------------------------------------------------------------------------------------------


class ProjectNotYours(Forbidden):
    """Only a service or an operator acts on behalf of another project."""

    code = "ipam.project.not_yours"


# --- targets ---------------------------------------------------------------------------------------------------------


class TargetUnknown(NotFound):
    """There is no such target in this project."""

    code = "ipam.target.unknown"


class TargetKindNotYours(Forbidden):
    """A service's token is bound to the kinds of targets it may register; this is another."""

    code = "ipam.target.kind_not_yours"


class TargetImmutable(Conflict):
    """A target keeps its project and its zone. Register another one."""

    code = "ipam.target.immutable"


class ZoneMismatch(Conflict):
    """The flexible IP and the target are in different zones."""

    code = "ipam.target.zone_mismatch"


class TargetLimit(Conflict):
    """The target holds as many addresses of this family as it may. Detach one first."""

    code = "ipam.target.limit"


class TargetDeleted(Conflict):
    """The target was deleted before the address reached it."""

    code = "ipam.target.deleted"


class RevisionUnknown(Invalid):
    """A realised revision cannot be newer than the address set itself."""

    code = "ipam.address_set.revision_unknown"


# --- the rest --------------------------------------------------------------------------------------------------------


class OperationUnknown(NotFound):
    """There is no such operation in this project."""

    code = "ipam.operation.unknown"


class OperationSuperseded(Conflict):
    """A later request for the same flexible IP replaced this operation."""

    code = "ipam.operation.superseded"


class FilterMalformed(Invalid):
    """A filter of the list cannot be understood."""

    code = "ipam.filter.malformed"
