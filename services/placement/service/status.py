"""The controller, as whoever looks after it sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from common.db import Transaction
from common.status import common_facts
from services.placement import bells, wire
from services.placement.model import Operation


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is beside the database: queues, by how many wake-ups wait and how many workers listen; certificates."""

    waiting: Callable[[Sequence[str]], Mapping[str, int]]
    attended: Callable[[], Mapping[str, int]]
    files: Mapping[str, Path]

    def queues(self) -> list[wire.QueueStatus]:
        """None while the broker does not answer."""
        waits = self.waiting([queue for of_role in bells.QUEUES.values() for queue in of_role])
        workers = self.attended() if waits else {}
        return [wire.QueueStatus(name=name, waiting=n, workers=workers.get(name, 0)) for name, n in waits.items()]

    def certificates(self) -> list[wire.CertificateStatus]:
        return [_certificate(name, path) for name, path in self.files.items()]


def _certificate(name: str, path: Path) -> wire.CertificateStatus:
    try:
        expires_at = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return wire.CertificateStatus(name=name, expires_at=None)
    return wire.CertificateStatus(name=name, expires_at=expires_at)


def of(
    tx: Transaction, queues: list[wire.QueueStatus], certificates: list[wire.CertificateStatus]
) -> wire.ControllerStatus:
    facts = common_facts(tx, "placement", Operation, broker=bool(queues))
    return wire.ControllerStatus(**facts, queues=queues, certificates=certificates)
