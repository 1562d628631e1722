"""Python client of Godwit's two APIs.

`godwit_client.ipam` and `godwit_client.placement` are generated from the services' OpenAPI documents; `connect` makes
their clients with retries, and `answer` turns what they return into a result or an exception:

    cloud = connect(ipam_url, placement_url, token)
    address = answer(get_flexible_ip.sync_detailed(fip_id, client=cloud.ipam))
"""

from godwit_client.connection import Connection, connect
from godwit_client.problems import Refused, answer
from godwit_client.transport import Patient

__all__ = ["Connection", "Patient", "Refused", "answer", "connect"]
