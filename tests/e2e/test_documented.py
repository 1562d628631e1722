"""Every command of the README and of the tutorial is run as it stands there, and says what stands there.

A page's ```console blocks are one session of a shell: `$ ` begins a command, what follows is what it prints. `…` stands
for any lines, at the end of a line for any rest of it; of a command that shows nothing, only the exit code is
compared. Addresses, ids, times and the numbers of hypervisors are what this cloud answers: an address that a page shows
is replaced, in the commands after it, by the one that came instead.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud.site import LocalSite

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/first-address.md")

NOT_RUN = {
    "make cloud": "the suite's cloud is started by the same code; test_lifecycle.py starts and ends others",
    "godwit cloud down": "it is the suite's cloud",
    "make demo": "a minute: test_stories.py takes its chapters, with the same code",
    "make convert-demo": "six minutes: test_zone_conversion.py converts a zone, with the same code",
    "make failure-demo": "four minutes: test_machines.py and test_failover.py let machines fail, with the same code",
    "make test": "it is what runs this",
    "make compose-demo": "needs a container engine: `make test-compose` takes the same tour",
    "make compose-up": "needs a container engine: tests/compose starts it by the same function",
    "make compose-down": "needs a container engine: tests/compose ends it by the same function",
    **dict.fromkeys(
        (f"godwit zone convert {verb} zone-1" for verb in ("plan", "start", "pause", "abort", "seal")),
        "the suite's zone is not ours to convert: test_zone_conversion.py converts one of its own",
    ),
}
"""Commands that are not run here, by what is written before any comment; and why not."""

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b|\b[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f:]*\b")
VARYING = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "MAC"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b[\d./]+ ?ms\b"), "MS"),
    (ADDRESS, "ADDRESS"),
    (re.compile(r"\bhypervisor-\d\b"), "HYPERVISOR"),
)
ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    """One command of a page, and the lines it is said to print."""

    line: int
    command: str
    printed: tuple[str, ...]

    @property
    def bare(self) -> str:
        """Without its comment."""
        return self.command.partition("  #")[0].strip()


def steps(page: str) -> Iterator[Step]:
    text = (ROOT / page).read_text()
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        begins = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        assert begins[:1] == [0], f"{page}:{first}: a block begins with a command"
        for start, end in zip(begins, [*begins[1:], len(lines)], strict=True):
            printed = tuple(line for line in lines[start + 1 : end] if line.strip())
            yield Step(first + start, lines[start].removeprefix("$ "), printed)


def shape(line: str) -> str:
    """What is the same on every cloud."""
    for pattern, name in VARYING:
        line = pattern.sub(name, line)
    return " ".join(line.split())


def alike(shown: str, came: str) -> bool:
    if shown.endswith(ANYTHING):
        return shape(came).startswith(shape(shown.removesuffix(ANYTHING)))
    return shape(came) == shape(shown)


@dataclass
class Session:
    """A shell, and what came instead of the addresses that a page shows."""

    shell: subprocess.Popen[str]
    instead: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> tuple[int, list[str]]:
        """Its exit code, and the lines it printed on both streams."""
        stdin, stdout = self.shell.stdin, self.shell.stdout
        assert stdin is not None
        assert stdout is not None
        for shown, came in self.instead.items():
            command = command.replace(shown, came)
        stdin.write(f'{{ {command}\n}} < /dev/null\necho "ended: $?"\n')
        stdin.flush()
        lines: list[str] = []
        for line in stdout:
            if line.startswith("ended: "):
                return int(line.split()[1]), [line for line in lines if line.strip()]
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell is gone: {lines}")

    def learn(self, shown: str, came: str) -> None:
        self.instead |= dict(zip(ADDRESS.findall(shown), ADDRESS.findall(came), strict=False))


@pytest.fixture
def session(site: LocalSite, project: str) -> Iterator[Session]:
    """In the checkout, as somebody whose only cloud is the suite's."""
    environment = {**os.environ, "GODWIT_CLOUD": site.name, "GODWIT_PROJECT": project}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["bash"], cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
    ) as shell:
        yield Session(shell)


def matched(shown: tuple[str, ...], came: list[str]) -> list[tuple[str, str]] | None:
    """Each line that is shown, with the one that came for it; None if another came."""
    pairs: list[tuple[str, str]] = []
    at, anywhere = 0, not shown
    for line in shown:
        if line == ANYTHING:
            anywhere = True
            continue
        candidates = range(at, len(came) if anywhere else min(at + 1, len(came)))
        found = next((number for number in candidates if alike(line, came[number])), None)
        if found is None:
            return None
        pairs.append((line, came[found]))
        at, anywhere = found + 1, False
    return pairs if anywhere or at == len(came) else None


@pytest.mark.parametrize("page", PAGES)
def test_every_command_does_and_says_what_the_page_says(page: str, session: Session) -> None:
    for step in steps(page):
        if step.bare in NOT_RUN:
            continue
        code, came = session.run(step.command)
        told = f"{page}:{step.line}: {step.command}\n" + "\n".join(came)
        assert code == 0, told
        pairs = matched(step.printed, came)
        assert pairs is not None, f"{told}\n-- but the page says:\n" + "\n".join(step.printed)
        for shown, line in pairs:
            session.learn(shown, line)


def test_what_is_not_run_is_on_a_page() -> None:
    assert NOT_RUN.keys() <= {step.bare for page in PAGES for step in steps(page)}
