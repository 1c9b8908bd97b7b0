"""Every setting of the service: name, default, help. Read from the environment when built, never at import."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nas.addresses import is_loopback
from nas.documents import MAX_BYTES, problems_of
from nas.errors import InvalidInput
from nas.quality.evaluators import allowed_functions
from nas.store.database import parse_url
from nas.store.keys import check_secret

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
    require_keys: Annotated[
        bool,
        Field(
            description="Ask every caller for a key. It is done anyway at an address that other machines reach, and "
            "with a database that they do."
        ),
    ] = False
    admin_key: Annotated[
        SecretStr | None,
        Field(description="A key of an administrator, of your own making, that is there from the start."),
    ] = None
    requests_per_minute: Annotated[
        int, Field(ge=0, le=1_000_000, description="How often one key may call; 0 for any number.")
    ] = 6000
    max_open_jobs: Annotated[
        int, Field(ge=0, le=1_000_000, description="Jobs that have not ended of one key, unless it says otherwise.")
    ] = 100
    max_storage_bytes: Annotated[
        int, Field(ge=0, description="Bytes of files of one key, unless it says otherwise.")
    ] = 20_000_000_000
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
    head_timeout_s: Annotated[
        float,
        Field(gt=0, le=600, description="How long the request line and headers may take to come in, in seconds."),
    ] = 10
    body_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            description="How long the service waits for a body, in seconds; a body that comes in steadily, at 1,000 "
            "bytes a second or more, may take as long as it needs.",
        ),
    ] = 30
    send_timeout_s: Annotated[
        float, Field(gt=0, le=600, description="How long callers may leave an answer unread, in seconds.")
    ] = 60
    event_poll_s: Annotated[
        float, Field(gt=0, le=60, description="How often a followed job is looked at for news, in seconds.")
    ] = 0.1
    shutdown_s: Annotated[
        int, Field(ge=1, le=600, description="How long open requests may take to end when the service stops.")
    ] = 5

    @field_validator("evaluators", mode="before")
    @classmethod
    def _are_functions(cls, value: Any) -> tuple[str, ...]:
        return allowed_functions([value] if isinstance(value, str) else value, "")

    @field_validator("admin_key")
    @classmethod
    def _admin_key_is_a_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_secret(value.get_secret_value(), "")
        return value

    @property
    def asks_for_keys(self) -> bool:
        """Whether callers need a key: everywhere but on this machine alone, with a database of its own.

        Who gives the service a name that others call it by lets others in, whatever address it listens on.
        """
        alone = (
            is_loopback(self.host) and parse_url(self.database_url).drivername == "sqlite" and not self.allowed_hosts
        )
        return self.require_keys or not alone

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """Return the environment's settings, overridden by `given`; raise `InvalidInput` naming wrong ones."""
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidInput(p for details in error.errors() for p in problems_of(details)) from error
