"""`godwit zone convert` and `instance convert`, on the real services: what a person reads, and what bad input gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from godwit_client import Connection, ipam, placement
from structlog.testing import capture_logs

from cli.access import VARIABLES
from cli.main import run
from tests.functional.controller import AUDIENCE, Controller, running
from tests.functional.ledger import Ledger, ok
from tests.functional.test_zone_conversion import guests, modes, plan, say

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


@pytest.fixture
def godwit(cloud: Controller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `godwit ARGUMENT…` against the services of this process: exit code, standard output, standard error."""

    def within(_ipam_url: str, _placement_url: str, token: str) -> Connection:
        def options(http: httpx.Client) -> dict[str, object]:
            return {"transport": http._transport}

        return Connection(
            ipam.AuthenticatedClient(base_url="http://ipam", token=token, httpx_args=options(cloud.ledger.http)),
            placement.AuthenticatedClient(base_url="http://placement", token=token, httpx_args=options(cloud.http)),
        )

    monkeypatch.setattr("cli.session.connect", within)

    def command(*arguments: str, project: str = "cloud", role: str = "operator") -> tuple[int, str, str]:
        token = cloud.ledger.issuer.token("olga", project, role, audience=AUDIENCE)
        for name, value in zip(VARIABLES, ("http://ipam", "http://placement", token), strict=True):
            monkeypatch.setenv(name, value)
        cloud.hear()
        capsys.readouterr()  # what the services of this process logged until now, and below what they log meanwhile
        with capture_logs():
            code = run(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def refused(cloud: Controller, godwit: Command, *arguments: str, code: str, role: str = "operator") -> str:
    """Insist on one line that ends with `code`, and on a database that has not changed; the line."""
    before = cloud.contents()
    exit_code, out, err = godwit(*arguments, role=role)
    (line,) = err.splitlines()
    assert (exit_code, out) == (1, ""), line
    assert line.endswith(f" ({code})"), line
    assert cloud.contents() == before
    return line


def test_a_plan_tells_waves_findings_and_every_address(cloud: Controller, godwit: Command) -> None:
    ours = guests(cloud, 2)
    cloud.instance("bare", mode="nat")
    code, out, err = godwit("zone", "convert", "plan", "zone-a", "--through", "canary", "--soak", "60")
    assert (code, err) == (0, "")
    for item in ours:
        for address in item["port"]["addresses"]:
            (row,) = (line for line in out.splitlines() if f" {address['prefix']} " in line)
            assert row.rstrip().endswith("ends at the seal" if address["prefix"].startswith("10.") else "stays")
    (warned,) = (line for line in out.splitlines() if "precheck.no_ipv4" in line)
    assert warned.split()[:3] == ["bare", "red", "warns"]
    assert "attach one, or let its owner accept that" in warned
    assert "godwit zone convert start zone-a" in out
    (kept,) = cloud.get("/conversions")["items"]
    assert (kept["through"], kept["soak_s"]) == ("canary", 60)


def test_a_plan_chooses_its_waves(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 4)
    code, out, _ = godwit(
        "zone", "convert", "plan", "zone-a", "--canary", "1", "--wave", "50%", "--wave", "1", "--json"
    )
    assert code == 0
    assert [wave["ports"] for wave in json.loads(out)["waves"]] == [{"waiting": 1}, {"waiting": 2}, {"waiting": 1}]
    refused(cloud, godwit, "zone", "convert", "plan", "zone-a", "--wave", "half", code="request.invalid")


def test_a_plan_that_is_only_looked_at_changes_nothing(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    before = cloud.contents()
    code, out, _ = godwit("zone", "convert", "plan", "zone-a", "--validate-only", "--json")
    assert code == 0
    assert len(json.loads(out)["planned"]) == 1
    assert cloud.contents() == before


def test_watching_ends_with_what_came_of_it(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 2)
    planned = plan(cloud, through="canary")
    refused(cloud, godwit, "zone", "convert", "watch", "zone-a", code="placement.conversion.phase")
    say(cloud, planned, "start")
    code, out, err = godwit("zone", "convert", "watch", "zone-a")
    assert (code, err) == (0, ""), "it is where it was asked to go"
    assert out.splitlines()[0] == "canary: verified 2"
    assert "<canary>" in out
    assert "as far as asked for: canary (conversion.through)" in out
    refused(
        cloud, godwit, "zone", "convert", "resume", "zone-a", "--through", "dual", code="placement.conversion.phase"
    )

    say(cloud, planned, "abort")
    code, _, err = godwit("zone", "convert", "watch", "zone-a")
    assert (code, err) == (3, "godwit: the conversion was aborted (conversion.aborted)\n")


def test_a_person_pauses_with_a_reason_that_others_read(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    ok(cloud.post(f"/conversions/{plan(cloud)['id']}:start", {}, "operator"))
    code, out, _ = godwit("zone", "convert", "pause", "zone-a", "--reason", "lunch")
    assert code == 0
    assert "lunch (conversion.asked)" in out
    code, _, err = godwit("zone", "convert", "watch", "zone-a")
    assert (code, err) == (3, "godwit: paused in planned: lunch: resume it (conversion.asked)\n")


def test_a_pause_that_nobody_asked_for_is_exit_code_three(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    cloud.fleet["gateway-1"].cut = True
    say(cloud, plan(cloud), "start")
    code, out, err = godwit("zone", "convert", "watch", "zone-a", "--json")
    assert code == 3
    (line,) = out.splitlines()
    assert json.loads(line)["paused"][0]["code"] == "conversion.stale"
    assert "gateway-1" in err
    assert "mend these nodes" in err
    assert err.rstrip().endswith("(conversion.stale)")


def test_a_zone_without_a_node_that_can_is_refused(cloud: Controller, godwit: Command) -> None:
    ok(cloud.request("operator", "PUT", "/zones/zone-b", json={"region": "region-1", "stack": "nat"}))
    refused(cloud, godwit, "zone", "convert", "plan", "zone-b", code="placement.conversion.no_dual_node")
    refused(cloud, godwit, "zone", "convert", "watch", "zone-b", code="placement.conversion.unknown")
    refused(cloud, godwit, "zone", "convert", "plan", "zone-c", code="placement.zone.unknown")
    refused(cloud, godwit, "zone", "convert", "start", "zone-c", code="placement.zone.unknown")


def test_a_phase_that_it_does_not_come_through_is_refused(cloud: Controller, godwit: Command) -> None:
    refused(cloud, godwit, "zone", "convert", "plan", "zone-a", "--through", "aborting", code="request.invalid")


def test_a_second_conversion_is_refused(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    say(cloud, plan(cloud, through="dual"), "start")
    refused(cloud, godwit, "zone", "convert", "plan", "zone-a", code="placement.conversion.exists")
    refused(cloud, godwit, "zone", "convert", "start", "zone-a", code="placement.conversion.phase")


def test_a_seal_before_the_soak_is_refused(cloud: Controller, godwit: Command) -> None:
    (web,) = guests(cloud, 1)
    say(cloud, plan(cloud, through="canary"), "start")
    cloud.act(web, "restart", who="red")
    refused(cloud, godwit, "zone", "convert", "seal", "zone-a", "--yes", code="placement.conversion.soak")
    private = next(one["prefix"] for one in web["port"]["addresses"] if one["prefix"].startswith("10."))
    cloud.pass_time(604_800)
    code, out, _ = godwit("zone", "convert", "seal", "zone-a", "--yes")
    assert code == 0
    assert "sealed 1" in out
    assert private not in str(cloud.contents()["node_address"])


def test_without_being_asked_nothing_is_sealed_or_aborted(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    say(cloud, plan(cloud, through="canary"), "start")
    before = cloud.contents()
    for word in ("seal", "abort"):
        code, _, err = godwit("zone", "convert", word, "zone-a")
        assert code == 2
        assert err.rstrip().endswith("(confirmation.missing)")
    assert cloud.contents() == before


def test_a_member_may_neither_plan_nor_resume(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 1)
    say(cloud, plan(cloud, through="dual"), "start")
    for word in ("plan", "start", "pause", "resume", "watch"):
        refused(cloud, godwit, "zone", "convert", word, "zone-a", code="auth.role_missing", role="member")


def test_a_stale_plan_is_refused_and_names_the_instance(cloud: Controller, godwit: Command) -> None:
    guests(cloud, 2)
    plan(cloud)
    late = cloud.instance("late", mode="nat")
    line = refused(cloud, godwit, "zone", "convert", "start", "zone-a", code="placement.conversion.plan_stale")
    assert "late" in line
    assert "godwit zone convert plan zone-a" in line
    plan(cloud)
    cloud.act(late, "stop")
    assert "late" in refused(
        cloud, godwit, "zone", "convert", "start", "zone-a", code="placement.conversion.plan_stale"
    )
    assert set(modes(cloud).values()) == {"nat"}


def test_another_projects_instance_is_not_there_to_convert(cloud: Controller, godwit: Command) -> None:
    (web,) = guests(cloud, 1)
    arguments = ("instance", "convert", web["id"])
    refused(cloud, godwit, *arguments, code="placement.instance.unknown", role="member")


def test_an_owner_reads_what_will_become_of_an_instance(cloud: Controller, godwit: Command) -> None:
    (web,) = guests(cloud, 1)
    before = cloud.contents()
    code, out, err = godwit("instance", "convert", "guest-0", "--validate-only", project="red", role="member")
    assert (code, err) == (0, "")
    for address in web["port"]["addresses"]:
        (row,) = (line for line in out.splitlines() if address["prefix"] in line)
        assert row.rstrip().endswith("ends at the seal" if address["prefix"].startswith("10.") else "stays")
    assert cloud.contents() == before
