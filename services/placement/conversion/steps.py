"""The steps of one port's conversion, there and back. Pure: facts in, a decision out.

Both paths of an address are live at once while it is switched: first the new way in, then the new way out, and only
then is the old one taken away (make before break). The way back walks the same stages down. Stages are ordered: each
holds all that the one before it holds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Stage(enum.IntEnum):
    """How much of the new path a port has. The names are those of the port state machine of a conversion."""

    NAT = 0  # the central gateways rewrite, both ways
    PREPARED = 1  # its hypervisor can rewrite inbound packets; nothing sends them there yet
    ANNOUNCED = 2  # the public address is announced from its hypervisor
    OUTBOUND = 3  # its hypervisor rewrites outbound packets too; the gateways' mapping is still there
    SWITCHED = 4  # the gateways' mapping is off: mode `hostnat`


@dataclass(frozen=True, slots=True)
class Path:
    """What of a port's address is programmed where."""

    mapping: bool  # at the gateways
    inbound: bool  # rewrite at the hypervisor
    announced: bool  # by the hypervisor
    outbound: bool  # rewrite at the hypervisor


def path(stage: Stage) -> Path:
    """What `stage` asks of the nodes. A port in mode `nat` is at NAT, one in mode `hostnat` at SWITCHED."""
    return Path(
        mapping=stage < Stage.SWITCHED,
        inbound=stage >= Stage.PREPARED,
        announced=stage >= Stage.ANNOUNCED,
        outbound=stage >= Stage.OUTBOUND,
    )


CONVERT, REVERT = "convert", "revert"
CONVERSIONS = frozenset({CONVERT, REVERT})
"""Kinds of the claim a conversion holds on a port while it is between two modes."""

SETTLE_S = 1.0  # longer than the worst transit to a gateway: both paths are live, so waiting costs nothing


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a stage is judged."""

    hypervisor_pending: str | None = None  # why its hypervisor does not yet hold what the stage asks; None: it does
    gateways_pending: str | None = None  # the same of every gateway that announces
    edge_sends_here: bool = False  # the edge's kernel sends every address of the port to its hypervisor
    settled_s: float = 0.0  # since all of the above were first seen to hold at this stage
    verdict: str | None = None  # SWITCHED: why it does not answer as it did; None: it does


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to `stage`."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and say for what. `settling`: nothing is missing but time."""

    code: str
    text: str
    settling: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The end of this direction is reached."""


Decision = Advance | Wait | Done


def forward(stage: Stage, facts: Facts) -> Decision:
    """What follows `stage` on the way to `hostnat`. A dead gateway holds up nothing: its mapping is hygiene."""
    if facts.hypervisor_pending:
        return Wait("conversion.hypervisor", facts.hypervisor_pending)
    if stage is Stage.ANNOUNCED and not facts.edge_sends_here:
        return Wait("conversion.edge", "the edge does not yet send the address to its hypervisor")
    if stage is Stage.OUTBOUND and facts.settled_s < SETTLE_S:
        return Wait("conversion.settling", "packets on their way still need the gateways' mapping", settling=True)
    if stage is Stage.SWITCHED:
        if facts.verdict:
            return Wait("conversion.verdict", facts.verdict)
        return Done()
    return Advance(Stage(stage + 1))


def backward(stage: Stage, facts: Facts) -> Decision:
    """What follows `stage` on the way back. The gateways' mapping is on, read back, before anything else is undone."""
    if stage is Stage.SWITCHED:
        return Advance(Stage.OUTBOUND)
    if stage is Stage.OUTBOUND and facts.gateways_pending:
        return Wait("conversion.gateways", facts.gateways_pending)
    if facts.hypervisor_pending:
        return Wait("conversion.hypervisor", facts.hypervisor_pending)
    if stage is Stage.PREPARED:
        if facts.edge_sends_here:
            return Wait("conversion.edge", "the edge still sends the address to its hypervisor")
        if facts.settled_s < SETTLE_S:
            return Wait("conversion.settling", "packets on their way still need the rewrite", settling=True)
    return Done() if stage is Stage.NAT else Advance(Stage(stage - 1))
