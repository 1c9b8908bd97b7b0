"""A job's trials ranked under some objectives and limits: what everything that is told of a job rests on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from nas.errors import InvalidInput
from nas.jobs.evaluated import Evaluated, evaluated_trials
from nas.jobs.other_devices import metrics_for, other_devices, table_versions, with_predictions
from nas.search.front import Values, front_rows, hypervolume, knee
from nas.search.job import JobSpec
from nas.search.objectives import Constraint, MetricInfo, known_metric, parse_constraint
from nas.store.records import JobRecord, RetrainingRecord, TrialSummary
from nas.store.store import Store

VIEWS_KEPT = 64


@dataclass(frozen=True)
class View:
    """A job's trials ranked under some objectives and limits."""

    objectives: tuple[MetricInfo, ...]
    constraints: tuple[Constraint, ...]
    evaluated: int
    """Complete trials, within the limits or not."""
    front: tuple[int, ...]
    """Trial numbers of the non-dominated feasible trials, best in the last objective first."""
    knee: int | None
    retrainings: tuple[RetrainingRecord, ...]
    """What was trained in full after the search, by trial, steps and seed."""
    hypervolume: float | None
    """0 to 1; None before the first evaluated trial, or where the job has no reference for these objectives."""
    read: Callable[[], tuple[TrialSummary, ...]] = field(repr=False, compare=False)

    @cached_property
    def trials(self) -> tuple[TrialSummary, ...]:
        """Every trial of the job, read when first asked for: then some may be newer than the front."""
        return self.read()


_views: OrderedDict[tuple[Any, ...], View] = OrderedDict()
_lock = Lock()
_ranking = tuple(Lock() for _ in range(32))


def view_of(
    store: Store, job: JobRecord, objectives: list[str] | None = None, constraints: list[str] | None = None
) -> View:
    """Return the job's trials ranked, by its own objectives and limits unless others are given.

    Either may name the latency on another device, see `nas.jobs.other_devices`. Raises `InvalidInput` where an
    objective or limit names a metric that the job's trials neither have nor can be predicted.
    """
    spec = JobSpec.from_document(job.document["spec"])
    names = spec.objectives if objectives is None else objectives
    texts = spec.constraints if constraints is None else constraints
    asked = [(f"objectives[{i}]", name) for i, name in enumerate(names)]
    asked += [(f"constraint[{i}]", text) for i, text in enumerate(texts)]
    metrics = metrics_for(store, job, asked)
    chosen = tuple(known_metric(name, f"objectives[{i}]", metrics) for i, name in enumerate(names))
    if not 1 <= len(chosen) <= 4:
        raise InvalidInput.of("objectives", len(chosen), "1 to 4 metrics", "name them, separated by commas")
    limits = tuple(parse_constraint(text, f"constraint[{i}]", metrics) for i, text in enumerate(texts))
    told = [text for _, text in asked]
    sequence = store.last_sequence(job.id)
    tables = table_versions(store, job, told)
    elsewhere = other_devices(job, told)

    def read() -> tuple[TrialSummary, ...]:
        return tuple(with_predictions(store, job, store.trial_summaries(job.id), elsewhere))

    key = (store.address, job.id, sequence, job.reference is None, chosen, limits, tables)
    if (known := _known(key)) is not None:
        return known
    with _ranking[hash(key) % len(_ranking)]:  # who asks for the same at the same time waits for the first one's answer
        return _known(key) or _ranked(store, job, sequence, key, (chosen, limits), read)


def _known(key: tuple[Any, ...]) -> View | None:
    with _lock:
        if key not in _views:
            return None
        _views.move_to_end(key)
        return _views[key]


def _ranked(
    store: Store,
    job: JobRecord,
    sequence: int,
    key: tuple[Any, ...],
    by: tuple[tuple[MetricInfo, ...], tuple[Constraint, ...]],
    read: Callable[[], tuple[TrialSummary, ...]],
) -> View:
    chosen, limits = by
    evaluated = evaluated_trials(store, job, sequence, [*(o.name for o in chosen), *(limit.metric for limit in limits)])
    retrainings = tuple(store.retrainings(job.id))
    view = _rank(chosen, limits, evaluated, retrainings, job.reference, read)
    with _lock:
        _views[key] = view
        while len(_views) > VIEWS_KEPT:
            _views.popitem(last=False)
    return view


def _rank(
    objectives: tuple[MetricInfo, ...],
    constraints: tuple[Constraint, ...],
    evaluated: Evaluated,
    retrainings: tuple[RetrainingRecord, ...],
    reference: dict[str, Any] | None,
    read: Callable[[], tuple[TrialSummary, ...]],
) -> View:
    eligible = np.ones(len(evaluated), dtype=np.bool_)
    for constraint in constraints:
        eligible &= constraint.keeps(evaluated.of([constraint.metric])[:, 0])
    numbers, values = evaluated.numbers[eligible], evaluated.of([o.name for o in objectives])[eligible]
    maximise = [o.direction == "maximize" for o in objectives]
    rows = front_rows(values, maximise)
    rows.sort(key=lambda row: (values[row, -1] * (-1 if maximise[-1] else 1), numbers[row]))
    # What is not on the front changes neither its knee nor its hypervolume, and may be a hundred thousand rows
    members, front = values[sorted(rows)], numbers[sorted(rows)]
    at_knee = knee(members, maximise)
    volume = _volume(members, objectives, reference) if len(values) else None
    return View(
        objectives,
        constraints,
        len(evaluated),
        tuple(int(numbers[row]) for row in rows),
        None if at_knee is None else int(front[at_knee]),
        retrainings,
        volume,
        read,
    )


def hypervolume_of(
    eligible: Sequence[TrialSummary], objectives: Sequence[MetricInfo], reference: Mapping[str, Any] | None
) -> float | None:
    """Return the hypervolume of trials within the limits, 0 to 1; None without any, or without a reference for it."""
    if not eligible:
        return None
    values = np.array([[t.metrics[o.name] for o in objectives] for t in eligible], dtype=np.float64)
    return _volume(values, objectives, reference)


def _volume(values: Values, objectives: Sequence[MetricInfo], reference: Mapping[str, Any] | None) -> float | None:
    if not reference or any(o.name not in reference["point"] for o in objectives):
        return None
    worst, ideal = ([reference[end][o.name] for o in objectives] for end in ("point", "ideal"))
    return hypervolume(values, [o.direction == "maximize" for o in objectives], worst, ideal)
