"""The cloud in containers, on the engine that answers (`make test-compose` starts one where none does)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cloud.compose import engine, operations
from cloud.compose.site import ComposeSite
from cloud.operations import silent


@pytest.fixture(scope="session", autouse=True)
def alone() -> None:
    """A cloud that somebody works with is not ours to break."""
    os.environ.setdefault("GODWIT_IPAM_PORT", "18101")
    os.environ.setdefault("GODWIT_PLACEMENT_PORT", "18102")
    assert not engine.containers(), "a cloud in containers runs already: make compose-down"


@pytest.fixture(scope="module")
def site() -> Iterator[ComposeSite]:
    """A running cloud; when it is taken down, nothing is left of it."""
    operations.up(silent)
    yield ComposeSite()
    operations.down(silent)
    assert left_behind() == []


def left_behind() -> list[str]:
    """What the engine still has of the cloud, and the folder of its secrets."""
    label = f"label=com.docker.compose.project={engine.PROJECT}"
    found = [
        name
        for kind in ("container", "network", "volume")
        for name in engine.run(["docker", kind, "ls", "--quiet", "--filter", label]).split()
    ]
    return found + ([str(engine.SECRETS)] if engine.SECRETS.exists() else [])
