"""The secrets of the cloud in containers: one file each, in a folder that is its owner's alone.

`python -m cloud.compose.secrets` makes those of this checkout that are missing.

Containers see single files of it, and those who use them do not run as its owner: the files that are handed out can be
read by all who get at them. The keys of the two authorities are never handed out.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from cloud.compose.layout import PLAN
from cloud.pki import ISSUER, PLACEMENT, Pki

SERVICES = ("ipam", "placement")
PASSWORDS = ("postgres_password", "redis_password")


def files() -> list[str]:
    """What containers are handed: paths in the folder."""
    identities = ["placement", *(node.name for node in PLAN.nodes)]
    return [
        *PASSWORDS,
        *(f"godwit_{service}_{what}_url" for service in SERVICES for what in ("database", "broker")),
        *("controllers-ca.crt", "nodes-ca.crt"),
        *(f"{name}.{part}" for name in identities for part in ("crt", "key")),
        *(f"{folder}/{kid}.pem" for folder in ("keys", "private") for kid in (ISSUER, PLACEMENT)),
    ]


def missing(folder: Path) -> list[str]:
    """Those that are not there, or empty."""
    return [name for name in files() if not (folder / name).is_file() or not (folder / name).stat().st_size]


def ensure(folder: Path) -> None:
    """Make those that are missing; what is there stays, so that data made with it can still be read."""
    Pki(folder).ensure(PLAN)
    for name in PASSWORDS:
        _write(folder / name, secrets.token_hex(16))
    broker = (folder / "redis_password").read_text()
    for service in SERVICES:
        password = secrets.token_hex(16)
        _write(folder / f"godwit_{service}_database_url", f"postgresql+psycopg://{service}:{password}@postgres/godwit")
        _write(folder / f"godwit_{service}_broker_url", f"redis://:{broker}@redis:6379/0")
    for name in files():
        (folder / name).chmod(0o444)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    if not path.is_file() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    ensure(Path(__file__).resolve().parent.parent.parent / "deploy/compose/secrets")
