"""Who is who in a local cloud: two authorities, certificates, and the keys that sign tokens.

Agents trust the controllers' authority alone, placement trusts the nodes' alone: an agent's certificate is worth
nothing at another agent. A node's certificate names it three ways: `node/<id>` as common name, `node-<id>` as DNS name,
and its management address.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.plan import Node, Plan

LIFETIME = timedelta(days=3650)
ISSUER = "cloud"  # `kid` of the cloud's own issuer: people's and operators' tokens
PLACEMENT = "placement"  # `kid` of placement's tokens towards ipam and agents


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pki:
    directory: Path

    @property
    def controllers(self) -> Identity:
        return self._identity("controllers-ca")

    @property
    def nodes(self) -> Identity:
        return self._identity("nodes-ca")

    @property
    def placement(self) -> Identity:
        return self._identity("placement")

    def node(self, node: Node) -> Identity:
        return self._identity(node.name)

    @property
    def keys(self) -> Path:
        """Public keys of the issuers whose tokens count, `<kid>.pem`."""
        return self.directory / "keys"

    def signing_key(self, kid: str) -> Path:
        return self.directory / "private" / f"{kid}.pem"

    def _identity(self, name: str) -> Identity:
        return Identity(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    def ensure(self, plan: Plan) -> None:
        """Make what is missing; what exists stays, so that a running cloud keeps its identities."""
        for directory in (self.directory, self.keys, self.directory / "private"):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
        _ensure_authority(self.controllers, f"{plan.name} controllers")
        _ensure_authority(self.nodes, f"{plan.name} nodes")
        _ensure_certificate(self.placement, self.controllers, "placement", [x509.DNSName("placement")])
        for node in plan.nodes:
            _ensure_certificate(self.node(node), self.nodes, f"node/{node.id}", _node_names(node))
        for kid in (ISSUER, PLACEMENT):
            _ensure_signing_key(self.signing_key(kid), self.keys / f"{kid}.pem")


def _node_names(node: Node) -> list[x509.GeneralName]:
    return [
        x509.DNSName(f"node-{node.id}"),
        x509.UniformResourceIdentifier(f"godwit:node/{node.id}"),
        x509.IPAddress(IPv4Address(node.management)),
    ]


def _write_secret(path: Path, content: bytes) -> None:
    """Whole or not at all, for its owner alone."""
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key")
    return key


def _whole(identity: Identity) -> bool:
    return identity.certificate.exists() and identity.key.exists()


def _builder(common_name: str, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _ensure_authority(identity: Identity, common_name: str) -> None:
    if _whole(identity):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(common_name, key.public_key())
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(identity, key, certificate)


def _ensure_certificate(
    identity: Identity, authority: Identity, common_name: str, names: list[x509.GeneralName]
) -> None:
    if _whole(identity):
        return
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    issuer_key = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(common_name, key.public_key())
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    _write(identity, key, certificate)


def _write(identity: Identity, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    identity.certificate.unlink(missing_ok=True)  # a certificate without its key is no identity
    _write_secret(identity.key, _pem(key))
    _write_secret(identity.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _ensure_signing_key(private: Path, public: Path) -> None:
    if not private.exists():
        public.unlink(missing_ok=True)
        _write_secret(private, _pem(Ed25519PrivateKey.generate()))
    if not public.exists():
        key = serialization.load_pem_private_key(private.read_bytes(), None)
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        _write_secret(public, key.public_key().public_bytes(serialization.Encoding.PEM, spki))
