"""A local cloud's certificates and keys: who trusts whom, and what stays when they are ensured again."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cloud.pki import ISSUER, PLACEMENT, Identity, Pki
from cloud.plan import Plan
from common.auth import Principal, Signer, TokenRefused, Verifier

PLAN = Plan("one", hypervisor_count=1, gateway_count=1)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path / "pki")
    made.ensure(PLAN)
    return made


def shake_hands(server: Identity, trusted_by_server: Identity, client: Identity, trusted_by_client: Identity) -> None:
    """A TLS handshake in memory. Raises ssl.SSLError when one side does not trust the other."""
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(server.certificate, server.key)
    accepting.load_verify_locations(trusted_by_server.certificate)
    accepting.verify_mode = ssl.CERT_REQUIRED
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialling.check_hostname = False
    dialling.load_cert_chain(client.certificate, client.key)
    dialling.load_verify_locations(trusted_by_client.certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [dialling.wrap_bio(to_client, to_server), accepting.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    ends[0].write(b"hello")
    assert ends[1].read(5) == b"hello"


def test_placement_and_an_agent_trust_each_other(pki: Pki) -> None:
    shake_hands(pki.node(PLAN.edge), pki.controllers, pki.placement, pki.nodes)


def test_an_agent_is_nobody_at_another_agent(pki: Pki) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(pki.node(PLAN.edge), pki.controllers, pki.node(PLAN.gateways[0]), pki.nodes)


def test_a_node_s_certificate_names_it(pki: Pki) -> None:
    node = PLAN.hypervisors[0]
    certificate = x509.load_pem_x509_certificate(pki.node(node).certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == f"node/{node.id}"
    assert names.get_values_for_type(x509.IPAddress) == [node.management]


def test_ensuring_again_keeps_what_is_there_and_makes_what_is_missing(pki: Pki) -> None:
    kept, lost = pki.node(PLAN.edge), pki.node(PLAN.gateways[0])
    before = kept.certificate.read_bytes()
    lost.key.unlink()

    pki.ensure(PLAN)

    assert kept.certificate.read_bytes() == before
    shake_hands(lost, pki.controllers, pki.placement, pki.nodes)


def test_private_keys_are_their_owner_s_alone(pki: Pki) -> None:
    secret = [pki.placement.key, pki.nodes.key, pki.signing_key(ISSUER), pki.signing_key(PLACEMENT)]
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert pki.directory.stat().st_mode & 0o777 == 0o700


def test_tokens_of_the_cloud_s_issuer_and_of_placement_count_and_others_do_not(pki: Pki, tmp_path: Path) -> None:
    verifier = Verifier.from_directory(pki.keys, "ipam")
    for kid in (ISSUER, PLACEMENT):
        principal = Principal("someone", "demo", frozenset({"member"}))
        assert verifier.verify(Signer.from_file(pki.signing_key(kid)).sign(principal, ["ipam"])) == principal

    other = Pki(tmp_path / "other")
    other.ensure(PLAN)
    forged = Signer.from_file(other.signing_key(ISSUER)).sign(Principal("x", "demo", frozenset({"operator"})), ["ipam"])
    with pytest.raises(TokenRefused):
        verifier.verify(forged)
