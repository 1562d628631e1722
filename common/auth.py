"""Bearer tokens: Ed25519 JWTs (RFC 7519, RFC 8037) made by `Signer`, checked by `Verifier`.

A token names its subject, one project and roles. Two keys may be trusted at once (`kid`), so that rotating one is no
outage. A token for people lives an hour at most.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from common.errors import Forbidden, Unauthenticated

ROLES = frozenset({"reader", "member", "operator", "service"})
LIFETIME_S = 3600


class TokenRefused(Unauthenticated):
    """The token is missing, expired, for another service, or not signed by a trusted key."""

    code = "auth.token_refused"


class RoleMissing(Forbidden):
    """The token's roles do not allow this."""

    code = "auth.role_missing"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a subject acting in one project. `kinds` are the target kinds a `service` token may register."""

    subject: str
    project: str
    roles: frozenset[str]
    kinds: frozenset[str] = field(default_factory=frozenset)

    def require(self, *roles: str) -> None:
        """Raises RoleMissing unless one of `roles` is held; `operator` includes `member`, which includes `reader`."""
        held = set(self.roles)
        if "operator" in held:
            held |= {"member", "reader"}
        if "member" in held:
            held.add("reader")
        if not held & set(roles):
            wanted = " or ".join(roles)
            raise RoleMissing(
                f"this needs the role {wanted}; the token holds {', '.join(sorted(self.roles)) or 'none'}"
            )

    @property
    def sees_all_projects(self) -> bool:
        return bool(self.roles & {"operator", "service"})


class Signer:
    """Makes tokens with one private key; its `kid` is the public key file's stem."""

    def __init__(self, private_key_pem: bytes, kid: str) -> None:
        self._key = OKPKey.import_key(private_key_pem)
        self._kid = kid

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        return cls(path.read_bytes(), path.stem)

    def sign(self, principal: Principal, audience: list[str], lifetime_s: int = LIFETIME_S) -> str:
        now = int(time.time())
        claims = {
            "sub": principal.subject,
            "project": principal.project,
            "roles": sorted(principal.roles),
            "kinds": sorted(principal.kinds),
            "aud": audience,
            "iat": now,
            "exp": now + lifetime_s,
            "jti": str(uuid4()),
        }
        return jwt.encode({"alg": "Ed25519", "kid": self._kid}, claims, self._key, algorithms=["Ed25519"])


class Verifier:
    """Checks tokens for one audience against the public keys of a directory (`<kid>.pem`)."""

    def __init__(self, keys: dict[str, bytes], audience: str, denied: frozenset[str] = frozenset()) -> None:
        self._keys = {kid: OKPKey.import_key(pem) for kid, pem in keys.items()}
        self._claims = jwt.JWTClaimsRegistry(
            aud={"essential": True, "value": audience}, exp={"essential": True}, sub={"essential": True}
        )
        self._denied = denied

    @classmethod
    def from_directory(cls, directory: Path, audience: str) -> Verifier:
        keys = {path.stem: path.read_bytes() for path in sorted(directory.glob("*.pem"))}
        denied = directory / "denied"  # one revoked `jti` a line
        return cls(keys, audience, frozenset(denied.read_text().split() if denied.exists() else ()))

    def verify(self, token: str) -> Principal:
        """Raises TokenRefused."""
        try:
            decoded = jwt.decode(token, lambda obj: self._keys[obj.headers()["kid"]], algorithms=["Ed25519"])
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError, KeyError) as error:
            raise TokenRefused(f"the token is not valid here: {error or type(error).__name__}") from error
        claims = decoded.claims
        if claims.get("jti") in self._denied:
            raise TokenRefused("the token was revoked")
        return Principal(
            claims["sub"],
            claims.get("project", ""),
            frozenset(claims.get("roles", ())) & ROLES,
            frozenset(claims.get("kinds", ())),
        )
