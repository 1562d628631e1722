"""Contains all the data models used in inputs/outputs"""

from .address_reachability import AddressReachability
from .admin_state import AdminState
from .allocation import Allocation
from .allocation_page import AllocationPage
from .archive import Archive
from .certificate_status import CertificateStatus
from .condition import Condition
from .controller_status import ControllerStatus
from .conversion import Conversion
from .conversion_create import ConversionCreate
from .conversion_page import ConversionPage
from .conversion_pause import ConversionPause
from .conversion_plan import ConversionPlan
from .conversion_resume import ConversionResume
from .direction import Direction
from .effect import Effect
from .evidence import Evidence
from .evidence_kind import EvidenceKind
from .fence import Fence
from .field_error import FieldError
from .finding import Finding
from .flavor import Flavor
from .flavor_create import FlavorCreate
from .flavor_page import FlavorPage
from .instance import Instance
from .instance_convert import InstanceConvert
from .instance_create import InstanceCreate
from .instance_move import InstanceMove
from .instance_page import InstancePage
from .instance_start import InstanceStart
from .instance_state import InstanceState
from .inventory import Inventory
from .mode import Mode
from .move_kind import MoveKind
from .nature import Nature
from .node import Node
from .node_approve import NodeApprove
from .node_drain import NodeDrain
from .node_fence import NodeFence
from .node_page import NodePage
from .node_put import NodePut
from .node_role import NodeRole
from .node_update import NodeUpdate
from .oldest import Oldest
from .operation import Operation
from .operation_error import OperationError
from .operation_page import OperationPage
from .operation_result import OperationResult
from .operation_state import OperationState
from .operation_step import OperationStep
from .part import Part
from .part_of import PartOf
from .phase import Phase
from .planned_port import PlannedPort
from .port import Port
from .port_address import PortAddress
from .port_conversion import PortConversion
from .port_conversion_page import PortConversionPage
from .port_counts import PortCounts
from .port_state import PortState
from .predicted_address import PredictedAddress
from .prediction import Prediction
from .problem import Problem
from .queue_status import QueueStatus
from .reachability import Reachability
from .reason import Reason
from .resources import Resources
from .stack import Stack
from .trace import Trace
from .trace_finding import TraceFinding
from .trace_step import TraceStep
from .trace_way import TraceWay
from .verdict import Verdict
from .waiting_for import WaitingFor
from .wave import Wave
from .zone import Zone
from .zone_page import ZonePage
from .zone_put import ZonePut

__all__ = (
    "AddressReachability",
    "AdminState",
    "Allocation",
    "AllocationPage",
    "Archive",
    "CertificateStatus",
    "Condition",
    "ControllerStatus",
    "Conversion",
    "ConversionCreate",
    "ConversionPage",
    "ConversionPause",
    "ConversionPlan",
    "ConversionResume",
    "Direction",
    "Effect",
    "Evidence",
    "EvidenceKind",
    "Fence",
    "FieldError",
    "Finding",
    "Flavor",
    "FlavorCreate",
    "FlavorPage",
    "Instance",
    "InstanceConvert",
    "InstanceCreate",
    "InstanceMove",
    "InstancePage",
    "InstanceStart",
    "InstanceState",
    "Inventory",
    "Mode",
    "MoveKind",
    "Nature",
    "Node",
    "NodeApprove",
    "NodeDrain",
    "NodeFence",
    "NodePage",
    "NodePut",
    "NodeRole",
    "NodeUpdate",
    "Oldest",
    "Operation",
    "OperationError",
    "OperationPage",
    "OperationResult",
    "OperationState",
    "OperationStep",
    "Part",
    "PartOf",
    "Phase",
    "PlannedPort",
    "Port",
    "PortAddress",
    "PortConversion",
    "PortConversionPage",
    "PortCounts",
    "PortState",
    "PredictedAddress",
    "Prediction",
    "Problem",
    "QueueStatus",
    "Reachability",
    "Reason",
    "Resources",
    "Stack",
    "Trace",
    "TraceFinding",
    "TraceStep",
    "TraceWay",
    "Verdict",
    "WaitingFor",
    "Wave",
    "Zone",
    "ZonePage",
    "ZonePut",
)
