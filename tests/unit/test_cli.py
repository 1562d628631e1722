"""The command line before any API is asked: help, usage, where the APIs are, tokens."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli import find, main
from cli.access import VARIABLES, Source
from cli.main import run
from cli.problems import CommandError, NotFound, Usage
from common.auth import Verifier
from common.errors import Conflict

GROUPS = ("ip", "pool", "quota", "zone", "node", "hypervisor", "flavor", "instance", "operation", "token", "cloud")


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "GODWIT_CLOUD", "GODWIT_PROJECT", "GODWIT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("cloud.state.names", list)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error, which must be one line of the agreed form."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("godwit: ")
    assert line.endswith(")")
    return line


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_help_for_each_of_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Commands" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["frob"],
        ["ip", "frob"],
        ["ip", "list", "--frob"],
        ["ip", "attach", "198.18.0.1"],
        ["ip", "list", "--family", "ipv5"],
        ["instance", "create", "web"],
        ["token", "create", "--lifetime", "9999999"],
        ["token", "create", "--role", "king"],
        ["cloud", "up", "--hypervisors", "many"],
        ["cloud", "up", "--hypervisors", "0"],
        ["cloud", "up", "--gateways", "2,"],
        ["cloud", "up", "--zones", "9"],
        ["cloud", "up", "--stack", "tripled"],
        ["zone", "convert", "plan"],
        ["zone", "convert", "plan", "zone-a", "--through", "someday"],
        ["zone", "convert", "plan", "zone-a", "--in-flight", "0"],
        ["zone", "convert", "plan", "zone-a", "--failure-budget", "-1"],
        ["zone", "convert", "plan", "zone-a", "--soak", "a week"],
        ["zone", "convert", "frob", "zone-a"],
    ],
)
def test_wrong_usage_is_one_line_and_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    one_line(capsys)


def test_without_a_cloud_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ip", "list"]) == 1
    line = one_line(capsys)
    assert "godwit cloud up" in line
    assert line.endswith("(cloud.none)")


def test_a_half_set_environment_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GODWIT_TOKEN", "x")
    assert run(["ip", "list"]) == 2
    assert "GODWIT_IPAM_URL and GODWIT_PLACEMENT_URL" in one_line(capsys)


def test_the_environment_says_where_the_apis_are() -> None:
    source = Source(dict(zip(VARIABLES, ("http://a", "http://b", "t"), strict=True)))
    assert source.find().placement_url == "http://b"


def test_nothing_that_answers_is_exit_code_four(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("godwit_client.transport.FIRST_PAUSE_S", 100.0)
    for name, value in zip(VARIABLES, ("http://127.0.0.1:1", "http://127.0.0.1:1", "t"), strict=True):
        monkeypatch.setenv(name, value)
    assert run(["ip", "list"]) == 4
    line = one_line(capsys)
    assert "http://127.0.0.1:1 does not answer" in line
    assert line.endswith("(api.unreachable)")


def test_several_clouds_must_be_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("cloud.state.names", lambda: ["one", "two"])
    assert run(["ip", "list"]) == 2
    assert "--cloud with one of one, two" in one_line(capsys)


def test_without_root_a_cloud_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run(["cloud", "up"]) == 1
    line = one_line(capsys)
    assert "root" in line
    assert "sudo godwit cloud up" in line


@pytest.mark.parametrize(
    ("error", "code"),
    [(Conflict("taken"), 1), (CommandError("no", "x.y", 3), 3), (httpx.ConnectError("refused"), 4), (KeyError("x"), 1)],
)
def test_no_error_is_a_traceback(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_source: Source) -> None:
        raise error

    monkeypatch.setattr(Source, "find", fail)
    assert run(["ip", "list"]) == code
    one_line(capsys)


def test_interrupting_is_no_error_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_source: Source) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Source, "find", interrupt)
    assert run(["ip", "list"]) == main.INTERRUPTED
    assert capsys.readouterr().err == ""


def test_a_message_of_several_lines_is_printed_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    main.complain("first\n  second", "x.y")
    assert one_line(capsys) == "godwit: first second (x.y)"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key `k1.pem`; its public part is in `trusted/`."""
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "k1.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (trusted / "k1.pem").write_bytes(public)
    return path


@pytest.mark.parametrize("audience", ["ipam", "placement"])
def test_a_token_is_made_offline(key: Path, audience: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "create", "--key", str(key), "--project", "shop", "--role", "operator"]) == 0
    token = capsys.readouterr().out.strip()
    principal = Verifier.from_directory(key.parent / "trusted", audience).verify(token)
    assert (principal.project, principal.roles) == ("shop", frozenset({"operator"}))
    assert run(["token", "show", token, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["project"] == "shop"


@pytest.mark.parametrize(
    "content", [None, b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_bad_key_is_one_line(tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.pem"
    if content is not None:
        path.write_bytes(content)
    assert run(["token", "create", "--key", str(path)]) == 1
    one_line(capsys)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.W10.c", "a.eyJ4.c"])
def test_what_is_no_token_is_one_line(token: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "show", token]) in {1, 2}
    one_line(capsys)


class Thing:
    def __init__(self, number: int) -> None:
        self.id = UUID(int=number)


def test_names_are_told_from_ids_and_addresses() -> None:
    assert find.as_uuid("01a20c86-9f4e-705d-a84d-0e829a735bad")
    assert find.as_uuid("web") is None
    assert find.as_address("198.18.0.1") == "198.18.0.1"
    assert find.as_address("2001:db8::/64") == "2001:db8::/64"
    assert find.as_address("web") is None


def test_only_one_of_a_name_is_taken() -> None:
    assert find.only([Thing(1)], "instance", "web").id.int == 1
    with pytest.raises(NotFound, match="no instance 'web'"):
        find.only([], "instance", "web")
    for what, several in (("instance", "instances"), ("address", "addresses"), ("prefix", "prefixes")):
        with pytest.raises(CommandError, match=f"names several {several};"):
            find.only([Thing(1), Thing(2)], what, "web")


def test_an_unknown_role_is_wrong_usage() -> None:
    from cli.access import checked_roles

    with pytest.raises(Usage):
        checked_roles(["king"])


def test_databases_are_named_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["--cloud", "compose", "backup", str(tmp_path)]) == 2
    assert "GODWIT_IPAM_DATABASE_URL and GODWIT_PLACEMENT_DATABASE_URL must be set" in one_line(capsys)
    monkeypatch.setenv("GODWIT_IPAM_DATABASE_URL", "postgresql://nobody@localhost/none")
    assert run(["backup", str(tmp_path)]) == 2
    assert "GODWIT_PLACEMENT_DATABASE_URL must be set (access.incomplete)" in one_line(capsys)
