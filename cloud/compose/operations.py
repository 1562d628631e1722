"""Starting the cloud in containers, looking at it, and taking it down."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from cloud import bootstrap
from cloud.compose import engine, secrets
from cloud.compose.engine import EngineFailed
from cloud.compose.layout import ONE_SHOTS, PORTS, PREFLIGHT, port_variable
from cloud.operations import Progress
from cloud.pki import ISSUER, Pki
from common.auth import LIFETIME_S, Principal, Signer
from common.errors import Conflict, NotFound, Unavailable

LOGS = "docker-compose logs"
REGISTERED_WITHIN_S = 90.0


class NotPossible(Conflict):
    """Preflight found something missing; nothing else was started."""

    code = "compose.preflight"


class NotRegistered(Unavailable):
    """Zone, nodes and pools could not be registered."""

    code = "compose.not_registered"


def up(progress: Progress) -> int:
    """Make what is missing and start all of it; what runs goes on. Answers how many containers there are.

    Raises NotPossible, EngineFailed, EngineMissing, NotRegistered, NodesSilent.
    """
    was_there = bool(engine.containers())
    progress("images")
    try:
        engine.compose("build")
    except EngineFailed as error:
        raise EngineFailed(f"{error.message} (where no image registry is reached: make compose-base)") from error
    secrets.ensure(engine.SECRETS)
    progress("containers")
    try:
        engine.compose("up", "--detach", "--remove-orphans")
    except EngineFailed as error:
        refused = _refused()
        if not was_there:
            engine.compose("down", "--volumes")
        if refused:
            raise NotPossible(refused) from error
        raise
    progress("zone, nodes, pools and flavours")
    _wait_registered()
    progress("nodes answer")
    bootstrap.wait_until_up(apis(), token(project="demo", roles=("operator",)), LOGS)
    return len([each for each in engine.containers() if each.service not in ONE_SHOTS])


def down(progress: Progress, *, keep_data: bool = False) -> bool:
    """Remove containers, networks, and, unless `keep_data`, volumes and secrets. Returns whether there was anything."""
    was_there = bool(engine.containers())
    progress("stopping containers")
    engine.compose("down", "--remove-orphans", "--timeout", "3", *([] if keep_data else ["--volumes"]))
    if not keep_data:
        secrets.remove(engine.SECRETS)
    return was_there


def is_up() -> bool:
    """Whether it has containers."""
    return bool(engine.containers())


def apis() -> Mapping[str, str]:
    """Base URLs by service."""
    ports = {service: os.environ.get(port_variable(service)) or port for service, port in PORTS.items()}
    return {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}


def token(*, project: str, roles: Sequence[str], subject: str = "cli", lifetime_s: int = LIFETIME_S) -> str:
    """A bearer token of the cloud's own issuer. Raises NotFound before there is one."""
    key = Pki(engine.SECRETS).signing_key(ISSUER)
    if not key.exists():
        raise NotFound("there is no cloud in containers; start it with: make compose-up")
    return Signer.from_file(key).sign(Principal(subject, project, frozenset(roles)), list(PORTS), lifetime_s)


def _refused() -> str:
    """What preflight complained about; empty if it did not."""
    found = [each for each in engine.containers() if each.service == PREFLIGHT and each.exit_code]
    lines = engine.log(PREFLIGHT).splitlines() if found else []
    return "; ".join(line.removeprefix("preflight: ") for line in lines)


def _wait_registered() -> None:
    ends = time.monotonic() + REGISTERED_WITHIN_S
    while (register := engine.container("register")).state != "exited":
        if time.monotonic() > ends:
            raise NotRegistered(f"registering is not done after {REGISTERED_WITHIN_S:.0f} s; see {LOGS} register")
        time.sleep(0.2)
    if register.exit_code:
        raise NotRegistered(engine.log("register", 1).strip())
