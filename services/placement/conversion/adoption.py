"""The guest's stage of a conversion: at its next start it takes its addresses itself."""

from __future__ import annotations

from datetime import UTC, datetime

from common.db import Transaction
from services.placement import modes
from services.placement.conversion.phases import PortState
from services.placement.model import Port
from services.placement.store import conversions, nodes


def mode_at_start(tx: Transaction, port: Port) -> str:
    """The mode in which a port starts that is stopped now."""
    zone = nodes.zone(tx, port.instance.zone)
    families = {address.prefix.version for address in port.addresses}
    return modes.at_start(port.mode, zone.stack if zone else "", families, gives_up_ipv4=port.gives_up_ipv4)


def adopt(tx: Transaction, port: Port) -> None:
    """Bring a locked port, of which no node holds anything, to the mode in which it starts."""
    mode = mode_at_start(tx, port)
    if mode == port.mode:
        return
    port.enter(mode)
    row = conversions.row_of_port(tx, port.id)
    if row is not None:
        row.state, row.reasons, row.adopted_at = PortState.ADOPTED, [], datetime.now(UTC)
    tx.session.flush()
