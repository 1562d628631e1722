"""Moving an instance while every millisecond a probe is sent to each of its addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from godwit_client.placement.models import Instance

from cloud import measure, rawlog
from cloud.measure import Connection, Loss
from cloud.site import Site
from cloud.tour.customer import Customer, link_name
from cloud.tour.story import Story
from cloud.tour.watch import legs, probing

BEFORE_S = 2.6  # enough for 5,000 probes to one address, and for more than 1,000 on either leg
AFTER_S = 2.6
TRIES = 4


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that was measured: the instance where it is now, what was lost, and its TCP connection."""

    instance: Instance
    loss: Loss
    connection: Connection | None


def measured_move(
    story: Story,
    site: Site,
    customer: Customer,
    logs: Path,
    name: str,
    one: Instance,
    addresses: Sequence[str],
    tcp_to: str | None = None,
) -> Moved | None:
    """Move `one` to any other hypervisor under probes; again while the figures may not be believed, four times at most.

    None when none of them may: the story then says so.
    """
    for attempt in range(1, TRIES + 1):
        source = one.hypervisor
        before = legs(site, link_name(one))
        with (
            story.waiting(f"probing {', '.join(addresses)} every millisecond") as more,
            probing(site, logs, name, addresses, tcp_to) as watch,
        ):
            watch.let_run(BEFORE_S)
            more("moving")
            watch.event("requested")
            one = customer.changed(customer.move(one))
            watch.event("realised")
            watch.let_run(AFTER_S)
        after = legs(site, link_name(one))
        story.check(before == [source], f"before, exactly one hypervisor has a leg to it: {', '.join(before)}")
        story.check(after == [one.hypervisor], f"after, exactly one hypervisor has a leg to it: {', '.join(after)}")
        reasons = doubts(logs, name)
        if not reasons:
            seen = measure.loss_of(rawlog.read(logs / f"{name}.probe", "probe"))
            connection = measure.connections(rawlog.read(logs / f"{name}.tcp", "tcp"))[0] if tcp_to else None
            return Moved(one, seen, connection)
        again = "measuring again" if attempt < TRIES else "giving up"
        story.say(f"that does not count, {again}: {'; '.join(reasons)}")
    story.check(False, f"{name}: {TRIES} moves, and not one that was measured well enough")
    return None


def doubts(logs: Path, name: str) -> list[str]:
    """Why the figures of the move that left these logs may not be reported."""
    probes = measure.tracks(rawlog.read(logs / f"{name}.probe", "probe"))
    span = measure.window(measure.events(rawlog.read(logs / f"{name}.events", "events")))
    packets = {
        path.name.split(".")[1]: measure.on_leg(rawlog.read(path, "legs"))
        for path in sorted(logs.glob(f"{name}.*.legs"))
    }
    return measure.why_not(probes, span, packets)
