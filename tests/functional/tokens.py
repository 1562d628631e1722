"""Real tokens for tests: a key pair of their own, and whoever a story needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from common.auth import Principal, Signer

AUDIENCE = ["ipam", "placement"]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs tokens that services with `public_keys` trust."""

    public_keys: Path
    private_key: Path

    @classmethod
    def create(cls, directory: Path, kid: str = "test") -> Issuer:
        key = Ed25519PrivateKey.generate()
        public, private = directory / "public", directory / "private"
        public.mkdir()
        private.mkdir()
        private_key = private / f"{kid}.pem"
        private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (public / f"{kid}.pem").write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        return cls(public, private_key)

    def token(
        self, subject: str, project: str, *roles: str, kinds: tuple[str, ...] = (), audience: list[str] | None = None
    ) -> str:
        who = Principal(subject, project, frozenset(roles), frozenset(kinds))
        return Signer.from_file(self.private_key).sign(who, audience or AUDIENCE)
