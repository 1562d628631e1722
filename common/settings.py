"""Settings come from the environment, are read once by `app`, `worker` or `cli`, and are passed down."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Base of every process's settings; a subclass sets `env_prefix`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="ignore", frozen=True)
