"""Settings come from the environment, are read once by `app`, `worker` or `cli`, and are passed down."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Base of every process's settings; a subclass sets `env_prefix`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="ignore", frozen=True)


def by_commas(value: object) -> object:
    """A text's parts between commas; what is no text stays. For `Annotated[tuple[…, ...], NoDecode, …]`."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Listen = Annotated[tuple[str, ...], NoDecode, BeforeValidator(by_commas)]
"""Where a process listens, separated by commas: each `tcp:HOST:PORT`, `unix:PATH` or `fd:N`."""
