"""Contains all the data models used in inputs/outputs"""

from .admin_state import AdminState
from .allocation import Allocation
from .allocation_resources import AllocationResources
from .condition import Condition
from .conversion import Conversion
from .conversion_create import ConversionCreate
from .conversion_pause import ConversionPause
from .conversion_plan import ConversionPlan
from .conversion_plan_ports import ConversionPlanPorts
from .conversion_ports import ConversionPorts
from .conversion_resume import ConversionResume
from .effect import Effect
from .evidence import Evidence
from .evidence_kind import EvidenceKind
from .fence import Fence
from .field_error import FieldError
from .finding import Finding
from .flavor import Flavor
from .flavor_create import FlavorCreate
from .instance import Instance
from .instance_convert import InstanceConvert
from .instance_create import InstanceCreate
from .instance_move import InstanceMove
from .instance_start import InstanceStart
from .instance_state import InstanceState
from .inventory import Inventory
from .mode import Mode
from .node import Node
from .node_drain import NodeDrain
from .node_fence import NodeFence
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
from .page_conversion import PageConversion
from .page_flavor import PageFlavor
from .page_instance import PageInstance
from .page_node import PageNode
from .page_operation import PageOperation
from .page_port_conversion import PagePortConversion
from .page_zone import PageZone
from .part_of import PartOf
from .phase import Phase
from .planned_port import PlannedPort
from .port import Port
from .port_address import PortAddress
from .port_conversion import PortConversion
from .port_state import PortState
from .predicted_address import PredictedAddress
from .prediction import Prediction
from .problem import Problem
from .reason import Reason
from .stack import Stack
from .waiting_for import WaitingFor
from .wave import Wave
from .wave_ports import WavePorts
from .zone import Zone
from .zone_put import ZonePut

__all__ = (
    "AdminState",
    "Allocation",
    "AllocationResources",
    "Condition",
    "Conversion",
    "ConversionCreate",
    "ConversionPause",
    "ConversionPlan",
    "ConversionPlanPorts",
    "ConversionPorts",
    "ConversionResume",
    "Effect",
    "Evidence",
    "EvidenceKind",
    "Fence",
    "FieldError",
    "Finding",
    "Flavor",
    "FlavorCreate",
    "Instance",
    "InstanceConvert",
    "InstanceCreate",
    "InstanceMove",
    "InstanceStart",
    "InstanceState",
    "Inventory",
    "Mode",
    "Node",
    "NodeDrain",
    "NodeFence",
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
    "PageConversion",
    "PageFlavor",
    "PageInstance",
    "PageNode",
    "PageOperation",
    "PagePortConversion",
    "PageZone",
    "PartOf",
    "Phase",
    "PlannedPort",
    "Port",
    "PortAddress",
    "PortConversion",
    "PortState",
    "PredictedAddress",
    "Prediction",
    "Problem",
    "Reason",
    "Stack",
    "WaitingFor",
    "Wave",
    "WavePorts",
    "Zone",
    "ZonePut",
)
