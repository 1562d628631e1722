"""What processes read from their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ipam.settings import Settings


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("fd:5", ("fd:5",)),
        ("fd:5,tcp:127.0.0.1:8101", ("fd:5", "tcp:127.0.0.1:8101")),
        ("unix:/run/godwit/ipam,", ("unix:/run/godwit/ipam",)),
    ],
)
def test_places_to_listen_are_separated_by_commas(
    text: str, listen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GODWIT_IPAM_LISTEN", text)
    settings = Settings(database_url="postgresql://", broker_url="memory://", issuer_keys=Path())
    assert settings.listen == listen


def test_what_the_environment_does_not_say_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "godwit_ipam_database_url").write_text("postgresql://from-a-file\n")
    (tmp_path / "godwit_ipam_broker_url").write_text("redis://from-a-file")
    monkeypatch.setenv("GODWIT_SECRETS", str(tmp_path))
    monkeypatch.setenv("GODWIT_IPAM_BROKER_URL", "redis://from-the-environment")
    settings = Settings(issuer_keys=Path())
    assert settings.database_url == "postgresql://from-a-file"
    assert settings.broker_url == "redis://from-the-environment"
