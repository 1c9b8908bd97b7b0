"""How a job's hypervolume has grown over its evaluations, kept until something happens."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np

from nas.jobs.evaluated import evaluated_trials
from nas.jobs.view import view_of
from nas.search.growth import growth
from nas.store.records import JobRecord
from nas.store.store import Store

KEPT = 32
_kept: OrderedDict[tuple[str, str, int], list[tuple[int, int, float]]] = OrderedDict()
_lock = Lock()


def progress_by_trial(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return the trials that raised the hypervolume, by number, and to what (the Growth of the REST contract)."""
    view = view_of(store, job)
    names = [objective.name for objective in view.objectives]
    if not job.reference or any(name not in job.reference["point"] for name in names):
        return {"evaluated": view.evaluated, "steps": None}
    sequence = store.last_sequence(job.id)
    key = (store.address, job.id, sequence)
    with _lock:
        known = _kept.get(key)
    if known is None:
        known = _steps(store, job, sequence)
    with _lock:
        _kept[key] = known
        _kept.move_to_end(key)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    told = [{"trial": trial, "evaluations": count, "hypervolume": volume} for trial, count, volume in known]
    return {"evaluated": view.evaluated, "steps": told}


def _steps(store: Store, job: JobRecord, sequence: int) -> list[tuple[int, int, float]]:
    assert job.reference is not None
    view = view_of(store, job)
    names = [objective.name for objective in view.objectives]
    trials = evaluated_trials(store, job, sequence, [*names, *(c.metric for c in view.constraints)])
    eligible = np.ones(len(trials), dtype=np.bool_)
    for constraint in view.constraints:
        eligible &= constraint.keeps(trials.of([constraint.metric])[:, 0])
    rows = np.flatnonzero(eligible)
    worst, best = ([job.reference[end][name] for name in names] for end in ("point", "ideal"))
    maximise = [objective.direction == "maximize" for objective in view.objectives]
    found = growth(trials.of(names)[rows], maximise, worst, best)
    return [(int(trials.numbers[rows[row]]), int(rows[row]) + 1, volume) for row, volume in found]
