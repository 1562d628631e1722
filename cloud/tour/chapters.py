"""The tour itself, chapter by chapter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from godwit_client.ipam.models import FlexibleIP
from godwit_client.placement.models import Instance, Mode

from cloud import measure
from cloud.site import Site
from cloud.tour import isolation
from cloud.tour.customer import Customer, hosts
from cloud.tour.figures import Measured
from cloud.tour.isolation import Cast
from cloud.tour.moves import Moved, measured_move
from cloud.tour.reattach import measured_reattachments
from cloud.tour.story import Story
from cloud.tour.watch import Running

PROJECT = "tour"
POOL4, POOL6 = "public", "public-v6"
REPAIRED_WITHIN_S = 20.0
ANSWERS_WITHIN_S = 5.0


class Tour:
    """One tour of one site; raw logs go to `logs`."""

    def __init__(self, story: Story, site: Site, logs: Path) -> None:
        self._story = story
        self._site = site
        self._logs = logs
        self._customer = Customer.of(site, PROJECT)
        self._found = Measured()

    def take(self) -> Measured:
        """All chapters, in order. Raises DomainError, Refused."""
        self._customer.clean(PROJECT)
        web_address, first6 = self._reserve()
        with Running(self._site, "internet", "echo-tcp"):
            web = self._nat(web_address)
            web = self._nat_move(web, web_address)
        self._elsewhere(web, web_address)
        api = self._routed(first6)
        spare = self._create("spare", Mode.ROUTED, (POOL4, POOL6))
        self._reattach(api, spare)
        self._isolated(self._customer.instance(api.id), self._customer.instance(spare.id))
        return self._found

    # --- the NAT stack -----------------------------------------------------------------------------------------------

    def _reserve(self) -> tuple[FlexibleIP, FlexibleIP]:
        self._story.chapter("Reserve an IPv4 and an IPv6")
        four = self._customer.reserve(POOL4, "web")
        six = self._customer.reserve(POOL6, "api-v6")
        self._story.say(f"{four.address} from pool {four.pool}, {six.address} from pool {six.pool}")
        self._story.check(four.state.value == six.state.value == "reserved", "both are reserved, attached to nothing")
        return four, six

    def _nat(self, fip: FlexibleIP) -> Instance:
        self._story.chapter("Boot an instance on the NAT stack")
        web = self._customer.create("web", Mode.NAT, [fip])
        inner = next(a.host.partition("/")[0] for a in web.port.addresses if not a.flexible_ip and "." in a.host)
        self._story.say(f"web runs on {web.hypervisor}; inside it is {inner}, outside {fip.address}")
        self._reachable(fip.address)
        outside = self._internet(4)
        self._ping("web", outside, f"web pings {outside} in the internet")
        self._story.check(self._talks("web", outside), f"web talks TCP to {outside}")
        return web

    def _nat_move(self, web: Instance, fip: FlexibleIP) -> Instance:
        self._story.chapter("Move it, under a probe every millisecond")
        moved = measured_move(self._story, self._site, self._customer, self._logs, "nat_move", web, [fip.address])
        if moved is None:
            return self._customer.instance(web.id)
        self._found = replace(self._found, nat_move=moved.loss)
        self._tell(web, moved)
        return moved.instance

    def _elsewhere(self, web: Instance, fip: FlexibleIP) -> None:
        self._story.chapter("Stop it, start it elsewhere")
        stopped = self._customer.changed(self._customer.stop(web))
        state = self._customer.address(fip.id).state.value
        self._story.check(stopped.hypervisor is None, f"web is {stopped.state.value} and takes no room anywhere")
        size = f", of {stopped.archive.size_bytes} bytes," if stopped.archive else ""
        self._story.check(bool(stopped.archive), f"its disk{size} lies in the object store")
        self._story.check(state in {"attached", "attaching"}, f"{fip.address} is still its own")
        self._story.check(not self._answers("internet", fip.address, 1), f"{fip.address} answers nobody meanwhile")
        others = [node for node in self._site.nodes("hypervisor") if node != web.hypervisor]
        web = self._customer.changed(self._customer.start(stopped, others[0]))
        self._story.say(f"web runs on {web.hypervisor} now")
        self._reachable(fip.address)

    # --- the routed stack --------------------------------------------------------------------------------------------

    def _routed(self, six: FlexibleIP) -> Instance:
        self._story.chapter("Boot an instance on the routed stack, with two IPv4 and an IPv6 of its own")
        fours = [self._customer.reserve(POOL4, name) for name in ("api-1", "api-2")]
        api = self._customer.create("api", Mode.ROUTED, [*fours, six])
        addresses = [*hosts(api, 4), *hosts(api, 6)]
        self._story.say(f"api runs on {api.hypervisor} and owns {', '.join(addresses)}")
        for address in addresses:
            self._reachable(address)
        self._story.chapter("Move it, with a TCP connection open and three probes every millisecond")
        tcp_to = addresses[0]
        moved = measured_move(
            self._story, self._site, self._customer, self._logs, "routed_move", api, addresses, tcp_to
        )
        if moved is None:
            return self._customer.instance(api.id)
        self._found = replace(self._found, routed_move=moved.loss)
        self._tell(api, moved)
        connection = moved.connection
        if connection is not None:
            longest = f"{connection.lines} lines, longest wait {connection.longest_stall_ms:.0f} ms"
            self._story.check(connection.survived, f"its TCP connection lived on: {longest}")
        self._story.check(moved.loss.lost == 0, "no probe was lost")
        return moved.instance

    def _reattach(self, api: Instance, spare: Instance) -> None:
        self._story.chapter("Hand one address from one instance to the other, and back, again and again")
        fip = self._customer.reserve(POOL4, "floating")
        self._customer.done(self._customer.attach(fip, api))
        self._story.say(f"{fip.address} is on api ({api.hypervisor}); spare runs on {spare.hypervisor}")
        found = measured_reattachments(self._story, self._site, self._customer, self._logs, fip, api, spare)
        if found is None:
            return
        self._found = replace(self._found, reattachments=found)
        times = [one.to_packet_ms for one in found]
        middle, most = measure.percentile(times, 0.5), measure.percentile(times, 0.99)
        self._story.say(
            f"from the API's request to the first packet: half within {middle:.0f} ms, all within {most:.0f} ms"
        )

    # --- isolation ---------------------------------------------------------------------------------------------------

    def _isolated(self, near: Instance, far: Instance) -> None:
        self._story.chapter("An isolated guest reaches nobody, whoever it says it is")
        if near.hypervisor == far.hypervisor:
            far = self._customer.changed(self._customer.move(far))
        jail = self._customer.create("jail", Mode.ISOLATED, hypervisor=str(near.hypervisor))
        cast = Cast(jail, near, far, self._internet(4), self._internet(6))
        self._story.say(f"jail runs beside {near.name} on {jail.hypervisor}; {far.name} on {far.hypervisor}")
        self._story.check(not self._answers("jail", self._internet(4), 1), "jail cannot ping the internet")
        self._story.say(f"now it takes the addresses of {near.name}, then of {far.name}; routes are bent towards it")
        isolated = isolation.attempt(self._site, self._logs, "isolated", cast, lifted=False)
        self._found = replace(self._found, isolated=isolated)
        self._story.check(isolated[0] == 0, f"{isolated[0]} of {isolated[1]} packets arrived, from it or at it")
        control = isolation.attempt(self._site, self._logs, "isolated_control", cast, lifted=True)
        self._found = replace(self._found, isolated_control=control)
        self._story.check(control[0] > 0, f"the same without its link's guard: {control[0]} of {control[1]} arrived")
        for flow in isolation.unseen(self._logs, "isolated_control"):
            self._story.say(f"the control saw nothing of {flow}")
        repaired = self._until(lambda: isolation.guarded(self._site, cast), REPAIRED_WITHIN_S)
        self._story.check(repaired, "the agent has put the guard back by itself")
        after = isolation.attempt(self._site, self._logs, "isolated_again", cast, lifted=False)
        self._story.check(after[0] == 0, f"{after[0]} of {after[1]} packets arrive again")

    # --- asking the network ------------------------------------------------------------------------------------------

    def _reachable(self, address: str) -> None:
        self._ping("internet", address, f"the internet pings {address}")
        self._story.check(self._talks("internet", address), f"and talks TCP to it: {self._host_name(address)} answers")

    def _ping(self, place: str, address: str, text: str) -> None:
        self._story.check(self._until(lambda: self._answers(place, address, 1), ANSWERS_WITHIN_S), text)

    def _answers(self, place: str, address: str, within_s: int) -> bool:
        argv = ["ping", "-n", "-q", "-c", "1", "-W", str(within_s), address]
        return self._site.exec(place, argv).returncode == 0

    def _talks(self, place: str, address: str) -> bool:
        """Whether a TCP connection from there is echoed."""
        argv = [self._site.python, "-m", "cloud.probe", "tcp", "--seconds", "0.1", address]
        return self._site.exec(place, argv).returncode == 0

    def _host_name(self, address: str) -> str:
        """What the guest at `address` calls itself, by HTTP."""
        host = f"[{address}]" if ":" in address else address
        code = f"import urllib.request as u; print(u.urlopen('http://{host}/', timeout=3).read().decode())"
        answer = self._site.exec("internet", [self._site.python, "-c", code]).stdout
        return str(json.loads(answer)["name"]) if answer.strip() else "nobody"

    def _internet(self, version: int) -> str:
        """An address of `internet`."""
        rows = json.loads(self._site.exec("internet", ["ip", "-json", "address", "show", "scope", "global"]).stdout)
        family = "inet6" if version == 6 else "inet"
        return next(str(a["local"]) for row in rows for a in row.get("addr_info", []) if a["family"] == family)

    def _until(self, holds: Callable[[], bool], within_s: float) -> bool:
        ends = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > ends:
                return False
        return True

    def _create(self, name: str, mode: Mode, pools: tuple[str, ...]) -> Instance:
        held = [self._customer.reserve(pool, f"{name}-{number}") for number, pool in enumerate(pools, 1)]
        return self._customer.create(name, mode, held)

    def _tell(self, before: Instance, moved: Moved) -> None:
        loss = moved.loss
        where = f"{before.name} moved to {moved.instance.hypervisor}"
        self._story.say(f"{where}: {loss.lost} of {loss.sent} probes lost, longest gap {loss.gap_ms:.1f} ms")
