"""What the controller answers when it cannot do as asked. Codes are stable."""

from __future__ import annotations

from common.errors import Conflict, Invalid, NotFound, Unavailable


class ZoneUnknown(NotFound):
    """There is no such zone."""

    code = "placement.zone.unknown"


class ZoneImmutable(Conflict):
    """A zone's region and stack are set once."""

    code = "placement.zone.immutable"


class NodeUnknown(NotFound):
    """There is no such node."""

    code = "placement.node.unknown"


class NodeImmutable(Conflict):
    """A node's name, zone and role are set once."""

    code = "placement.node.immutable"


class NodeTaken(Conflict):
    """Another node has this name or endpoint."""

    code = "placement.node.taken"


class NodeInvalid(Invalid):
    """The node's description contradicts itself."""

    code = "placement.node.invalid"


class PrefixOverlap(Conflict):
    """Another node of the zone holds a part of this prefix."""

    code = "placement.node.prefix_overlap"


class PrefixInUse(Conflict):
    """Guests hold addresses of the prefix that the node would lose."""

    code = "placement.node.prefix_in_use"


class HypervisorsSilent(Unavailable):
    """The hypervisors that have room do not answer now."""

    code = "placement.hypervisors.silent"


class NodeFull(Conflict):
    """The hypervisor has not enough room; choose another, or none."""

    code = "placement.node.full"


class NodeUnsuitable(Conflict):
    """The hypervisor takes no instances now."""

    code = "placement.node.unsuitable"


class CapacityExhausted(Conflict):
    """No hypervisor of the zone has enough room."""

    code = "placement.capacity.exhausted"


class PrefixExhausted(Conflict):
    """No node-bound address is left on the hypervisor."""

    code = "placement.node.addresses_exhausted"


class NodeBusy(Conflict):
    """Something else is being done to the node as a whole; wait for it, or cancel it."""

    code = "placement.node.busy"
    retryable = True


class NodeEdge(Conflict):
    """An edge cannot be held apart: it is what holds others apart."""

    code = "placement.node.edge"


class EdgeMissing(Unavailable):
    """The zone has no edge: nobody says where its addresses go."""

    code = "placement.zone.no_edge"


class NodeFenced(Conflict):
    """The node is fenced; unfence it first."""

    code = "placement.node.fenced"


class NodeNotFenced(Conflict):
    """The node is not fenced: it may still be running what would be started elsewhere."""

    code = "placement.node.not_fenced"


class NodeLocalDisk(Conflict):
    """The node's guests have disks that no other node can read."""

    code = "placement.node.local_disk"


class NodeNoRoom(Conflict):
    """The instances of the node find no room elsewhere."""

    code = "placement.node.no_room"


class NodeNotHypervisor(Conflict):
    """Only hypervisors have instances."""

    code = "placement.node.not_hypervisor"


class OperationFixed(Conflict):
    """The Operation cannot be cancelled, paused or resumed now."""

    code = "placement.operation.fixed"


class FlavorUnknown(NotFound):
    """There is no such flavour."""

    code = "placement.flavor.unknown"


class FlavorTaken(Conflict):
    """Another flavour has this name."""

    code = "placement.flavor.name_taken"


class FlavorInUse(Conflict):
    """Instances have this flavour."""

    code = "placement.flavor.in_use"


class InstanceUnknown(NotFound):
    """There is no such instance."""

    code = "placement.instance.unknown"


class InstanceNameTaken(Conflict):
    """Another instance of the project has this name."""

    code = "placement.instance.name_taken"


class InstanceNameReserved(Invalid):
    """Names of nodes are not for instances."""

    code = "placement.instance.name_reserved"


class InstanceState(Conflict):
    """The instance is not in the state this needs."""

    code = "placement.instance.state"


class InstanceBusy(Conflict):
    """Another Operation is changing the instance; wait for it."""

    code = "placement.instance.busy"
    retryable = True


class ModeUnsupported(Invalid):
    """The zone's stack has no such mode."""

    code = "placement.instance.mode"


class AddressUnusable(Conflict):
    """An address cannot be attached to this instance."""

    code = "placement.instance.address"


class HypervisorChosen(Invalid):
    """Only an operator chooses the hypervisor."""

    code = "placement.instance.hypervisor"


class SameHypervisor(Conflict):
    """The instance is there already."""

    code = "placement.instance.same_hypervisor"


class ConversionMode(Conflict):
    """The port is not in the mode that the conversion starts from."""

    code = "placement.conversion.mode"


class ConversionStack(Conflict):
    """The zone does not run both stacks now."""

    code = "placement.conversion.stack"


class ConversionUnknown(NotFound):
    """There is no such conversion."""

    code = "placement.conversion.unknown"


class ConversionExists(Conflict):
    """The zone is being converted already."""

    code = "placement.conversion.exists"


class ConversionNodes(Conflict):
    """No hypervisor of the zone can run both stacks."""

    code = "placement.conversion.no_dual_node"


class ConversionPhase(Conflict):
    """The conversion is not where this can be done."""

    code = "placement.conversion.phase"


class PlanStale(Conflict):
    """A port has changed since the plan was made; plan again."""

    code = "placement.conversion.plan_stale"


class SoakUnfinished(Conflict):
    """No guest has had its address for long enough that its 10.x may be freed."""

    code = "placement.conversion.soak"


class OperationUnknown(NotFound):
    """There is no such operation."""

    code = "placement.operation.unknown"


class WithdrawBudget(Conflict):
    """More would be withdrawn from a node than may be without anybody's asking."""

    code = "placement.withdraw_budget"


class WithdrawalChanged(Conflict):
    """What the node is to lose is not what was approved; look at the node again."""

    code = "placement.node.withdrawal_changed"


class AddressMalformed(Invalid):
    """It is no IPv4 address, IPv6 address or IPv6 prefix."""

    code = "placement.address.malformed"


class AddressUnknown(NotFound):
    """The address is none of ours."""

    code = "placement.address.unknown"


class AddressAmbiguous(Conflict):
    """Several zones have this address; name the zone."""

    code = "placement.address.ambiguous"


class PortUnknown(NotFound):
    """There is no such port."""

    code = "placement.port.unknown"


class LedgerUnavailable(Unavailable):
    """The ledger does not answer; send the request again."""

    code = "placement.ledger.unavailable"
