"""What benchmarks/service.py has its services hold: jobs, recorded trials, and an equal study of Optuna.

Nothing is trained. Architectures are drawn from a bundled space and cost what they cost; their error rates are made up,
lower for larger models, with noise, so that the front has as many members as that of a real search.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models as optuna_tables
from sqlalchemy import Table, create_engine, func, insert, select, update

from nas.architecture import Architecture
from nas.jobs.catalogue import reference_of, submit
from nas.jobs.context import JobContext
from nas.quality.datasets import dataset_info
from nas.search.decisions import distribution_of, parameter_of
from nas.space import SearchSpace
from nas.space.walk import Decision
from nas.store.records import JobRecord, NewTrial, SkipReason, TrialOutcome, TrialState
from nas.store.store import Store
from nas.store.tables import events, jobs, trials

SPACE, DATASET, METRIC = "text-encoder", "language-identification", "error_rate"
OBJECTIVES = (METRIC, "macs")
MOST_PARAMETERS = 4_000_000
CHUNK = 5_000
"""Rows that are made and written at a time."""
FIRST = 100
"""The priority of a large job: a worker takes it before everything else in the database."""
SKIPPED_EVERY = 20
"""One trial of so many has the architecture of the one before it, and is skipped as a duplicate."""
HISTORY = 20
"""Points in the history of each training."""


def job_document(name: str, *, seed: int = 0, trials: int = 100) -> dict[str, Any]:
    """Return a job as a person would submit it, without a device."""
    return {
        "name": name,
        "search_space": SPACE,
        "task": {"dataset": DATASET, "metric": METRIC, "training": {"steps": 300, "batch_size": 32}},
        "workload": {"batch": 1, "input_length": 64},
        "objectives": list(OBJECTIVES),
        "constraints": [f"parameters <= {MOST_PARAMETERS}"],
        "budget": {"trials": trials},
        "sampler": "random",
        "seed": seed,
        "memory": False,
    }


@dataclass(frozen=True)
class Candidate:
    """An architecture with everything that a trial of it would have come to."""

    architecture: Architecture
    costs: dict[str, float]
    error_rate: float

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of the trial."""
        return self.costs | {METRIC: self.error_rate, "loss": 3.5 * self.error_rate}

    @property
    def training(self) -> dict[str, Any]:
        """What is kept of the training."""
        losses = np.linspace(3.5, 3.5 * self.error_rate, HISTORY).round(4)
        steps = range(300 // HISTORY, 301, 300 // HISTORY)
        history = [[step, float(loss)] for step, loss in zip(steps, losses, strict=True)]
        return {"label": "proxy", "steps": 300, "cpu_s": 12.5, "history": history, "hardware": "cpu, float32"}


def candidates(space: SearchSpace, context: JobContext, count: int) -> Iterator[Candidate]:
    """Yield architectures of the job's space that keep its limits, by a fixed seed."""
    rng = np.random.default_rng(0)
    known = context.known_metrics()
    left = count
    while left:
        encoded = space.sample_encoded(CHUNK, rng)
        costs = known(encoded)
        names = sorted(costs)
        for row, architecture in enumerate(space.decode(encoded)):
            if costs["parameters"][row] > MOST_PARAMETERS:
                continue
            own = {name: costs[name][row].item() for name in names}
            error = 1.2 - 0.14 * np.log10(own["parameters"]) + rng.normal(0, 0.03)
            yield Candidate(architecture, own, round(float(np.clip(error, 0.02, 0.99)), 4))
            left -= 1
            if not left:
                return


# A store with a large job -------------------------------------------------------------------------------------


def large_job(store: Store, count: int) -> JobRecord:
    """Return a running job with so many recorded trials, made unless the store has it; its worker is long gone."""
    name = f"large: {count} trials"
    there = [job for job in store.jobs(limit=200)[0] if job.name == name and job.priority == FIRST]
    if there:
        return there[0]
    # Some of the trials are skipped, so that a worker that takes the job up has something left to propose
    job, _ = submit(store, job_document(name, trials=count), None)
    context = JobContext.load(store, job.document)
    begun = datetime.now(UTC) - timedelta(days=3)
    rows: list[dict[str, Any]] = []
    before: Candidate | None = None
    for number, drawn in enumerate(candidates(context.space, context, count)):
        candidate = before if before and _is_skipped(number) else drawn
        before = candidate
        rows.append(_trial_row(job.id, number, candidate, begun + timedelta(seconds=2 * number)))
        if len(rows) == CHUNK or number == count - 1:
            _write_trials(store, rows)
            rows = []
    changes = {
        "state": "running",
        "priority": FIRST,
        "started_at": begun,
        "reference": reference_of(context, dataset_info(DATASET)),
        "lease_owner": "a worker that is gone",
        "lease_token": 1,
        "lease_expires_at": begun,
    }
    _change(store, job, changes)
    with store._database.write() as connection:
        if connection.dialect.name == "postgresql":  # whose autovacuum does this sooner or later; SQLite never
            connection.exec_driver_sql("ANALYZE")
    return store.job(job.id)


def abandon(store: Store, job: JobRecord) -> None:
    """Let the next worker take the job at once, as if the lease of the one before had run out."""
    _change(store, job, {"state": "running", "lease_expires_at": job.created_at})


def _change(store: Store, job: JobRecord, changes: dict[str, Any]) -> None:
    with store._database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(changes))


def _trial_row(job_id: str, number: int, candidate: Candidate, started_at: datetime) -> dict[str, Any]:
    skipped = _is_skipped(number)
    return {
        "job_id": job_id,
        "number": number,
        "state": TrialState.SKIPPED if skipped else TrialState.COMPLETE,
        "skip_reason": SkipReason.DUPLICATE if skipped else None,
        "same_as": number - 1 if skipped else None,
        "architecture": candidate.architecture.to_dict(),
        "architecture_id": candidate.architecture.id,
        "metrics": candidate.costs if skipped else candidate.metrics,
        "violations": {},
        "sampler": {},
        "training": None if skipped else candidate.training,
        "error": None,
        "weights_sha256": None,
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=1.5),
        "duration_s": 1.5,
    }


def _is_skipped(number: int) -> bool:
    return number % SKIPPED_EVERY == SKIPPED_EVERY - 1


def _write_trials(store: Store, rows: list[dict[str, Any]]) -> None:
    told = [
        {
            "job_id": row["job_id"],
            "kind": "trial",
            "data": {"number": row["number"], "state": state},
            "created_at": row["finished_at"],
        }
        for row in rows
        for state in ((TrialState.SKIPPED,) if row["skip_reason"] else (TrialState.RUNNING, TrialState.COMPLETE))
    ]
    with store._database.write() as connection:
        connection.execute(insert(trials), rows)
        connection.execute(insert(events), told)


class RecordingWorker:
    """Holds a job's lease and records trials as a worker would, without any training."""

    def __init__(self, store: Store, job: JobRecord, count: int) -> None:
        """`count` is how many trials will be recorded at most."""
        claimed = store.claim_job_by_id(job.id, "benchmark", lease_s=900)
        if claimed is None:
            raise SystemExit(f"the job {job.id} is held by a worker: give the benchmark a database of its own")
        self.store, self.job = store, claimed
        context = JobContext.load(store, claimed.document)
        self._candidates = iter(list(candidates(context.space, context, count)))  # now: it takes seconds
        self._next_number = sum(1 for _ in store.trial_summaries(job.id))

    def start(self) -> tuple[int, Candidate]:
        """Record the next candidate as running; return its number."""
        number, candidate = self._next_number, next(self._candidates)
        self._next_number += 1
        new = NewTrial(
            number=number,
            state=TrialState.RUNNING,
            architecture=candidate.architecture.to_dict(),
            architecture_id=candidate.architecture.id,
            metrics=candidate.costs,
            violations={},
            skip_reason=None,
            same_as=None,
        )
        self.store.add_trial(self.job.id, self.job.lease_token, new)
        return number, candidate

    def complete(self, number: int, candidate: Candidate) -> None:
        """Record that it was trained."""
        outcome = TrialOutcome(TrialState.COMPLETE, candidate.metrics, candidate.training, None, 1.5)
        self.store.finish_trial(self.job.id, self.job.lease_token, number, outcome, None)


# The same as a study of Optuna --------------------------------------------------------------------------------


def large_study(url: str, store: Store, job: JobRecord) -> int:
    """Write the job's trials as a study of Optuna, made unless it is there; return the study's id.

    What `nas jobs export --optuna` writes of a trial (parameters, values, figures as user attributes), through
    Optuna's own tables: trial by trial it would take an hour.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=url, study_name=job.name, directions=["minimize"] * len(OBJECTIVES), load_if_exists=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(OBJECTIVES))
    study_id = int(study._study_id)
    engine = create_engine(url)
    trial_table = _table(optuna_tables.TrialModel)
    with engine.connect() as connection:
        there = connection.execute(select(func.count()).select_from(trial_table)).scalar_one()
    if not there:
        space = SearchSpace.from_document(job.document["search_space"])
        space = space.for_task(JobContext.load(store, job.document).space.task_shape)
        after = -1
        while page := store.trials(job.id, after=after, limit=CHUNK):
            rows = _study_rows(study_id, space, page)
            with engine.begin() as connection:
                for table, values in rows:
                    connection.execute(insert(table), values)
            after = page[-1].number
    engine.dispose()
    return study_id


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


def _study_rows(study_id: int, space: SearchSpace, page: list[Any]) -> list[tuple[Table, list[dict[str, Any]]]]:
    trial_rows, values, params, attributes = [], [], [], []
    for trial in page:
        trial_id = trial.number + 1
        complete = trial.state is TrialState.COMPLETE
        trial_rows.append(
            {
                "trial_id": trial_id,
                "number": trial.number,
                "study_id": study_id,
                "state": optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.FAIL,
                "datetime_start": trial.started_at.replace(tzinfo=None),
                "datetime_complete": trial.finished_at.replace(tzinfo=None),
            }
        )
        for objective, name in enumerate(OBJECTIVES if complete else ()):
            values.append(
                {
                    "trial_id": trial_id,
                    "objective": objective,
                    "value": trial.metrics[name],
                    "value_type": optuna_tables.TrialValueModel.TrialValueType.FINITE,
                }
            )
        params += _params(trial_id, space, Architecture.from_dict(trial.architecture))
        known = trial.metrics | {"architecture_id": trial.architecture_id}
        attributes += [{"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in known.items()]
    return [
        (_table(optuna_tables.TrialModel), trial_rows),
        (_table(optuna_tables.TrialValueModel), values),
        (_table(optuna_tables.TrialParamModel), params),
        (_table(optuna_tables.TrialUserAttributeModel), attributes),
    ]


def _params(trial_id: int, space: SearchSpace, architecture: Architecture) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    follow = space.follow(architecture)

    def choose(decision: Decision) -> int:
        index = follow(decision)
        distribution = distribution_of(decision)
        rows.append(
            {
                "trial_id": trial_id,
                "param_name": decision.name,
                "param_value": distribution.to_internal_repr(parameter_of(decision, index)),
                "distribution_json": distribution_to_json(distribution),
            }
        )
        return index

    space.walk(choose)
    return rows
