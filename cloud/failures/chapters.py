"""Machines that fail, chapter by chapter: what their addresses do meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance, Mode

from cloud import namespaces, rawlog
from cloud.agents import ask
from cloud.failures import drifts, figures
from cloud.failures.drifts import DRIFTS, Subject
from cloud.failures.figures import WITHOUT
from cloud.failures.operator import OnCall
from cloud.site import LocalSite
from cloud.tour.customer import Customer, OperationEnded, hosts
from cloud.tour.show import Figure
from cloud.tour.story import Story
from cloud.tour.watch import Running, Watch, probing
from services.netagent.wire import Condition

PROJECT = "failures"
DOOMED, SECOND, THIRD = "hypervisor-1", "hypervisor-2", "hypervisor-3"
ROUTED, ON_NAT = 28, 12  # guests of the host that dies
OF_EACH = ("public", "public", "public", "public-v6", "public-v6")
AT_ONCE = 8
TRACED = 100  # addresses that are well
SELDOM_US = 50_000  # between two probes to one of many addresses
CUT_S, RETURN_S, CONTROL_S, CALM_S = 5.0, 3.0, 1.0, 0.5
DRAINED_AT_ONCE = 4
PATIENCE_S = 120.0
POLL_S = 0.05
UP = "up"
HTTP = 80


class Failing:
    """What fails on a site with three hypervisors; raw logs go to `logs`."""

    def __init__(self, story: Story, site: LocalSite, logs: Path) -> None:
        self._story = story
        self._site = site
        self._logs = logs
        self._customer = Customer.of(site, PROJECT)
        self._on_call = OnCall(self._customer)
        self._guests: list[Instance] = []

    def take(self) -> dict[str, Figure]:
        """All chapters, in order. Raises DomainError, Refused, Damaged."""
        self._boot()
        self._trace()
        self._management_cut()
        self._swap()
        self._process_killed()
        self._host_dead()
        self._host_returns()
        self._drain()
        return figures.figures(self._logs)

    # --- before ------------------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        self._story.chapter(f"{ROUTED + ON_NAT} guests on {DOOMED}, each routed one with {len(OF_EACH)} addresses")
        with self._story.waiting("booting guests"), ThreadPoolExecutor(AT_ONCE) as threads:
            self._customer.clean(PROJECT)
            modes = [Mode.ROUTED] * ROUTED + [Mode.NAT] * ON_NAT
            self._guests = list(threads.map(self._one, range(len(modes)), modes))
        self._story.check(self._answer(self._addresses(self._guests)), "all of their addresses answer")

    def _one(self, number: int, mode: Mode) -> Instance:
        pools = OF_EACH if mode is Mode.ROUTED else OF_EACH[:1]
        fips = [self._customer.reserve(pool) for pool in pools]
        return self._customer.create(f"web-{number + 1:02}", mode, fips, DOOMED)

    def _pair(self, name: str) -> tuple[Instance, Instance]:
        """Two guests, of which one is on the host that dies."""
        one, two = (
            self._customer.create(f"{name}-{n}", Mode.ROUTED, [], host) for n, host in enumerate((DOOMED, SECOND))
        )
        return one, two

    # --- a trace -----------------------------------------------------------------------------------------------------

    def _trace(self) -> None:
        self._story.chapter("godwit trace: drifts put into kernels by hand, each to be named")
        well = self._addresses(self._guests)[:TRACED]
        rows = [self._traced(address, WITHOUT, self._on_call.drifts(address)) for address in well]
        alarms = sum(not row.endswith(f" {WITHOUT}") for row in rows)
        self._story.check(not alarms, f"of {len(rows)} addresses that are well, {alarms} are said not to be")
        by_mode = {guest.port.mode: guest for guest in self._guests}
        for drift in DRIFTS:
            guest = by_mode[Mode(drift.mode)]
            prefix = next(one.prefix for one in guest.port.addresses if one.flexible_ip)
            subject = Subject.of(self._site, guest, prefix)
            found = drifts.traced(drift, subject, lambda p=prefix: self._on_call.drifts(p))  # type: ignore[misc]
            rows.append(self._traced(prefix, drift.code, found))
            self._story.check(found == [drift.code], f"{drift.code} at {prefix}: named {', '.join(found) or 'nothing'}")
            self._until(lambda p=prefix: not self._on_call.drifts(p), f"{drift.code} is mended")  # type: ignore[misc]
        rawlog.write(self._logs / "drifts.traces", "traces", {}, rows)

    @staticmethod
    def _traced(address: str, seeded: str, found: Sequence[str]) -> str:
        return f"t {address} {seeded} {','.join(found) or WITHOUT}"

    # --- what stays, and what moves ----------------------------------------------------------------------------------

    def _management_cut(self) -> None:
        self._story.chapter(f"{DOOMED} is cut off from the management network, for {CUT_S:.0f} s")
        with self._seldom("management", self._addresses(self._guests)) as watch:
            watch.let_run(CALM_S)
            self._site.cut(DOOMED, ["management"])
            watch.let_run(CUT_S)
            self._site.heal(DOOMED, ["management"])
            watch.let_run(CALM_S)
        self._until(lambda: self._on_call.node(DOOMED).condition.value == UP, f"{DOOMED} is heard again")
        seen = figures.loss(self._logs, "management")
        where = {guest.hypervisor for guest in self._now(self._guests)}
        self._story.check(where == {DOOMED}, "nothing was moved: silence is no evidence")
        self._story.check(not seen.lost, f"{seen.lost} of {seen.sent} probes were lost")

    def _swap(self) -> None:
        self._story.chapter("Two addresses change places, in one request")
        pair = self._pair("swap")
        fips = [self._customer.reserve("public") for _ in pair]
        for fip, one in zip(fips, pair, strict=True):
            self._customer.done(self._customer.attach(fip, one))
        addresses = [fip.address for fip in fips]
        self._until(lambda: self._answer(addresses), "both answer")
        with probing(self._site, self._logs, "swap", addresses, sample_legs=False) as watch:
            watch.let_run(CALM_S)
            self._customer.done(self._on_call.swap(fips, pair))
            watch.let_run(CALM_S)
        seen = figures.loss(self._logs, "swap")
        self._story.say(f"the longest gap of the two: {seen.gap_ms:.0f} ms")

    def _process_killed(self) -> None:
        self._story.chapter("A failover address, checked every 100 ms: its holder's process is killed")
        one, _ = pair = self._pair("process")
        fip = self._guarded(pair, HTTP)
        with self._failing_over("process", fip, pair) as watch:
            watch.let_run(CALM_S)
            for process in namespaces.pids_in(self._site.network(one.name)):
                os.kill(process, signal.SIGKILL)

    def _host_dead(self) -> None:
        self._story.chapter(f"{DOOMED} loses its power: first a failover address, then all it had")
        pair = self._pair("host")
        fip = self._guarded(pair)
        addresses = self._addresses(self._guests)
        with self._seldom("evacuation", addresses) as watch:
            with self._failing_over("host", fip, pair):
                self._site.power(DOOMED, on=False)
            fenced = self._on_call.fence(DOOMED, "its supervisor has switched it off")
            watch.event("fenced")
            self._customer.done(fenced, PATIENCE_S)
            self._customer.done(self._on_call.evacuate(DOOMED), PATIENCE_S)
            self._comes_true(lambda: self._answer(addresses))
            watch.let_run(CALM_S)
        back = figures.evacuated_ms(self._logs)
        last = max(back.values(), default=0.0)
        said = f"{len(back)} of {len(addresses)} addresses answer elsewhere, the last {last:.0f} ms after the fence"
        self._story.check(len(back) == len(addresses), said)
        self._guests = self._now(self._guests)

    def _host_returns(self) -> None:
        self._story.chapter(f"{DOOMED} returns, with all that it knew")
        addresses = self._addresses(self._guests)
        with self._seldom("returning", addresses, legs_of=DOOMED) as watch:
            watch.let_run(CALM_S)
            self._site.power(DOOMED, on=True)
            watch.let_run(RETURN_S)
            self._customer.done(self._on_call.unfence(DOOMED), PATIENCE_S)
            watch.let_run(RETURN_S)
        lost, sent = figures.stolen(self._logs, "returning")
        self._story.check(not lost, f"it stole {lost:.0f} of {sent} packets")
        guest = next(one for one in self._guests if one.port.mode is Mode.ROUTED)
        prefix = next(one.prefix for one in guest.port.addresses if one.flexible_ip)
        with self._seldom("overtaking", hosts(guest, 4), legs_of=DOOMED) as watch:
            watch.let_run(CALM_S)
            steal = next(drift for drift in DRIFTS if drift.code == "announcer.second")
            steal.seed(Subject.of(self._site, guest, prefix))
            watch.let_run(CONTROL_S)
        self._until(lambda: not self._on_call.drifts(prefix), f"{prefix} is its holder's alone again")
        lost, sent = figures.stolen(self._logs, "overtaking")
        self._story.check(lost > 0, f"with a newer sequence than the holder's it would: {lost:.0f} of {sent} packets")

    def _drain(self) -> None:
        self._story.chapter(f"{SECOND} is drained, {DRAINED_AT_ONCE} moves at a time")
        self._guests = self._now(self._guests)
        there = [guest for guest in self._guests if guest.hypervisor == SECOND]
        probed = next(guest for guest in there if guest.port.mode is Mode.ROUTED)
        addresses = self._addresses([probed])
        began = time.monotonic()
        with probing(self._site, self._logs, "drain", addresses, sample_legs=False) as watch:
            watch.let_run(CALM_S)
            self._customer.done(self._on_call.drain(SECOND, DRAINED_AT_ONCE), PATIENCE_S)
            watch.let_run(CALM_S)
        seen = figures.loss(self._logs, "drain")
        left = [guest for guest in self._now(self._guests) if guest.hypervisor == SECOND]
        self._story.check(not left, f"{len(there)} guests have left in {time.monotonic() - began:.1f} s")
        self._story.check(not seen.lost, f"{seen.lost} of {seen.sent} probes to {len(addresses)} addresses were lost")
        self._on_call.undrain(SECOND)

    # --- failing over ------------------------------------------------------------------------------------------------

    def _guarded(self, pair: tuple[Instance, Instance], port: int | None = None) -> FlexibleIP:
        fip = self._on_call.guarded_address(*pair, port)
        self._until(lambda: self._found_up(fip.address), f"{fip.address} is found up")
        return fip

    def _found_up(self, address: str) -> bool:
        states = ask(self._site.plan, "edge", lambda client: client.health_checks())
        return any(str(one.address) == address and one.condition is Condition.UP for one in states)

    @contextmanager
    def _failing_over(self, name: str, fip: FlexibleIP, pair: tuple[Instance, Instance]) -> Iterator[Watch]:
        """Probe it until the other candidate has it and answers."""
        with probing(self._site, self._logs, name, [fip.address], sample_legs=False) as watch:
            yield watch
            self._until(lambda: self._held_by(fip, pair[1]), f"{fip.address} has failed over")
            self._until(lambda: self._answer([fip.address]), f"{fip.address} answers again")
        seen = figures.loss(self._logs, name)
        self._story.check(seen.lost > 0, f"{fip.address} answers from the next candidate after {seen.gap_ms:.0f} ms")

    def _held_by(self, fip: FlexibleIP, by: Instance) -> bool:
        now = self._customer.address(fip.id)
        held = now.attachment if now.state.value == "attached" else None
        return held is not None and held.target.id == by.id

    # --- asking ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _seldom(self, name: str, addresses: Sequence[str], legs_of: str | None = None) -> Iterator[Watch]:
        """Probe many addresses; with `legs_of`, count what a hypervisor sends to guests meanwhile."""
        watch = Watch()
        asked = ["--interval-us", str(SELDOM_US), *addresses]
        with Running(self._site, "internet", "udp", *asked, log=self._logs / f"{name}.probe"):
            if legs_of is None:
                yield watch
            else:
                with Running(self._site, legs_of, "legs", log=self._logs / f"{name}.legs"):
                    yield watch
        rawlog.write(self._logs / f"{name}.events", "events", {}, watch.rows)

    def _now(self, of: Sequence[Instance]) -> list[Instance]:
        by_id = {one.id: one for one in self._customer.instances()}
        return [by_id[one.id] for one in of]

    @staticmethod
    def _addresses(of: Sequence[Instance]) -> list[str]:
        """All public addresses, as guests have them."""
        return [host for guest in of for version in (4, 6) for host in hosts(guest, version)]

    def _answer(self, addresses: Sequence[str]) -> bool:
        """Whether each answers an echo."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            ping = lambda host: self._site.exec("internet", ["ping", "-c1", "-W1", host]).returncode == 0  # noqa: E731
            return all(threads.map(ping, addresses))

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        """Raises OperationEnded if it does not come to that in time."""
        if not self._comes_true(holds):
            raise OperationEnded(f"not so after {PATIENCE_S / 2:.0f} s: {what}")

    @staticmethod
    def _comes_true(holds: Callable[[], bool]) -> bool:
        ends = time.monotonic() + PATIENCE_S / 2
        while not (so := holds()) and time.monotonic() < ends:
            time.sleep(POLL_S)
        return so
