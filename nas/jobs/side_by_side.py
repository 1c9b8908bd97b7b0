"""Two architectures side by side: every metric with its ratio, and every choice that differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from nas.errors import InvalidInput
from nas.jobs.comparing import common_metrics
from nas.jobs.differences import differences_between, kind_of
from nas.jobs.report import describe_trial
from nas.jobs.view import view_of
from nas.store.records import JobRecord, TrialRecord
from nas.store.store import Store

_IDENTITY = ("schema", "id")


def compare_trials(store: Store, named: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return two trials, of one job or of two, side by side.

    Raises `NotFound` for an unknown job or trial, `InvalidInput` unless two different ones are named.
    """
    if len(set(named)) != 2 or len(named) != 2:
        given = ", ".join(f"{job}:{number}" for job, number in named)
        raise InvalidInput.of("trial", given, "two different trials", "name them as `trial=JOB:3&trial=JOB:7`")
    jobs = [store.job(job_id) for job_id, _ in named]
    trials = [store.trial(job.id, number) for job, (_, number) in zip(jobs, named, strict=True)]
    differ = [] if jobs[0].id == jobs[1].id else differences_between(store, jobs, list(common_metrics(jobs)))
    apart = {kind for difference in differ for kind in difference["not_comparable"]}
    return {
        "trials": [
            {
                "job": job.id,
                "job_name": job.name,
                "page": f"/jobs/{job.id}?trial={trial.number}",
                "trial": describe_trial(job, trial, view_of(store, job)),
            }
            for job, trial in zip(jobs, trials, strict=True)
        ],
        "metrics": list(_metrics(jobs, trials, apart)),
        "changes": list(_changes(trials[0].architecture, trials[1].architecture)),
        "differences": differ,
    }


def _metrics(jobs: Sequence[JobRecord], trials: Sequence[TrialRecord], apart: set[str]) -> Iterator[dict[str, Any]]:
    for name, info in common_metrics(jobs).items():
        values = [trial.metrics.get(name) for trial in trials]
        if all(value is None for value in values):
            continue
        first, second = values
        known = first is not None and second is not None
        comparable = known and kind_of(name) not in apart
        better = None
        if comparable and first is not None and second is not None and first != second:
            better = int((second < first) == (info.direction == "minimize"))
        yield {
            "name": name,
            "label": info.label,
            "unit": info.unit,
            "direction": info.direction,
            "label_of_quality": None if info.known_before_training else "proxy",
            "values": values,
            "ratio": _ratio(first, second),
            "comparable": comparable,
            "better": better,
        }


def _ratio(first: float | None, second: float | None) -> float | None:
    if first is None or second is None or not first:
        return None
    ratio = second / first
    return ratio if math.isfinite(ratio) else None


def _changes(one: dict[str, Any], other: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every choice in which two architectures differ, from the input to the output."""
    parts = [dict(_parts(document)) for document in (one, other)]
    for part in dict.fromkeys([*parts[0], *parts[1]]):
        of_part = [found.get(part) for found in parts]
        names = dict.fromkeys(name for fields in of_part if fields is not None for name in fields)
        for name in names:
            values = [None if fields is None else fields.get(name) for fields in of_part]
            if values[0] != values[1]:
                yield {"part": part, "choice": name, "values": [_text(value) for value in values]}


def _parts(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name of a part, its choices): the model as a whole, each stack, each of its layers."""
    stacks = {name: document[name] for name in ("encoder", "decoder") if isinstance(document.get(name), dict)}
    whole = {name: value for name, value in document.items() if name not in (*stacks, *_IDENTITY)}
    yield "model", dict(_flat(whole))
    for name, stack in stacks.items():
        layers = stack.get("layers", [])
        yield name, {"layers": len(layers)} | dict(_flat({k: v for k, v in stack.items() if k != "layers"}))
        for index, layer in enumerate(layers):
            yield f"{name} layer {index + 1}", dict(_flat(layer))


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{name} ")
        else:
            yield f"{before}{name}".replace("_", " "), inner


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
