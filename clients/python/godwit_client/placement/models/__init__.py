"""Contains all the data models used in inputs/outputs"""

from .admin_state import AdminState
from .allocation import Allocation
from .allocation_resources import AllocationResources
from .condition import Condition
from .field_error import FieldError
from .flavor import Flavor
from .flavor_create import FlavorCreate
from .instance import Instance
from .instance_create import InstanceCreate
from .instance_move import InstanceMove
from .instance_start import InstanceStart
from .instance_state import InstanceState
from .inventory import Inventory
from .mode import Mode
from .node import Node
from .node_put import NodePut
from .node_role import NodeRole
from .node_update import NodeUpdate
from .node_used import NodeUsed
from .operation import Operation
from .operation_error import OperationError
from .operation_result_type_0 import OperationResultType0
from .operation_state import OperationState
from .operation_step import OperationStep
from .page_allocation import PageAllocation
from .page_flavor import PageFlavor
from .page_instance import PageInstance
from .page_node import PageNode
from .page_operation import PageOperation
from .page_zone import PageZone
from .port import Port
from .port_address import PortAddress
from .problem import Problem
from .stack import Stack
from .waiting_for import WaitingFor
from .zone import Zone
from .zone_put import ZonePut

__all__ = (
    "AdminState",
    "Allocation",
    "AllocationResources",
    "Condition",
    "FieldError",
    "Flavor",
    "FlavorCreate",
    "Instance",
    "InstanceCreate",
    "InstanceMove",
    "InstanceStart",
    "InstanceState",
    "Inventory",
    "Mode",
    "Node",
    "NodePut",
    "NodeRole",
    "NodeUpdate",
    "NodeUsed",
    "Operation",
    "OperationError",
    "OperationResultType0",
    "OperationState",
    "OperationStep",
    "PageAllocation",
    "PageFlavor",
    "PageInstance",
    "PageNode",
    "PageOperation",
    "PageZone",
    "Port",
    "PortAddress",
    "Problem",
    "Stack",
    "WaitingFor",
    "Zone",
    "ZonePut",
)
