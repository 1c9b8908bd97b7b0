"""The tables, as SQLAlchemy knows them. A change here needs a revision under `migrations/versions`."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: takes any timezone-aware datetime, gives it back in UTC. SQLite has no zones and keeps UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a datetime without a zone, which would mean another instant on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no timezone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Attach or convert to UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Counter = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only as INTEGER

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

search_spaces = Table(
    "search_spaces",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Document, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Document, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

latency_tables = Table(
    "latency_tables",
    metadata,
    Column("id", Counter, primary_key=True),
    Column("device", String, ForeignKey("devices.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("workload_key", String, nullable=False),
    Column("space", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("summary", Document, nullable=False),
    Column("document", Document, nullable=False),
    UniqueConstraint("device", "version"),
    Index(None, "device", "workload_key", "space", "version"),
    sqlite_autoincrement=True,
)

datasets = Table(
    "datasets",
    metadata,
    Column("name", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("document", Document, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

file_contents = Table(
    "file_contents",
    metadata,
    Column("id", String, primary_key=True),
    Column("sha256", String, unique=True),  # with its size, set at the end of the upload: until then no file has it
    Column("size_bytes", BigInteger),
    Column("touched_at", UtcDateTime, nullable=False),  # when the last chunk came
    Column("added_by", String),  # the id of a key
)

file_chunks = Table(
    "file_chunks",
    metadata,
    Column("content_id", String, ForeignKey("file_contents.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("name", String, primary_key=True),
    Column("content_id", String, ForeignKey("file_contents.id"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("added_by", String),  # the id of a key
)

jobs = Table(
    "jobs",
    metadata,
    Column("sequence", Counter, primary_key=True),  # order of submission, for queue and pages
    Column("id", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("idempotency_key", String, unique=True),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("cancel_requested", Boolean, nullable=False),
    Column("pause_requested", Boolean, nullable=False, server_default=false()),
    Column("idle_since", UtcDateTime),
    Column("idle_s", Float, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("lease_owner", String),
    Column("lease_token", Integer, nullable=False),
    Column("lease_expires_at", UtcDateTime),
    Column("reference", Document),
    Column("document", Document, nullable=False),
    Column("search_ended", Document),
    Column("finish", Document),
    Column("submitted_by", String),  # the id of a key
    Index(None, "state", "sequence"),
    Index(None, "submitted_by", "state"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("job_id", String, ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("skip_reason", String),
    Column("same_as", Integer),
    Column("architecture_id", String, nullable=False),
    Column("metrics", Document, nullable=False),
    Column("violations", Document, nullable=False),
    Column("error", String),
    Column("weights_sha256", String, ForeignKey("artifacts.sha256")),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("duration_s", Float),
    # The large columns stand last: SQLite then reads the ones before them without touching overflow pages.
    Column("architecture", Document, nullable=False),
    Column("sampler", Document, nullable=False),
    Column("training", Document),
    Index(None, "job_id", "state", "number"),
    Index(None, "job_id", "state", "skip_reason"),
    Index(None, "architecture_id"),
    Index(None, "weights_sha256"),
)

# A table of its own: in `trials` it would stand behind the large columns, or need the whole table copied.
recalled_trials = Table(
    "recalled_trials",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    ForeignKeyConstraint(["job_id", "number"], ["trials.job_id", "trials.number"]),
)

retrainings = Table(
    "retrainings",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("steps", Integer, primary_key=True, autoincrement=False),
    Column("seed", Integer, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("scores", Document, nullable=False),
    Column("test_metrics", Document),
    Column("error", String),
    Column("weights_sha256", String, ForeignKey("artifacts.sha256")),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("duration_s", Float, nullable=False),
    Column("training", Document),
    ForeignKeyConstraint(["job_id", "trial"], ["trials.job_id", "trials.number"]),
    Index(None, "weights_sha256"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", Counter, primary_key=True),
    Column("job_id", String, ForeignKey("jobs.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("data", Document, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "job_id", "sequence"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("secret_sha256", String, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("max_open_jobs", Integer),
    Column("max_storage_bytes", BigInteger),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", Counter, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("key_id", String),
    Column("who", String, nullable=False),
    Column("action", String, nullable=False),
    Column("path", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("client", String),
    Column("request_id", String),
    sqlite_autoincrement=True,
)
