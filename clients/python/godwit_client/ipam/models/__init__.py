"""Contains all the data models used in inputs/outputs"""

from .address_set import AddressSet
from .adopt import Adopt
from .adopted import Adopted
from .attach import Attach
from .attachment import Attachment
from .audit_record import AuditRecord
from .audit_record_after_type_0 import AuditRecordAfterType0
from .audit_record_before_type_0 import AuditRecordBeforeType0
from .carried_prefix import CarriedPrefix
from .detach import Detach
from .family import Family
from .field_error import FieldError
from .flexible_ip import FlexibleIP
from .flexible_ip_kind import FlexibleIPKind
from .flexible_ip_labels import FlexibleIPLabels
from .flexible_ip_reserve import FlexibleIPReserve
from .flexible_ip_reserve_labels import FlexibleIPReserveLabels
from .flexible_ip_state import FlexibleIPState
from .flexible_ip_update import FlexibleIPUpdate
from .flexible_ip_update_labels_type_0 import FlexibleIPUpdateLabelsType0
from .holding import Holding
from .lagging_target import LaggingTarget
from .move import Move
from .operation import Operation
from .operation_error import OperationError
from .operation_result_type_0 import OperationResultType0
from .operation_state import OperationState
from .operation_step import OperationStep
from .page_audit_record import PageAuditRecord
from .page_flexible_ip import PageFlexibleIP
from .page_holding import PageHolding
from .page_lagging_target import PageLaggingTarget
from .page_operation import PageOperation
from .page_pool import PagePool
from .page_prefix import PagePrefix
from .page_quota import PageQuota
from .page_target import PageTarget
from .page_zone import PageZone
from .pool import Pool
from .pool_create import PoolCreate
from .pool_update import PoolUpdate
from .prefix import Prefix
from .prefix_create import PrefixCreate
from .problem import Problem
from .quota import Quota
from .quota_put import QuotaPut
from .realized import Realized
from .target import Target
from .target_address import TargetAddress
from .target_put import TargetPut
from .target_ref import TargetRef
from .waiting import Waiting
from .waiting_for import WaitingFor
from .zone import Zone
from .zone_put import ZonePut

__all__ = (
    "AddressSet",
    "Adopt",
    "Adopted",
    "Attach",
    "Attachment",
    "AuditRecord",
    "AuditRecordAfterType0",
    "AuditRecordBeforeType0",
    "CarriedPrefix",
    "Detach",
    "Family",
    "FieldError",
    "FlexibleIP",
    "FlexibleIPKind",
    "FlexibleIPLabels",
    "FlexibleIPReserve",
    "FlexibleIPReserveLabels",
    "FlexibleIPState",
    "FlexibleIPUpdate",
    "FlexibleIPUpdateLabelsType0",
    "Holding",
    "LaggingTarget",
    "Move",
    "Operation",
    "OperationError",
    "OperationResultType0",
    "OperationState",
    "OperationStep",
    "PageAuditRecord",
    "PageFlexibleIP",
    "PageHolding",
    "PageLaggingTarget",
    "PageOperation",
    "PagePool",
    "PagePrefix",
    "PageQuota",
    "PageTarget",
    "PageZone",
    "Pool",
    "PoolCreate",
    "PoolUpdate",
    "Prefix",
    "PrefixCreate",
    "Problem",
    "Quota",
    "QuotaPut",
    "Realized",
    "Target",
    "TargetAddress",
    "TargetPut",
    "TargetRef",
    "Waiting",
    "WaitingFor",
    "Zone",
    "ZonePut",
)
