"""All trials of a job at once, as columns: what a chart, a table and a brush over a hundred thousand of them need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput
from nas.jobs.encoded import encoded_trials, search_space_of
from nas.jobs.features import features_of
from nas.jobs.other_devices import metrics_for, other_devices, predicted
from nas.jobs.view import view_of
from nas.search.objectives import known_metric
from nas.store.records import JobRecord, SkipReason, TrialState
from nas.store.store import Store

MOST_METRICS = 40


def columns_of(
    store: Store, job: JobRecord, metrics: Sequence[str], *, features: bool = False, after: int = -1
) -> dict[str, Any]:
    """Return the trials with some of their metrics and, if asked, what was chosen (the Columns of the REST contract).

    Only trials with a number above `after` are told of. Raises `InvalidInput` for a metric that they neither have nor
    can be predicted.
    """
    asked = list(dict.fromkeys(metrics))
    if len(asked) > MOST_METRICS:
        raise InvalidInput.of("metrics", len(asked), f"at most {MOST_METRICS}", "ask in several requests")
    infos = metrics_for(store, job, [("metrics", name) for name in asked])
    for name in asked:
        known_metric(name, "metrics", infos)
    view = view_of(store, job)
    elsewhere = {name: found[0] for name in asked if (found := other_devices(job, [name]))}
    limited = [c.metric for c in view.constraints]
    recorded = list(dict.fromkeys([*(name for name in asked if name not in elsewhere), *limited]))
    rows = store.trial_columns(job.id, recorded, after)
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(3 + len(recorded))]
    numbers, states, reasons, *values = columns
    by_name: dict[str, list[Any]] = dict(zip(recorded, values, strict=True))
    told = np.array(numbers, dtype=np.int64)
    for name, device in elsewhere.items():
        by_name[name] = _plain(predicted(store, job, device).of(told, name))
    return {
        "numbers": numbers,
        "states": _coded([str(state) for state in TrialState], states),
        "skip_reasons": _coded([str(reason) for reason in SkipReason], reasons),
        "infeasible": told[_infeasible(view.constraints, by_name, len(told))].tolist(),
        "metrics": {name: by_name[name] for name in asked},
        "features": _features(store, job, told) if features else None,
    }


def _coded(options: list[str], values: Sequence[str | None]) -> dict[str, Any]:
    places: dict[str | None, int] = {option: place for place, option in enumerate(options)}
    return {"options": options, "codes": [places.get(value, -1) for value in values]}


def _infeasible(constraints: Sequence[Any], columns: dict[str, Any], count: int) -> NDArray[np.bool_]:
    """Return (N,) which trials break a limit on a metric that they have."""
    broken = np.zeros(count, dtype=np.bool_)
    for constraint in constraints:
        values = np.array(columns[constraint.metric], dtype=np.float64)  # None becomes NaN
        broken |= ~constraint.keeps(values) & ~np.isnan(values)
    return broken


def _features(store: Store, job: JobRecord, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
    trials = encoded_trials(store, job)
    found = features_of(search_space_of(job), trials.encoded)
    if not len(trials.numbers):
        return [{"name": f.name, "options": f.options, "values": [None] * len(numbers)} for f in found]
    rows = np.minimum(np.searchsorted(trials.numbers, numbers), len(trials.numbers) - 1)
    there = trials.numbers[rows] == numbers
    told = []
    for feature in found:
        values = np.where(there, feature.values[rows], np.nan)
        told.append({"name": feature.name, "options": feature.options, "values": _plain(values)})
    return told


def _plain(values: NDArray[np.float64]) -> list[float | int | None]:
    """Return the values as JSON has them: None for NaN, and whole numbers as such, which are shorter."""
    return [None if math.isnan(value) else int(value) if value.is_integer() else value for value in values.tolist()]
