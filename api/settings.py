"""Every setting of the service: name, default, help. Read from the environment when built, never at import."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nas.addresses import is_loopback
from nas.documents import MAX_BYTES, problems_of
from nas.errors import InvalidInput
from nas.quality.evaluators import allowed_functions

PREFIX = "POCKETFORMER_"
OWN_NAMES = "127.0.0.1, ::1 or localhost"


class Settings(BaseSettings):
    """The settings of one server process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    database_url: Annotated[
        str,
        Field(description="Where everything is kept: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME."),
    ] = "sqlite:///pocketformer.db"
    host: Annotated[str, Field(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="The port to listen on; 0 takes a free one.")] = 8000
    allow_unauthenticated_network: Annotated[
        bool,
        Field(description="Listen on an address that other machines reach, although nobody has to log in."),
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(description="Names beside this machine's own by which the service may be called; * allows any."),
    ] = ()
    embedded_worker: Annotated[
        bool, Field(description="Run jobs inside this process, so that one command is the whole service.")
    ] = False
    worker_processes: Annotated[
        int, Field(ge=1, le=256, description="How many candidates the embedded worker trains at once.")
    ] = 1
    evaluators: Annotated[
        tuple[str, ...],
        NoDecode,  # commas, not JSON: the workers read the same variable
        Field(description="Functions that jobs may name as their evaluator: package.module:function, with commas."),
    ] = ()
    max_body_bytes: Annotated[int, Field(ge=1_000, description="The largest request body that is taken.")] = MAX_BYTES
    max_latency_table_bytes: Annotated[int, Field(ge=1_000, description="The largest latency table that is taken.")] = (
        20 * MAX_BYTES
    )
    max_file_bytes: Annotated[
        int, Field(ge=1_000, description="The largest file that is taken by POST /v1/datasets.")
    ] = 4_000_000_000
    event_poll_s: Annotated[
        float, Field(gt=0, le=60, description="How often a followed job is looked at for news, in seconds.")
    ] = 0.2
    shutdown_s: Annotated[
        int, Field(ge=1, le=600, description="How long open requests may take to end when the service stops.")
    ] = 5

    @field_validator("evaluators", mode="before")
    @classmethod
    def _are_functions(cls, value: Any) -> tuple[str, ...]:
        return allowed_functions([value] if isinstance(value, str) else value, "")

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> Settings:
        if not self.allow_unauthenticated_network and not is_loopback(self.host):
            raise InvalidInput.of(
                "host",
                self.host,
                OWN_NAMES,
                "anyone who reaches another address could start, read and cancel jobs, because this service asks "
                f"nobody to log in; if your network is private, set {PREFIX}ALLOW_UNAUTHENTICATED_NETWORK=true",
            )
        return self

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """Return the environment's settings, overridden by `given`; raise `InvalidInput` naming wrong ones."""
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidInput(p for details in error.errors() for p in problems_of(details)) from error
