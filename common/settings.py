"""Settings come from the environment, are read once by `app`, `worker` or `cli`, and are passed down."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

SECRETS = "GODWIT_SECRETS"


class Settings(BaseSettings):
    """Base of every process's settings; a subclass sets `env_prefix`.

    What the environment does not say may be in a file named like the variable, in the directory GODWIT_SECRETS.
    """

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, os.environ.get(SECRETS))


def by_commas(value: object) -> object:
    """A text's parts between commas; what is no text stays. For `Annotated[tuple[…, ...], NoDecode, …]`."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Listen = Annotated[tuple[str, ...], NoDecode, BeforeValidator(by_commas)]
"""Where a process listens, separated by commas: each `tcp:HOST:PORT`, `unix:PATH` or `fd:N`."""

Metrics = Annotated[str | None, Field(pattern=r"^tcp:[^:]+:\d+$")]
"""Where a process tells its metrics, `tcp:HOST:PORT`; None: nowhere. Who reaches it is asked for no token."""
