"""Fill a database with a little of everything by the code on the path, and write its rows as JSON.

For each schema that was released this was run once, by the last code that made it, and the result is kept beside this
file (`test_upgrade.py` migrates them). For the next schema, before it changes:

    git worktree add /tmp/before
    PYTHONPATH=/tmp/before python tests/contracts/schemas/record.py tests/contracts/schemas
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine, select

from nas.store.records import JobState, NewTrial, SkipReason, TrialOutcome, TrialState
from nas.store.store import Store

DEVICE = {
    "name": "board",
    "hardware": "Example CPU (x86_64)",
    "cores": 2,
    "memory_mb": 4000,
    "runtime": "onnxruntime",
    "runtime_version": "1.32.0",
    "threads": 1,
    "precision": "fp32",
    "clock": "unmanaged",
    "system": "Linux 6.1",
}
DOCUMENT = {"spec": {"name": "first", "budget": {"trials": 4}}, "search_space": {"name": "smoke"}}


def fill(store: Store) -> None:
    """Write what every schema can keep, and what only later ones can where the code has it."""
    store.put_dataset("language-identification", "1", "0" * 64, {"metrics": ["error_rate"]})
    store.put_device(DEVICE)
    workload = {"batch": 1, "input_length": 64}
    table = {"device": DEVICE, "workload": workload, "space": "smoke", "entries": {"head": {"latency_ns": 12345}}}
    store.add_latency_table("board", table, {"entries": 1})
    if hasattr(store, "add_file"):
        store.add_file("reviews.csv", [b"text,label\n", b"good,1\n"])
    _job(store, "ended", JobState.SUCCEEDED, "budget spent")
    running = _job(store, "running", None, None)
    if hasattr(store, "request_finish"):
        finished = _job(store, "finished", JobState.SUCCEEDED, "budget spent")
        _finish(store, finished)
    if hasattr(store, "recalled_count"):
        _recall(store)
    if hasattr(store, "add_key"):
        _let_in(store)
    store.request_cancel(store.add_job("cancelled", DOCUMENT, "key cancelled")[0].id)
    store.add_job("queued", DOCUMENT, "key queued")
    store.request_cancel(running)


def _job(store: Store, name: str, end: JobState | None, reason: str | None) -> str:
    job, _ = store.add_job(name, DOCUMENT, f"key {name}")
    assert store.claim_job_by_id(job.id, "worker", 60) is not None
    store.set_reference(job.id, 1, {"point": {"macs": 9.0}, "ideal": {"macs": 1.0}})
    for number in range(3):
        store.add_trial(job.id, 1, _trial(number))
    outcome = TrialOutcome(TrialState.COMPLETE, {"macs": 1.0, "error_rate": 0.25}, {"steps": 3}, None, 1.5)
    store.finish_trial(job.id, 1, 0, outcome, b"weights of " + name.encode())
    failure = TrialOutcome(TrialState.FAILED, {"macs": 2.0}, None, "the loss is not finite", 0.5)
    store.finish_trial(job.id, 1, 1, failure, None)
    store.add_trial(job.id, 1, _trial(3, state=TrialState.SKIPPED, skip_reason=SkipReason.DUPLICATE, same_as=0))
    if end is not None:
        store.finish_job(job.id, 1, end, reason)
    return str(job.id)


def _finish(store: Store, job_id: str) -> None:
    from nas.store.records import RetrainingKey, RetrainingOutcome  # noqa: PLC0415  (older code has none)

    store.request_finish(job_id, {"steps": 40, "seeds": 1, "members": 1, "sample": 0})
    assert store.claim_job_by_id(job_id, "worker", 60) is not None
    key = RetrainingKey(trial=0, steps=40, seed=1)
    store.start_retraining(job_id, 2, key)
    store.end_retraining(job_id, 2, key, RetrainingOutcome(2.0, {"s": 1}, {"e": 0.1}, {"e": 0.2}, b"in full"))
    store.finish_job(job_id, 2, JobState.SUCCEEDED, "done")


def _recall(store: Store) -> None:
    job, _ = store.add_job("recalling", DOCUMENT)
    assert store.claim_job_by_id(job.id, "worker", 60) is not None
    store.add_trial(job.id, 1, _trial(0))
    outcome = TrialOutcome(TrialState.COMPLETE, {"error_rate": 0.25}, {"steps": 3}, None, 0.0, recalled=True)
    store.finish_trial(job.id, 1, 0, outcome, b"weights of ended")
    store.finish_job(job.id, 1, JobState.SUCCEEDED, "budget spent")


def _let_in(store: Store) -> None:
    from nas.store.keys import Owner, Role  # noqa: PLC0415  (older code has none)

    key, _ = store.add_key("anna", Role.ADMIN, "a test", secret="a-secret-of-one's-own-long-enough-to-be-one")
    store.add_audit_entry("anna", "POST /v1/jobs", "/v1/jobs", 201, key_id=key.id)
    store.request_pause(store.add_job("paused", DOCUMENT, "key paused", 7, Owner(key.id))[0].id)


def _trial(number: int, **changes: Any) -> NewTrial:
    values: dict[str, Any] = {
        "number": number,
        "state": TrialState.RUNNING,
        "architecture": {"family": "encoder", "layers": [{"heads": 4}]},
        "architecture_id": f"a-{number}",
        "metrics": {"macs": 1.0 + number},
        "violations": {},
        "sampler": {"params": {"depth": number}},
    }
    return NewTrial(**values | changes)


def rows_of(url: str) -> dict[str, Any]:
    """Return the schema of a database and every row, as JSON values."""
    engine = create_engine(url)
    tables = MetaData()
    tables.reflect(engine)
    found: dict[str, Any] = {}
    with engine.connect() as connection:
        for table in tables.sorted_tables:
            found[table.name] = [
                {name: _plain(value) for name, value in row._mapping.items()}
                for row in connection.execute(select(table))
            ]
    (version,) = found.pop("alembic_version")
    return {"schema": version["version_num"], "rows": {name: rows for name, rows in found.items() if rows}}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return {"instant": value.isoformat()} if isinstance(value, datetime) else value


def main() -> None:
    """Write `SCHEMA.json` into the folder that is given."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        store = Store.open(url)
        store.migrate()
        fill(store)
        store.close()
        document = rows_of(url)
    target = Path(sys.argv[1]) / f"{document['schema']}.json"
    target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(target)


if __name__ == "__main__":
    main()
