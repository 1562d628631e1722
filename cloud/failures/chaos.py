"""`make chaos`: a cloud is worked with, broken at random for a while, and must come to rest as asked for.

Three at once, each with chance of its own from the seed: customers who change instances and addresses; machines that
are drained, or lose their power and are evacuated; and somebody who kills every process of the cloud in turn, again and
again. The seed deals the same deeds, not the same moments. Probes watch addresses that nobody touches, on a host that
stays up.

The machine it runs on must be left alone: one that stalls for 150 ms looks to BFD like two dead gateways, and addresses
behind the central NAT lose packets until their sessions are back.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random, SystemRandom

from godwit_client import Operation, Refused, is_final, read_operation
from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance, InstanceState, Mode, MoveKind

from cloud import measure, operations, rawlog
from cloud.failures.operator import OnCall
from cloud.operations import CloudStatus, Progress
from cloud.plan import ANNOUNCEMENTS, Stack
from cloud.processes import BIRD
from cloud.site import LocalSite
from cloud.tour import show
from cloud.tour.customer import Customer, hosts
from cloud.tour.show import Figure, Show
from cloud.tour.story import Story
from cloud.tour.watch import Watch, probing

PROJECT, BYSTANDERS = "chaos", "bystanders"
RESTLESS, QUIET = ("hypervisor-1", "hypervisor-2"), "hypervisor-3"  # the last is neither drained nor switched off
ROUTED, ON_NAT, FLOATING = 4, 3, 4
CUSTOMERS = 4  # at once: a request waits while who is to answer it comes back
SETTLES_S = 180.0
POLL_S = 0.2
NONE = "-"  # in a log: nothing was found


def recovered(site: LocalSite, process: str) -> bool:
    """Whether a killed process has found its place again: a routing daemon has its sessions, and is done recovering."""
    if not process.startswith(f"{BIRD}-"):
        return True
    node = process.removeprefix(f"{BIRD}-")
    control = ["birdc", "-s", str(site.paths.bird / f"{node}.ctl"), "show"]
    sessions = [line for line in site.exec(node, [*control, "protocols"]).stdout.splitlines() if " BGP " in line]
    recovering = "recovery" in site.exec(node, [*control, "status"]).stdout
    return bool(sessions) and all("Established" in line for line in sessions) and not recovering


class Asked:
    """Operations as they are asked for, and what was refused instead: a refusal changes nothing, and is no fault."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.operations: list[Operation] = []
        self.kinds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def ask(self, request: Callable[[], Operation]) -> Operation | None:
        try:
            operation = request()
        except Refused as refused:
            self.refused[refused.code] += 1
            return None
        self.operations.append(operation)
        self.kinds[operation.kind] += 1
        self._watch.event("asked", operation.id, operation.kind)
        return operation


class Customers:
    """Changes instances and addresses of one project, whatever state they are in."""

    def __init__(self, customer: Customer, asked: Asked, random: Random, guarded: FlexibleIP) -> None:
        self._customer, self._on_call = customer, OnCall(customer)
        self._asked, self._random, self._guarded = asked, random, guarded

    def act(self) -> None:
        """One request. Raises Refused."""
        random, customer = self._random, self._customer
        mine = [one for one in customer.instances() if one.project == PROJECT]
        fips = [one for one in customer.addresses(PROJECT) if one.kind.value == "standard" and one.name]
        one, fip = random.choice(mine), random.choice(fips)
        routed = [other for other in mine if other.port.mode is Mode.ROUTED]
        to, held = random.choice(routed), [(f, f.attachment) for f in fips if f.attachment is not None]
        deeds: dict[Callable[[], Operation], int] = {
            lambda: customer.move(one): 5,
            lambda: customer.move(one, kind=MoveKind.COLD): 2,
            lambda: self._start_or_stop(one): 3,
            lambda: self._convert_or_revert(random.choice([o for o in mine if o.port.mode is not Mode.ROUTED])): 3,
            lambda: customer.detach(fip) if fip.attachment else customer.attach(fip, to): 4,
            lambda: self._on_call.fail_over(self._guarded): 2,
        }
        if fip.attachment is not None:
            source = next((o for o in routed if o.id == fip.attachment.target.id), to)
            deeds[lambda: customer.move_address(fip, source, to)] = 3
        if len(held) > 1:
            first, second = random.sample(held, 2)
            by_id = {o.id: o for o in routed}
            if first[1].target.id in by_id and second[1].target.id in by_id:
                pair = [by_id[h[1].target.id] for h in (first, second)]
                deeds[lambda: self._on_call.swap([first[0], second[0]], pair)] = 2
        self._asked.ask(random.choices(list(deeds), list(deeds.values()))[0])

    def _start_or_stop(self, one: Instance) -> Operation:
        stopped = one.state is InstanceState.ARCHIVED
        return self._customer.start(one) if stopped else self._customer.stop(one)

    def _convert_or_revert(self, one: Instance) -> Operation:
        return self._customer.convert(one) if one.port.mode is Mode.NAT else self._customer.revert(one)


class Machines:
    """Drains hosts, or takes their power, fences and evacuates them; and lets them in again, each time."""

    def __init__(self, site: LocalSite, customer: Customer, asked: Asked, watch: Watch, random: Random) -> None:
        self._site, self._on_call, self._api = site, OnCall(customer), customer.api
        self._asked, self._watch, self._random = asked, watch, random

    def act(self) -> None:
        host = self._random.choice(RESTLESS)
        if self._random.random() < 0.5:
            drain = self._asked.ask(lambda: self._on_call.drain(host, 2))
            if drain is not None:
                self._ended(drain)
                self._on_call.undrain(host)
            return
        self._watch.event("off", host)
        self._site.power(host, on=False)
        try:
            if self._ended(self._asked.ask(lambda: self._on_call.fence(host, "chaos"))):
                self._ended(self._asked.ask(lambda: self._on_call.evacuate(host)))
        finally:
            self._site.power(host, on=True)
            self._watch.event("on", host)
        self._ended(self._asked.ask(lambda: self._on_call.unfence(host)))

    def _ended(self, operation: Operation | None) -> bool:
        return operation is not None and until(lambda: is_final(read_operation(self._api, operation.id)))


class Killer:
    """Kills each process of the cloud, in an order that chance deals out; then again."""

    def __init__(self, site: LocalSite, watch: Watch, random: Random) -> None:
        self._site, self._watch, self._random = site, watch, random
        self._dealt: list[str] = []
        self.killed: dict[str, int] = {}

    def act(self) -> None:
        if not self._dealt:
            self._dealt = sorted(process.name for process in self._site.processes())
            self._random.shuffle(self._dealt)
        process = self._dealt.pop()
        killed = self._site.kill(process)
        if killed is None:  # its machine is off, or it died of another's death and is not back yet
            return
        self.killed[process] = killed
        self._watch.event("killed", process)
        until(lambda: recovered(self._site, process), within_s=10.0)


def until(holds: Callable[[], bool], within_s: float = SETTLES_S) -> bool:
    """Poll; whether it came to hold in time."""
    ends = time.monotonic() + within_s
    while not (so := holds()) and time.monotonic() < ends:
        time.sleep(POLL_S)
    return so


class Chaos:
    """What is done to a site with three hypervisors for `seconds`; raw logs go to `logs`."""

    def __init__(self, story: Story, site: LocalSite, logs: Path, seed: int, seconds: float) -> None:
        self._story, self._site, self._logs = story, site, logs
        self._seed, self._seconds = seed, seconds
        self._customer = Customer.of(site, PROJECT)
        self._on_call = OnCall(self._customer)

    def take(self) -> dict[str, Figure]:
        """Raises DomainError, Refused, Damaged."""
        untouched, guarded = self._boot()
        self._story.chapter(f"Chaos for {self._seconds:.0f} s, of seed {self._seed}")
        with probing(self._site, self._logs, "chaos", untouched, sample_legs=False) as watch:
            asked, killer = Asked(watch), Killer(self._site, watch, self._chance("killer"))
            machines = Machines(self._site, self._customer, asked, watch, self._chance("machines"))
            customers = [
                Customers(self._customer, asked, self._chance(f"customer {number}"), guarded)
                for number in range(CUSTOMERS)
            ]
            with ThreadPoolExecutor(CUSTOMERS + 2) as threads:
                acts = [(machines.act, 5.0), (killer.act, 1.5), *((one.act, 0.5) for one in customers)]
                at_work = [
                    threads.submit(self._go_on, act, self._chance(f"pauses {number}"), pause_s)
                    for number, (act, pause_s) in enumerate(acts)
                ]
            for one in at_work:
                one.result()
            self._story.say(f"killed {len(killer.killed)} processes, some of them more than once")
            self._story.say(f"asked for {', '.join(f'{kind} {count}' for kind, count in sorted(asked.kinds.items()))}")
            self._story.say(
                f"refused: {', '.join(f'{code} {n}' for code, n in sorted(asked.refused.items())) or 'nothing'}"
            )
            self._settle(watch, asked, killer)
        return figures(self._logs)

    def _chance(self, whose: str) -> Random:
        return Random(f"{self._seed} {whose}")  # noqa: S311  to be played again, not to be guessed

    def _go_on(self, act: Callable[[], None], chance: Random, pause_s: float) -> None:
        ends = time.monotonic() + self._seconds
        while time.monotonic() < ends:
            act()
            time.sleep(chance.uniform(0.2, 1.8) * pause_s)

    def _boot(self) -> tuple[list[str], FlexibleIP]:
        """Bystanders, whom nobody touches, and their addresses; and those who are to see change."""
        self._story.chapter("Guests on three hypervisors")
        apart = Customer.of(self._site, BYSTANDERS)
        for customer, project in ((self._customer, PROJECT), (apart, BYSTANDERS)):
            customer.clean(project)
        still = [
            apart.create("still-nat", Mode.NAT, [apart.reserve("public")], QUIET),
            apart.create("still-routed", Mode.ROUTED, [apart.reserve(p) for p in ("public", "public-v6")], QUIET),
        ]
        mine = self._customer
        for number in range(ROUTED + ON_NAT):
            mode = Mode.ROUTED if number < ROUTED else Mode.NAT
            fips = [mine.reserve(pool) for pool in (("public", "public-v6") if mode is Mode.ROUTED else ("public",))]
            mine.create(f"web-{number}", mode, fips, RESTLESS[number % 2])
        for number in range(FLOATING):
            mine.reserve("public", name=f"floating-{number}")
        pair = [mine.create(f"pair-{number}", Mode.ROUTED, [], host) for number, host in enumerate(RESTLESS)]
        guarded = self._on_call.guarded_address(pair[0], pair[1])
        return [host for one in still for version in (4, 6) for host in hosts(one, version)], guarded

    # --- at rest -----------------------------------------------------------------------------------------------------

    def _settle(self, watch: Watch, asked: Asked, killer: Killer) -> None:
        """Wait for all that is under way, and look at what it has come to."""
        self._story.chapter("At rest")
        for process, number in killer.killed.items():
            self._site.wait_running(process, not_pid=number)
            watch.event("returned", process)
        for operation in asked.operations:
            ended = until(lambda one=operation: is_final(read_operation(self._customer.api, one.id)))  # type: ignore[misc]
            now = read_operation(self._customer.api, operation.id)
            waits = now.waiting_for.code if now.waiting_for else NONE
            watch.event(*(("ended", operation.id, now.state.value) if ended else ("unended", operation.id, waits)))
        running = {one.id: one for one in self._customer.instances() if one.hypervisor is not None}
        for fip in self._customer.addresses(PROJECT):
            self._look_at(watch, fip, running.get(fip.attachment.target.id) if fip.attachment else None)

    def _look_at(self, watch: Watch, fip: FlexibleIP, holder: Instance | None) -> None:
        """Whether its address is as it is asked to be, as kernels and a person on the internet see it."""
        until(lambda: not self._on_call.drifts(fip.address))
        watch.event("traced", fip.address, ",".join(self._on_call.drifts(fip.address)) or NONE)
        prefix = f"{fip.address}/32" if fip.family.value == "ipv4" else fip.address
        watch.event("announced", fip.address, str(len(self._announcers(prefix))))
        if holder is None:
            return
        host = next((one.host.partition("/")[0] for one in holder.port.addresses if one.flexible_ip == fip.id), None)
        ping = ["ping", "-n", "-q", "-c", "1", "-W", "1", str(host)]
        replies = host is not None and until(lambda: self._site.exec("internet", ping).returncode == 0, 30.0)
        watch.event("answered" if replies else "silent", fip.address)

    def _announcers(self, prefix: str) -> list[str]:
        version = "-6" if ":" in prefix else "-4"
        shown = ["ip", version, "route", "show", "table", str(ANNOUNCEMENTS), prefix]
        return [node for node in self._site.nodes("hypervisor") if self._site.exec(node, shown).stdout.strip()]


UNTOUCHED, SECOND, DRIFTS = "chaos_untouched_lost_packets", "chaos_second_announcers", "chaos_trace_drifts"
ENDED, BACK, ANSWERING = "chaos_operations_ended", "chaos_processes_back", "chaos_addresses_answering"
KILLS = "chaos_kills"


def figures(logs: Path) -> dict[str, Figure]:
    """By key: value and n, from raw logs. Raises Damaged when they may not be reported."""
    happened = measure.events(rawlog.read(logs / "chaos.events", "events"))
    seen = measure.loss_of(rawlog.read(logs / "chaos.probe", "probe"))
    by_name: dict[str, list[Sequence[str]]] = {}
    for event in happened:
        by_name.setdefault(event.name, []).append(event.detail)
    count = {name: len(details) for name, details in by_name.items()}
    killed = {process for process, *_ in by_name.get("killed", ())}
    announced = [int(number) for _, number in by_name.get("announced", ())]
    answered = count.get("answered", 0)
    return {
        KILLS: (count.get("killed", 0), len(killed)),
        BACK: (count.get("returned", 0), len(killed)),
        ENDED: (count.get("ended", 0), count.get("asked", 0)),
        ANSWERING: (answered, answered + count.get("silent", 0)),
        DRIFTS: (sum(codes != NONE for _, codes in by_name.get("traced", ())), count.get("traced", 0)),
        SECOND: (sum(number > 1 for number in announced), len(announced)),
        UNTOUCHED: (seen.lost, seen.sent),
    }


def shortfalls(table: Mapping[str, Figure]) -> list[str]:
    """What is not as promised, a line each."""
    found = [f"{key} is {table[key][0]:g}, not 0" for key in (DRIFTS, SECOND, UNTOUCHED) if table[key][0]]
    found += [
        f"{key} is {table[key][0]:g} of {table[key][1]}"
        for key in (BACK, ENDED, ANSWERING)
        if table[key][0] < table[key][1]
    ]
    return found + [f"{key} is of none" for key, (_, n) in table.items() if not n]


def row(key: str, figure: Figure) -> list[str]:
    counted = {KILLS: "processes", BACK: "processes", ENDED: "operations", UNTOUCHED: "probes"}
    return [key, f"{figure[0]:g}", f"{figure[1]} {counted.get(key, 'addresses')}"]


def chaos(seed: int, seconds: float) -> Show[LocalSite]:
    return Show(
        take=lambda story, site, logs: Chaos(story, site, logs, seed, seconds).take(),
        row=row,
        shortfalls=shortfalls,
        checker="cloud.failures.chaos_checker",
    )


def _start(name: str, progress: Progress) -> CloudStatus:
    return operations.up(name, [3], [2], progress, stack=Stack.DUAL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cloud.failures.chaos", description=__doc__)
    parser.add_argument("--name", default="chaos", help="the cloud to start, or to use if it runs")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it is broken")
    parser.add_argument("--seed", type=int, default=None, help="that chance begins from; by default any")
    parser.add_argument("--report", type=Path, default=Path("build/chaos.json"))
    asked = parser.parse_args()
    seed = SystemRandom().getrandbits(32) if asked.seed is None else asked.seed
    return show.run(chaos(seed, asked.seconds), show.local(asked.name, _start), asked.report, keep=False)


if __name__ == "__main__":
    sys.exit(main())
