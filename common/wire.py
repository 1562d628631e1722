"""What the wires of all services are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["web"])]

Text = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
"""What people write. PostgreSQL holds every character but NUL."""

Project = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$", examples=["red"])]
"""The id of a project: opaque to Godwit, whoever issues the tokens gives it out."""

Revision = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Body(BaseModel):
    """A request body: unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """What is answered: every field is there, null where there is nothing to say."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        described = handler.resolve_ref_schema(schema)
        described["required"] = list(described["properties"])
        for described_field in described["properties"].values():
            described_field.pop("default", None)
        return schema


def examples(*bodies: dict[str, Any]) -> ConfigDict:
    """The configuration of a body whose documented examples these are; a test sends each to the real service."""
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


class Oldest(Answer):
    """The oldest Operation of a kind that is not over: the oldest undone intent."""

    kind: str = Field(examples=["instance.move"])
    age_s: float


class Status(Answer):
    """A service, as it is now."""

    version: str
    schema_is: str = Field(description="The database's Alembic revision.", examples=["0003"])
    schema_wanted: str = Field(description="That of the code.", examples=["0003"])
    at: datetime = Field(description="By the service's clock.")
    broker: bool = Field(description="Whether the broker answers.")
    oldest: list[Oldest]
