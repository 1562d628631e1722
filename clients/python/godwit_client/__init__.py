"""Python client of Godwit's two APIs.

`godwit_client.ipam` and `godwit_client.placement` are generated from the services' OpenAPI documents; beside them is
what no generator gives. `connect` makes both clients, patient ones, and `answer` turns what they return into a result
or an exception:

    cloud = connect(ipam_url, placement_url, token)
    address = answer(get_flexible_ip.sync_detailed(fip_id, client=cloud.ipam))
"""

from godwit_client.connection import Connection, connect, from_environment
from godwit_client.operations import (
    Operation,
    OperationFailed,
    OperationUnfinished,
    is_final,
    read_operation,
    resource_id,
    wait,
    watch,
)
from godwit_client.paging import Page, every
from godwit_client.problems import Refused, answer, etag
from godwit_client.transport import Patient

__all__ = [
    "Connection",
    "Operation",
    "OperationFailed",
    "OperationUnfinished",
    "Page",
    "Patient",
    "Refused",
    "answer",
    "connect",
    "etag",
    "every",
    "from_environment",
    "is_final",
    "read_operation",
    "resource_id",
    "wait",
    "watch",
]
