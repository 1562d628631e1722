"""What is not well with an installation, from facts that were gathered. Pure: the same facts give the same findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from godwit_client import Operation
from godwit_client.ipam import models as ipam
from godwit_client.placement import models as placement

CLOCKS_APART = timedelta(seconds=2)
EXPIRES_SOON = timedelta(days=14)
OVERDUE_S = 600.0  # of an Operation that is not a zone's: a move with a large disk takes minutes
WAITS_S = 60.0  # what others wait for passes by then, or a person must act
LONG_QUEUE = 1000
LEAST_FREE = 0.05  # of a pool
AS_ASKED = "conversion.through"  # paused where somebody wanted it to


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not well: a stable code, where, in words, and what mends it."""

    code: str
    where: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A service's clock at `said`, somewhere between two readings of ours."""

    said: datetime
    before: datetime
    after: datetime

    @property
    def apart(self) -> timedelta:
        """How far it is from ours, at least."""
        return max(self.before - self.said, self.said - self.after, timedelta(0))


@dataclass
class Facts:
    """What was found out. What could not be asked is None, and `silent` says why."""

    version: str
    now: datetime
    silent: dict[str, str] = field(default_factory=dict)  # by service
    ledger: ipam.LedgerStatus | None = None
    controller: placement.ControllerStatus | None = None
    clocks: dict[str, Clock] = field(default_factory=dict)
    nodes: Sequence[placement.Node] = ()
    stuck: frozenset[str] = frozenset()  # names of nodes that have not come on between two looks
    waiting: Sequence[Operation] = ()
    conversions: Sequence[placement.Conversion] = ()
    host: Mapping[str, str] = field(default_factory=dict)  # what this kernel lacks: by feature, why


def findings(facts: Facts) -> list[Finding]:
    return [
        *_silent(facts),
        *_services(facts),
        *_queues(facts),
        *_certificates(facts),
        *_pools(facts),
        *(finding for node in facts.nodes for finding in _node(node, stuck=node.name in facts.stuck)),
        *_operations(facts),
        *_conversions(facts),
        *(
            Finding("host.kernel", feature, why, "use a kernel, or a container, that has it; see docs/compose.md")
            for feature, why in facts.host.items()
        ),
    ]


def _silent(facts: Facts) -> Iterator[Finding]:
    for service, why in facts.silent.items():
        yield Finding("api.silent", service, why, "start it, or mend the way to it; its log says why it ended")


def _services(facts: Facts) -> Iterator[Finding]:
    statuses: list[tuple[str, ipam.LedgerStatus | placement.ControllerStatus]] = []
    statuses += [("ipam", facts.ledger)] if facts.ledger else []
    statuses += [("placement", facts.controller)] if facts.controller else []
    for service, status in statuses:
        if status.version != facts.version:
            text = f"it runs version {status.version}, this command is of version {facts.version}"
            yield Finding("version.differs", service, text, "bring all to one version: docs/upgrade.md")
        if status.schema_is != status.schema_wanted:
            text = f"its database is at revision {status.schema_is}, its code is written for {status.schema_wanted}"
            yield Finding("database.revision", service, text, f"run: python -m migrations {service}")
        if not status.broker:
            remedy = "start the broker: wake-ups are lost meanwhile, and found by the next sweep"
            yield Finding("broker.silent", service, "it does not reach the broker", remedy)
        if facts.clocks[service].apart > CLOCKS_APART:
            text = f"its clock is {facts.clocks[service].apart.total_seconds():.1f} s apart from this machine's"
            yield Finding("clock.apart", service, text, "set both by NTP: tokens and certificates go by it")
        for one in status.oldest:
            if one.age_s > OVERDUE_S and not one.kind.startswith("zone."):
                text = f"the oldest {one.kind} has not been done for {one.age_s / 60:.0f} min"
                yield Finding("operation.overdue", service, text, "see what it waits for: godwit operation list")


def _queues(facts: Facts) -> Iterator[Finding]:
    for queue in facts.controller.queues if facts.controller else ():
        if not queue.workers:
            text = f"no worker listens to it; {queue.waiting} wake-ups wait"
            yield Finding("queue.unattended", queue.name, text, "start the workers: worker and migration-worker")
        elif queue.waiting > LONG_QUEUE:
            text = f"{queue.waiting} wake-ups wait for {queue.workers} workers"
            yield Finding("queue.long", queue.name, text, "start more workers, or see in their logs what holds them up")


def _certificates(facts: Facts) -> Iterator[Finding]:
    for one in facts.controller.certificates if facts.controller else ():
        if one.expires_at is None:
            yield Finding("certificate.unreadable", one.name, "it cannot be read", "put a certificate in its place")
        elif one.expires_at - facts.now < EXPIRES_SOON:
            text = f"it expires at {one.expires_at:%Y-%m-%d %H:%M} UTC"
            remedy = "issue another: agents and the controller do not speak to each other without"
            yield Finding("certificate.expires", one.name, text, remedy)


def _pools(facts: Facts) -> Iterator[Finding]:
    for pool in facts.ledger.pools if facts.ledger else ():
        if pool.free < pool.total * LEAST_FREE:  # an empty one is yet to be filled
            text = f"{pool.free} of {pool.total} are left"
            remedy = f"godwit pool add-prefix {pool.pool} PREFIX"
            yield Finding("pool.exhausted", f"{pool.zone}/{pool.pool}", text, remedy)


def _node(node: placement.Node, *, stuck: bool) -> Iterator[Finding]:
    if node.fenced or isinstance(node.fence, placement.Fence):
        remedy = f"when it is well again: godwit node unfence {node.name}"
        yield Finding("node.fenced", node.name, "the edges hold it apart", remedy)
    elif node.condition is placement.Condition.UNREACHABLE:
        text = f"its agent was last heard at {node.seen_at:%Y-%m-%d %H:%M:%S} UTC" if node.seen_at else "never heard"
        remedy = "start its agent, or mend its management network; if it is dead: docs/when-machines-fail.md"
        yield Finding("node.silent", node.name, text, remedy)
    elif stuck:
        text = f"it holds generation {node.applied_generation} of {node.generation}, and does not come on"
        remedy = f"see `godwit node show {node.name}`, and the worker's log"
        yield Finding("node.behind", node.name, text, remedy)
    if node.fabric is placement.Condition.UNREACHABLE and not node.fenced:
        yield Finding("node.no_routes", node.name, "the edges have no route of it", "see its routing daemon")
    for failure in node.failures:
        remedy = "docs/withdraw-budgets.md" if "approve" in failure else f"see {node.name}'s agent's log"
        yield Finding("node.refuses", node.name, failure, remedy)


def _operations(facts: Facts) -> Iterator[Finding]:
    for one in facts.waiting:
        if one.waiting_for and (facts.now - one.waiting_for.since).total_seconds() > WAITS_S:
            text = f"{one.kind} waits: {one.waiting_for.text} ({one.waiting_for.code})"
            yield Finding("operation.waits", one.id, text, one.waiting_for.unblock)


def _conversions(facts: Facts) -> Iterator[Finding]:
    for one in facts.conversions:
        for reason in one.paused:
            if reason.code != AS_ASKED:
                text = f"paused in {one.phase.value}: {reason.text} ({reason.code})"
                yield Finding("conversion.paused", one.zone, text, reason.remedy)
        if left := one.ports.additional_properties.get("needs_operator", 0):
            text = f"the way back of {left} ports does not get on"
            yield Finding("conversion.needs_operator", one.zone, text, f"godwit zone convert watch --zone {one.zone}")
