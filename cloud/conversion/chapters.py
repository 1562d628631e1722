"""A zone's way off the central NAT, chapter by chapter: there, back, and there again to the end."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from godwit_client.placement.models import ConversionPlan, Mode, Phase, PortConversion, PortState

from cloud import rawlog
from cloud.conversion import dump, figures, guests, sabotage
from cloud.conversion.counters import Counters
from cloud.conversion.guests import Guest
from cloud.conversion.killer import FORWARD, MOVING, Killer, Timelines
from cloud.conversion.operator import Operator, count, in_words
from cloud.conversion.traffic import Prober, attending, connected, probing
from cloud.site import LocalSite
from cloud.tour.customer import Customer, OperationEnded
from cloud.tour.show import Figure
from cloud.tour.story import Story
from cloud.tour.watch import Watch

PROJECT = "convert"
GUESTS, OTHERS = 60, 5
IN_FLIGHT = 10  # ports between two modes while losses are counted
WAVES = ["9", "10"]  # after the canary's
OTHERS_US = 20_000  # between two probes to a guest of the other zone
AHEAD = 4  # ports probed on the way back before it is their turn
KILLS_A_WAVE = 2
BACKWARD = ("outbound", "prepared")  # where the worker is killed on the way back
SOAK_S = 3
PATIENCE_S = 600.0  # a bound, on a busy machine
PATH_S = 1.5  # between two samples of counters: more than ten probes to each port
CONTROL_S = 0.5
SETTLED_S = 1.0
POLL_S = 0.05
ANSWER_WITHIN_S = 20.0


class Crossing:
    """One zone's conversion on a site with two; raw logs go to `logs`."""

    def __init__(self, story: Story, site: LocalSite, logs: Path) -> None:
        self._story = story
        self._site = site
        self._logs = logs
        self._customer = Customer.of(site, PROJECT)
        self._operator = Operator(self._customer)
        self._watch = Watch()
        self._guests: list[Guest] = []

    def take(self) -> dict[str, Figure]:
        """All chapters, in order. Raises DomainError, Refused, Damaged."""
        others = self._boot()
        with probing(self._site, self._log("other.probe"), others, OTHERS_US):
            self._wrong_entry()
            self._look("before")
            self._there_and_back()
            self._to_the_end()
            self._without_gateways()
        self._strays("after")
        rawlog.write(self._log("convert.events"), "events", {}, self._watch.rows)
        return figures.figures(self._logs)

    # --- before ------------------------------------------------------------------------------------------------------

    def _boot(self) -> list[Guest]:
        first, second = self._site.zones
        self._story.chapter(f"{GUESTS} guests on the central NAT of {first}, {OTHERS} on that of {second}")
        other_customer = Customer.of(self._site, PROJECT, zone=second)
        with self._story.waiting("booting guests"):
            self._customer.clean(PROJECT)
            self._guests = guests.boot(self._site, self._customer, "web", GUESTS)
            others = guests.boot(self._site, other_customer, "other", OTHERS)
        one = self._guests[0]
        self._story.say(f"{one.name}: inside {one.private}, outside {one.public} by a gateway; IPv6 {one.legacy}")
        self._counters = Counters(self._site, first, self._guests)
        self._counters.install()
        self._strays("before")
        self._story.check(self._named("before"), "each answers at its IPv4 and its IPv6, by its own name")
        self._story.say(f"from here on {second} is probed all the time: there, nothing may change")
        return others

    def _wrong_entry(self) -> None:
        self._story.chapter("Would a wrong tenant be seen? A wrong entry, put into the gateways' tables by hand")
        victim, wrong = self._guests[:2]
        log = self._log("wrong_entry.probe")
        with attending(self._site, log, [victim]) as prober:
            prober.attend([victim])
            for gateway in self._gateways:
                sabotage.flip(self._site, gateway, victim.public, wrong.private)
            self._watch.let_run(CONTROL_S)
            for gateway in self._gateways:
                sabotage.flip(self._site, gateway, victim.public, victim.private)
        seen = figures.strayed(log)
        self._story.check(seen > 0, f"yes: {seen} probes to {victim.name} were answered by {wrong.name}")

    def _look(self, when: str, of: Collection[str] | None = None, *, past_gateways: bool = False) -> None:
        """Count by which way packets go, to and from the guests of these names."""
        log = self._log(f"{when}.paths")
        with probing(self._site, self._log(f"{when}.path.probe"), self._guests):
            self._counters.watch(log, PATH_S)
        named = {guest.name for guest in self._guests} if of is None else set(of)
        ways = [way for way in figures.ways(log) if way.guest in named]
        by_gateways, direct = sum(way.by_gateways > 0 for way in ways), sum(way.direct > 0 for way in ways)
        right = (by_gateways, direct) == ((0, len(named)) if past_gateways else (len(named), 0))
        said = f"{by_gateways} exchange packets by a gateway, {direct} by their own hypervisor alone"
        self._story.check(right, f"of {len(named)} guests, {said}")

    # --- there, and back ---------------------------------------------------------------------------------------------

    def _there_and_back(self) -> None:
        self._story.chapter("Plan")
        dump.write(self._site, self._customer, PROJECT, self._log("before.dump"))
        plan = self._operator.plan(Phase.WAVES, IN_FLIGHT, waves=WAVES)
        self._tell(plan)
        with (
            connected(self._site, self._log("streams.tcp"), self._guests, self._internet),
            attending(self._site, self._log("switches.probe"), self._guests) as prober,
        ):
            *whole, last = self._turns(plan)
            switched = self._waves(plan, whole, prober)
            self._look("switched", switched, past_gateways=True)
            self._story.chapter("Half-way, with a wave on its way: abort")
            self._under_way(plan, last, prober)
            self._abort(plan, prober)
            self._watch.let_run(SETTLED_S)
        seen = figures.loss(self._log("switches.probe"))
        said = f"{seen.lost} of {seen.sent} probes were lost, {seen.duplicates} answered twice"
        self._story.check(seen.lost == seen.duplicates == 0, f"there and back: {said}")
        self._look("rolled_back")
        self._compare()

    def _tell(self, plan: ConversionPlan) -> None:
        sizes = ", ".join(str(sum(wave.ports.to_dict().values())) for wave in plan.waves)
        self._story.say(f"{len(plan.planned)} ports in waves of {sizes}")
        blocked = [port for port in plan.planned if any(found.effect.value == "blocks" for found in port.findings)]
        warned = sum(bool(port.findings) for port in plan.planned)
        self._story.check(not blocked, f"nothing stands against it; {warned} owners have something to know")
        self._story.check(plan.addresses_changed == 0, "no public and no IPv6 address will change")

    def _turns(self, plan: ConversionPlan) -> list[list[Guest]]:
        """Who is to be switched together: waves, until half of the zone is."""
        by_name = {guest.name: guest for guest in self._guests}
        found: list[list[Guest]] = []
        for wave in plan.waves:
            found.append([by_name[port.name] for port in plan.planned if port.wave == wave.number])
            if 2 * sum(map(len, found)) >= len(by_name):
                break
        return found

    def _waves(self, plan: ConversionPlan, turns: Sequence[list[Guest]], prober: Prober) -> list[str]:
        """Take these turns, one after the other. The names of the guests that were switched."""
        self._story.chapter("Off the NAT, wave by wave, and the worker is killed on the way")
        timelines = Timelines(self._customer)
        killer = Killer(self._site, timelines, list(FORWARD))
        for number, due in enumerate(turns, 1):
            self._wave(plan, number, due, prober, killer)
        timelines.write(self._log("forward.timelines"))
        rest = f", but not after {', '.join(killer.left)}" if killer.left else ""
        self._story.check(not killer.left, f"it was killed after each kind of commit{rest}, and another went on")
        return [guest.name for due in turns for guest in due]

    def _wave(self, plan: ConversionPlan, number: int, due: list[Guest], prober: Prober, killer: Killer) -> None:
        """Let the conversion take these ports, then pause it: the next are to be probed before it takes them."""
        begun, paused = time.monotonic(), False
        struck: list[str] = []
        self._take_up(plan, due, prober)
        with self._story.waiting(f"wave {number}") as more:
            while True:
                rows = self._rows(plan, due)
                killer.timelines.know(rows)
                if not paused and all(row.state != PortState.WAITING for row in rows):
                    self._operator.pause(plan.id, "the next ports are to be probed first")
                    paused = True
                if paused and not any(row.state.value in MOVING for row in rows):
                    break
                if paused and len(struck) < KILLS_A_WAVE and (stage := killer.stalk(rows)):
                    self._watch.event("killed", stage)
                    struck.append(stage)
                more(states(rows))
                in_time(begun, f"wave {number}: {states(rows)}")
                time.sleep(POLL_S)
        done = sum(row.state == PortState.VERIFIED for row in rows)
        said = f"wave {number}: {done} of {len(due)} switched in {time.monotonic() - begun:.1f} s"
        after = f", the worker killed after {' and '.join(struck)}" if struck else ""
        self._story.check(done == len(due), said + after)

    def _take_up(self, plan: ConversionPlan, due: list[Guest], prober: Prober) -> None:
        """Start the conversion, or resume it, with these ports under probes."""
        prober.attend(due)
        if self._operator.conversion(plan.id).operation:
            self._operator.resume(plan.id, Phase.WAVES)
        else:
            self._operator.start(plan.id)

    def _rows(self, plan: ConversionPlan, of: Sequence[Guest]) -> list[PortConversion]:
        names = {guest.name for guest in of}
        return [row for row in self._operator.ports(plan.id) if row.name in names]

    def _under_way(self, plan: ConversionPlan, due: list[Guest], prober: Prober) -> None:
        """Take up a wave, and leave it when its first port sends by its own hypervisor."""
        begun = time.monotonic()
        timelines = Timelines(self._customer)
        self._take_up(plan, due, prober)
        while not timelines.reached("outbound"):
            timelines.know(self._rows(plan, due[:1]))
            in_time(begun, f"{due[0].name} is not on its way")

    def _abort(self, plan: ConversionPlan, prober: Prober) -> None:
        timelines = Timelines(self._customer)
        killer = Killer(self._site, timelines, list(BACKWARD))
        struck: list[str] = []
        rows = self._operator.ports(plan.id)
        begun, converted = time.monotonic(), [row.name for row in rows if row.state != PortState.WAITING]
        self._watch.event("aborted")
        conversion = self._operator.abort(plan.id)
        with self._story.waiting("aborting") as more:
            while conversion.phase != Phase.ABORTED:
                prober.attend(self._next_back(rows))
                timelines.know(row for row in rows if row.state.value in MOVING)
                if stage := killer.stalk([row for row in rows if row.state == PortState.ROLLING_BACK]):
                    self._watch.event("killed", f"back:{stage}")
                    struck.append(stage)
                more(in_words(conversion))
                in_time(begun, in_words(conversion))
                time.sleep(POLL_S)
                rows, conversion = self._operator.ports(plan.id), self._operator.conversion(plan.id)
        took = time.monotonic() - begun
        prober.attend([])
        timelines.know(row for row in rows if row.name in converted)
        timelines.write(self._log("rollback.timelines"))
        left = [one.name for one in self._customer.instances() if one.name in converted and one.port.mode != Mode.NAT]
        said = f"{len(converted)} ports are back in {took:.1f} s"
        after = f", the worker killed after {' and '.join(struck)} on the way" if struck else ""
        self._story.check(not left, said + after)

    def _next_back(self, rows: Sequence[PortConversion]) -> list[Guest]:
        """Ports that are on their way back, and those that are taken next."""
        by_name = {guest.name: guest for guest in self._guests}
        moving = [by_name[row.name] for row in rows if row.state.value in MOVING]
        converted = [by_name[row.name] for row in rows if row.state == PortState.VERIFIED]
        return (moving + sorted(converted, key=lambda guest: guest.port))[: IN_FLIGHT + AHEAD]

    def _compare(self) -> None:
        dump.write(self._site, self._customer, PROJECT, self._log("after.dump"))
        different = figures.differences(self._log("before.dump"), self._log("after.dump"))
        lines = len(rawlog.read(self._log("before.dump"), "dump").lines)
        self._story.check(not different, f"everything is as it was: {len(different)} of {lines} rows differ")
        for line in different[:10]:
            self._story.say(line)

    # --- and to the end ----------------------------------------------------------------------------------------------

    def _to_the_end(self) -> None:
        self._story.chapter("Again. First the order of one switch reversed: would its loss be seen?")
        plan = self._operator.plan(
            Phase.DUAL, len(self._guests), restarts_guests=True, soak_s=SOAK_S, canary=[], waves=["100%"]
        )
        self._operator.start(plan.id)
        self._operator.until(plan.id, lambda seen: bool(seen.paused), PATIENCE_S)
        self._reversed(self._guests[0])
        self._all_at_once(plan, self._guests[1:])
        self._adopt(plan)
        self._seal(plan)

    def _reversed(self, guest: Guest) -> None:
        """Hold a switch where only the way in is new, and take the old way out from it.

        What holds it is the edge's agent, which is stopped: without its word no port goes on from `announced`.
        """
        edge = self._site.agent(self._site.nodes("edge", self._site.zone)[0])
        log = self._log("reversed_order.probe")
        timelines = Timelines(self._customer)
        begun = time.monotonic()
        with attending(self._site, log, [guest]) as prober:
            prober.attend([guest])
            operation = self._customer.convert(self._customer.instance(guest.id))
            self._await(guest, operation.id, timelines, "prepared", begun)
            self._site.kill(edge, "SIGSTOP")
            try:
                self._await(guest, operation.id, timelines, "announced", begun)
                for gateway in self._gateways:
                    sabotage.take_off(self._site, gateway, guest.public, guest.private)
                self._watch.let_run(CONTROL_S)
                early = timelines.reached("outbound")
            finally:
                self._site.kill(edge, "SIGCONT")
            self._customer.done(operation, PATIENCE_S)
            self._watch.let_run(CONTROL_S)
        timelines.write(self._log("reversed_order.timelines"))
        self._story.check(
            not early, f"{guest.name} is announced and not yet rewritten on its way out, the gateways are off"
        )
        lost = figures.loss(log).lost
        self._story.check(lost > 0, f"yes: {lost} probes were lost")

    def _await(self, guest: Guest, operation_id: str, timelines: Timelines, stage: str, begun: float) -> None:
        timelines.read(guest.name, operation_id)
        while not timelines.reached(stage):
            in_time(begun, f"{guest.name} is not at {stage}")

    def _all_at_once(self, plan: ConversionPlan, due: Sequence[Guest]) -> None:
        self._story.chapter("Then all others at once")
        timelines = Timelines(self._customer)
        with (
            connected(self._site, self._log("together.tcp"), due, self._internet),
            probing(self._site, self._log("together.probe"), due),
        ):
            self._operator.resume(plan.id, Phase.WAVES)
            with self._story.waiting(f"{len(due)} ports in flight") as more:
                ended = self._operator.until(plan.id, lambda seen: bool(seen.paused), PATIENCE_S, more)
            self._watch.let_run(SETTLED_S)
        timelines.know(self._operator.ports(plan.id))
        timelines.write(self._log("together.timelines"))
        self._look("switched_again", past_gateways=True)
        rate, ports = figures.rate(self._log("together.timelines"))
        probed = figures.loss(self._log("together.probe"))
        self._story.check(ports == len(due), f"{ports} ports, {rate:.1f} a second: {in_words(ended)}")
        self._story.say(f"{probed.lost} of {probed.sent} probes were lost")

    def _adopt(self, plan: ConversionPlan) -> None:
        self._story.chapter("No new NAT, the tail: guests are restarted and take their addresses themselves")
        self._operator.resume(plan.id, Phase.DONE)
        with self._story.waiting("converting") as more:
            ended = self._operator.until(
                plan.id, lambda seen: bool(seen.paused) or seen.phase == Phase.DONE, PATIENCE_S, more
            )
        adopted = count(ended, PortState.ADOPTED)
        self._story.check(ended.phase == Phase.DONE, f"the conversion is {in_words(ended)}")
        self._story.check(adopted == len(self._guests), f"{adopted} of {len(self._guests)} guests own their addresses")

    def _seal(self, plan: ConversionPlan) -> None:
        self._story.chapter("Seal: the 10.x are free, there is no way back")
        self._watch.let_run(SOAK_S)
        sealed = self._operator.seal(plan.id)
        rows = self._operator.ports(plan.id)
        rawlog.write(self._log("sealed.ports"), "ports", {}, [f"p {row.name} {row.state.value}" for row in rows])
        done = count(sealed, PortState.SEALED)
        self._story.check(done == len(self._guests), f"{done} of {len(self._guests)} ports are sealed")

    def _without_gateways(self) -> None:
        self._story.chapter(f"The gateways of {self._site.zone} are switched off")
        for gateway in self._gateways:
            self._site.power(gateway, on=False)
        self._story.check(self._named("after"), "every guest answers, at the addresses it always had")

    # --- asking the network ------------------------------------------------------------------------------------------

    def _named(self, when: str) -> bool:
        """Whether at each public and IPv6 address the guest answers whose it was. Leaves a log of who does."""
        ends = time.monotonic() + ANSWER_WITHIN_S
        while wrong := guests.ask_names(self._site, self._log(f"{when}.answerers"), self._guests):
            if time.monotonic() > ends:
                self._story.say(f"not so at {', '.join(wrong[:10])}")
                return False
        return True

    def _strays(self, when: str) -> None:
        rawlog.write(self._log(f"{when}.strays"), "strays", {}, self._counters.strays())

    @property
    def _gateways(self) -> list[str]:
        return self._site.nodes("gateway", self._site.zone)

    @property
    def _internet(self) -> str:
        return str(self._site.plan.uplink.address4.ip)

    def _log(self, name: str) -> Path:
        return self._logs / name


def states(rows: Sequence[PortConversion]) -> str:
    """For a person to read."""
    found: dict[str, int] = {}
    for row in rows:
        found[row.state.value] = found.get(row.state.value, 0) + 1
    return ", ".join(f"{number} {state}" for state, number in found.items())


def in_time(begun: float, what: str) -> None:
    """Raises OperationEnded when it has been waited for long enough."""
    if time.monotonic() > begun + PATIENCE_S:
        raise OperationEnded(f"not done after {PATIENCE_S:.0f} s: {what}")
