"""Contains all the data models used in inputs/outputs"""

from .address_set import AddressSet
from .adopt import Adopt
from .adopted import Adopted
from .attach import Attach
from .attachment import Attachment
from .audit_record import AuditRecord
from .audit_record_page import AuditRecordPage
from .candidate import Candidate
from .candidate_put import CandidatePut
from .candidates_put import CandidatesPut
from .carried_prefix import CarriedPrefix
from .detach import Detach
from .facts import Facts
from .failover import Failover
from .failover_cause import FailoverCause
from .family import Family
from .field_error import FieldError
from .flexible_ip import FlexibleIP
from .flexible_ip_kind import FlexibleIPKind
from .flexible_ip_page import FlexibleIPPage
from .flexible_ip_reserve import FlexibleIPReserve
from .flexible_ip_state import FlexibleIPState
from .flexible_ip_update import FlexibleIPUpdate
from .health_check import HealthCheck
from .health_protocol import HealthProtocol
from .held import Held
from .holding import Holding
from .holding_page import HoldingPage
from .labels import Labels
from .lagging_target import LaggingTarget
from .lagging_target_page import LaggingTargetPage
from .ledger_status import LedgerStatus
from .move import Move
from .oldest import Oldest
from .operation import Operation
from .operation_error import OperationError
from .operation_page import OperationPage
from .operation_result import OperationResult
from .operation_state import OperationState
from .operation_step import OperationStep
from .pool import Pool
from .pool_create import PoolCreate
from .pool_page import PoolPage
from .pool_supply import PoolSupply
from .pool_update import PoolUpdate
from .prefix import Prefix
from .prefix_create import PrefixCreate
from .prefix_page import PrefixPage
from .problem import Problem
from .quota import Quota
from .quota_page import QuotaPage
from .quota_put import QuotaPut
from .realized import Realized
from .swap import Swap
from .target import Target
from .target_address import TargetAddress
from .target_page import TargetPage
from .target_put import TargetPut
from .target_ref import TargetRef
from .waiting import Waiting
from .waiting_for import WaitingFor
from .zone import Zone
from .zone_page import ZonePage
from .zone_put import ZonePut

__all__ = (
    "AddressSet",
    "Adopt",
    "Adopted",
    "Attach",
    "Attachment",
    "AuditRecord",
    "AuditRecordPage",
    "Candidate",
    "CandidatePut",
    "CandidatesPut",
    "CarriedPrefix",
    "Detach",
    "Facts",
    "Failover",
    "FailoverCause",
    "Family",
    "FieldError",
    "FlexibleIP",
    "FlexibleIPKind",
    "FlexibleIPPage",
    "FlexibleIPReserve",
    "FlexibleIPState",
    "FlexibleIPUpdate",
    "HealthCheck",
    "HealthProtocol",
    "Held",
    "Holding",
    "HoldingPage",
    "Labels",
    "LaggingTarget",
    "LaggingTargetPage",
    "LedgerStatus",
    "Move",
    "Oldest",
    "Operation",
    "OperationError",
    "OperationPage",
    "OperationResult",
    "OperationState",
    "OperationStep",
    "Pool",
    "PoolCreate",
    "PoolPage",
    "PoolSupply",
    "PoolUpdate",
    "Prefix",
    "PrefixCreate",
    "PrefixPage",
    "Problem",
    "Quota",
    "QuotaPage",
    "QuotaPut",
    "Realized",
    "Swap",
    "Target",
    "TargetAddress",
    "TargetPage",
    "TargetPut",
    "TargetRef",
    "Waiting",
    "WaitingFor",
    "Zone",
    "ZonePage",
    "ZonePut",
)
