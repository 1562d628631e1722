"""What a conversion will do to a port, said beforehand."""

from __future__ import annotations

from services.placement import modes, wire
from services.placement.model import Port


def predict(port: Port) -> wire.Prediction:
    """What a conversion will do to a port: no public and no IPv6 address changes; the 10.x ends at the seal."""
    families = {address.prefix.version for address in port.addresses}
    at_start = modes.at_start(modes.HOSTNAT, "routed", families, gives_up_ipv4=port.gives_up_ipv4)
    flexible = {address.prefix for address in port.addresses}
    held = [one.prefix for one in port.node_addresses if one.prefix not in flexible]
    kept = [*flexible, *(prefix for prefix in held if prefix.version == 6)]
    return wire.Prediction(
        mode=wire.Mode.HOSTNAT,
        mode_after_restart=wire.Mode(at_start),
        gap_ms=0,
        addresses=[
            *(wire.PredictedAddress(before=str(prefix), after=str(prefix)) for prefix in sorted(kept, key=str)),
            *(
                wire.PredictedAddress(before=str(prefix), after=None, ends_at="seal")
                for prefix in held
                if prefix.version == 4
            ),
        ],
    )
