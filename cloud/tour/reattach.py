"""One address, handed back and forth between two instances: how soon does the new holder answer?"""

from __future__ import annotations

import time
from pathlib import Path

from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance

from cloud import measure, rawlog
from cloud.measure import MIN_REPETITIONS, Repetition
from cloud.probe.echo import SIGNED_ECHO_PORT
from cloud.site import Site
from cloud.tour.customer import Customer
from cloud.tour.story import Story
from cloud.tour.watch import Running, Watch, probing

NAME = "reattach"
SETTLE_S = 0.25
SPARE = 5  # a few more than needed: one during which the sender stalled does not count
TRIES = 2


def measured_reattachments(
    story: Story, site: Site, customer: Customer, logs: Path, fip: FlexibleIP, holder: Instance, other: Instance
) -> list[Repetition] | None:
    """Move `fip` between the two under probes until 20 times can be believed. None when they cannot."""
    address = fip.address
    signed = ("--port", str(SIGNED_ECHO_PORT))
    for attempt in range(1, TRIES + 1):
        with (
            Running(site, holder.name, "echo", address, *signed, "--name", holder.name),
            Running(site, other.name, "echo", address, *signed, "--name", other.name),
            story.waiting(f"re-attaching {address}") as more,
            probing(site, logs, NAME, [address], port=SIGNED_ECHO_PORT, sample_legs=False) as watch,
        ):
            watch.let_run(SETTLE_S)
            for number in range(MIN_REPETITIONS + SPARE):
                more(f"{number + 1} of {MIN_REPETITIONS + SPARE}, to {other.name}")
                _hand_over(customer, watch, number, fip, holder, other)
                holder, other = other, holder
                watch.let_run(SETTLE_S)
        found = _repetitions(logs)
        good = [one for one in found if one.believable]
        if len(good) < len(found):
            story.say(f"the sender stalled during {len(found) - len(good)} of {len(found)}: those do not count")
        if len(good) >= MIN_REPETITIONS:
            return good
        story.say("too few are left" + (", measuring again" if attempt < TRIES else ""))
    story.check(False, f"fewer than {MIN_REPETITIONS} re-attachments were measured well enough")
    return None


def _hand_over(
    customer: Customer, watch: Watch, number: int, fip: FlexibleIP, holder: Instance, other: Instance
) -> None:
    asked_ns = time.monotonic_ns()
    operation = customer.move_address(fip, holder, other)
    watch.event("requested", str(number), other.name, at_ns=asked_ns)
    customer.done(operation)
    watch.event("realised", str(number))


def _repetitions(logs: Path) -> list[Repetition]:
    (track,) = measure.tracks(rawlog.read(logs / f"{NAME}.probe", "probe"))
    return measure.repetitions(track, measure.events(rawlog.read(logs / f"{NAME}.events", "events")))
