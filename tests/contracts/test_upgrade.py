"""Databases of each released schema, with rows that its own code wrote, brought to this release on both engines."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, DateTime, MetaData, Table, insert, text

from nas.store.database import Database
from nas.store.records import JobState, NewTrial, RetrainingState, SkipReason, TrialState
from nas.store.schema import configuration, head_revision
from nas.store.store import Store

SCHEMAS = Path(__file__).parent / "schemas"
RECORDED = sorted(path.stem for path in SCHEMAS.glob("*.json"))


def test_every_schema_that_was_released_is_recorded() -> None:
    # 0005 never left a branch: it and 0006 were released together
    assert RECORDED == ["0001", "0002", "0003", "0004", "0006"]
    assert RECORDED[-1] == head_revision()


@pytest.fixture(params=RECORDED)
def schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def upgraded(schema: str, database_url: str) -> Iterator[Store]:
    """The database of that schema after it was migrated."""
    database = Database(database_url)
    with database.alter() as connection:
        command.upgrade(configuration(connection), schema)
        _insert(connection, json.loads((SCHEMAS / f"{schema}.json").read_text())["rows"])
    database.close()
    store = Store.open(database_url)
    assert store.schema_revision() == schema
    store.migrate()
    yield store
    store.close()


def _insert(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if table.name in rows:
            connection.execute(insert(table), [_values(table, row, connection) for row in rows[table.name]])
            if connection.dialect.name == "postgresql":
                _advance_counters(connection, table)


def _values(table: Table, row: dict[str, Any], connection: Connection) -> dict[str, Any]:
    def value_of(name: str, value: Any) -> Any:
        if isinstance(table.c[name].type, DateTime) and value is not None:
            instant = datetime.fromisoformat(value["instant"])  # as SQLite keeps it, in UTC
            return instant if connection.dialect.name == "sqlite" else instant.replace(tzinfo=UTC)
        return base64.b64decode(value["base64"]) if isinstance(value, dict) and set(value) == {"base64"} else value

    return {name: value_of(name, value) for name, value in row.items()}


def _advance_counters(connection: Connection, table: Table) -> None:
    for column in table.primary_key.columns:
        if column.autoincrement is True or (column.server_default is not None):
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), max({column.name})) "
                    f"FROM {table.name}"
                )
            )


def jobs_of(store: Store) -> dict[str, Any]:
    return {job.name: job for job in store.jobs()[0]}


def test_jobs_and_their_trials_are_as_they_were(upgraded: Store, schema: str) -> None:
    jobs = jobs_of(upgraded)
    assert {name: job.state for name, job in jobs.items() if name in ("ended", "running", "cancelled", "queued")} == {
        "ended": JobState.SUCCEEDED,
        "running": JobState.RUNNING,
        "cancelled": JobState.CANCELLED,
        "queued": JobState.QUEUED,
    }
    ended = jobs["ended"]
    assert (ended.reason, ended.reference) == ("budget spent", {"point": {"macs": 9.0}, "ideal": {"macs": 1.0}})
    assert ended.document["spec"] == {"name": "first", "budget": {"trials": 4}}
    assert ended.finished_at is not None
    assert jobs["running"].cancel_requested
    assert [trial.state for trial in upgraded.trials(ended.id)] == [
        TrialState.COMPLETE,
        TrialState.FAILED,
        TrialState.FAILED,
        TrialState.SKIPPED,
    ]
    complete, failed, _, skipped = upgraded.trials(ended.id)
    assert (complete.metrics, complete.training) == ({"macs": 1.0, "error_rate": 0.25}, {"steps": 3})
    assert complete.architecture == {"family": "encoder", "layers": [{"heads": 4}]}
    assert failed.error == "the loss is not finite"
    assert (skipped.skip_reason, skipped.same_as) == (SkipReason.DUPLICATE, 0)
    assert upgraded.artifact(complete.weights_sha256 or "") == b"weights of ended"
    assert upgraded.counts(jobs["running"].id).running == 1
    assert all(
        (job.priority, job.pause_requested, job.idle_s) == (0, False, 0.0)
        for job in jobs.values()
        if job.name != "paused"
    )


def test_events_devices_tables_and_datasets_are_as_they_were(upgraded: Store) -> None:
    ended = jobs_of(upgraded)["ended"]
    told = [event.data["state"] for event in upgraded.events_after(ended.id, 0) if event.kind == "job"]
    assert told == ["queued", "running", "succeeded"]
    assert upgraded.device("board")["hardware"] == "Example CPU (x86_64)"
    table = upgraded.latency_table("board", 1)
    assert (table.space, table.summary) == ("smoke", {"entries": 1})
    assert upgraded.dataset("language-identification")["sha256"] == "0" * 64


def test_what_later_schemas_added_is_as_it_was(upgraded: Store, schema: str) -> None:
    jobs = jobs_of(upgraded)
    if schema >= "0002":
        (retraining,) = upgraded.retrainings(jobs["finished"].id)
        assert retraining.state is RetrainingState.COMPLETE
        assert upgraded.artifact(retraining.weights_sha256 or "") == b"in full"
    if schema >= "0003":
        assert b"".join(upgraded.file_pieces("reviews.csv")) == b"text,label\ngood,1\n"
    if schema >= "0004":
        assert upgraded.recalled_count(jobs["recalling"].id) == 1
    if schema >= "0006":
        (key,) = upgraded.api_keys()
        assert (jobs["paused"].state, jobs["paused"].priority) == (JobState.PAUSED, 7)
        assert jobs["paused"].submitted_by == key.id
        assert [entry.who for entry in upgraded.audit_entries()] == ["anna"]


def test_work_goes_on(upgraded: Store) -> None:
    jobs = jobs_of(upgraded)
    before = upgraded.last_sequence()
    claimed = [upgraded.claim_job("worker", 60) for _ in range(3)]
    names = [job.name for job in claimed if job is not None]
    assert set(names) == {"running", "queued"}  # the lease of the first ran out long ago
    queued = next(job for job in claimed if job is not None and job.name == "queued")
    new = NewTrial(0, TrialState.RUNNING, {"family": "encoder"}, "a-0", {"macs": 1.0}, {})
    upgraded.add_trial(queued.id, queued.lease_token, new)
    assert upgraded.add_job("queued", queued.document, "key queued") == (upgraded.job(queued.id), False)
    assert upgraded.request_finish(jobs["ended"].id, {"seeds": 1}).search_ended == {
        "state": "succeeded",
        "reason": "budget spent",
    }
    added, _ = upgraded.add_job("new", {"a": 1})
    assert upgraded.events_after(added.id, before)
    upgraded.delete_job(jobs["cancelled"].id)
