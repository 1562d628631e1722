"""How much may be withdrawn that nobody asked to withdraw. Pure.

What an Operation, or the owner of a target, asked for does not count; nor does what an operator approved, by the digest
of just those removals. A change over a limit is not sent: what the node holds stays, and so does what it announces.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.netagent import wire

ZONE_SHARE = 50  # one address in fifty of those that a gateway maps may be left without announcer a minute …
ZONE_LEAST = 1  # … and always this many
WINDOW = timedelta(minutes=1)


def refusal(
    node: str, held: int, unasked: Sequence[wire.EntryKey], *, alone: bool, mapped: int = 0, left: int = 0
) -> str | None:
    """Why the removals `unasked` are not sent to a node, by which limit, and the way out; None: they are.

    `held`: entries that the node holds; `alone`: nothing is put at the same time. `left`: of the `mapped` addresses of
    its zone, those whose announcement would go, or has gone so within the WINDOW.
    """
    limit = max(ZONE_LEAST, mapped // ZONE_SHARE)
    reason = wire.over_budget(held, len(unasked), alone=alone)
    if reason is not None:
        reason = f"budget of a node: {reason}"
    elif left > limit:
        reason = f"budget of a zone: {left} of {mapped} addresses would lose their announcer in a minute; {limit} may"
    if reason is None:
        return None
    return f"{reason}; {wire.way_out(node, unasked)}"
