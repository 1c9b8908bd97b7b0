"""What differs between jobs, and what it means for comparing their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nas.costs import cost_names
from nas.search.job import JobSpec
from nas.store.records import JobRecord
from nas.store.store import Store

Told = Callable[[JobRecord, JobSpec], str]

_QUALITY = "scores"
_LATENCY = "latencies"
_COSTS = "MACs and memory"


def _dataset(job: JobRecord, spec: JobSpec) -> str:  # noqa: ARG001  (each says it of the same two)
    dataset = job.document["dataset"]
    return f"{dataset['name']} ({dataset['sha256'][:8]})"


def _training(job: JobRecord, spec: JobSpec) -> str:  # noqa: ARG001
    plan = spec.task.training
    words = f"{plan.steps} steps of {plan.batch_size} at {plan.learning_rate:g}"
    return words if spec.promotion is None else f"{words}, promoted"


def _tables(job: JobRecord, spec: JobSpec) -> str:  # noqa: ARG001
    tables = job.document["latency_tables"]
    return ", ".join(f"{device}: table {version}" for device, version in tables.items()) or "none"


def _workload(job: JobRecord, spec: JobSpec) -> str:  # noqa: ARG001
    w = spec.workload
    return f"batch {w.batch}, {w.input_length} tokens in" + (f", {w.output_length} out" if w.output_length else "")


def _evaluator(job: JobRecord, spec: JobSpec) -> str:  # noqa: ARG001
    return spec.task.evaluator.function if spec.task.evaluator is not None else "the dataset's own"


_FIELDS: tuple[tuple[str, Told, tuple[str, ...]], ...] = (
    ("Dataset", _dataset, (_QUALITY,)),
    ("Evaluator", _evaluator, (_QUALITY,)),
    ("Training", _training, (_QUALITY,)),
    ("Workload", _workload, (_QUALITY, _LATENCY, _COSTS)),
    ("Latency tables", _tables, ()),  # of the same device within what their intervals say
    ("Search space", lambda job, _: str(job.document["search_space"]["name"]), ()),
    ("Limits", lambda _, spec: "; ".join(spec.constraints) or "none", ()),
    ("Trials", lambda _, spec: str(spec.budget.trials), ()),
    ("Sampler", lambda _, spec: spec.sampler, ()),
    ("Seed", lambda _, spec: str(spec.seed), ()),
)


def differences_between(store: Store, jobs: Sequence[JobRecord], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the jobs differ in; of what keeps numbers of these metrics apart, which numbers.

    What differs and harms no comparison, such as the seed, has no `not_comparable`.
    """
    specs = [JobSpec.from_document(job.document["spec"]) for job in jobs]
    concerned = {kind_of(name) for name in metrics}
    result = []
    for field, told, apart in _FIELDS:
        values = [told(job, spec) for job, spec in zip(jobs, specs, strict=True)]
        if len(set(values)) > 1:
            kinds = (_LATENCY,) if told is _tables and _other_devices(store, jobs) else apart
            result.append(
                {"field": field, "values": values, "not_comparable": [kind for kind in kinds if kind in concerned]}
            )
    return result


def _other_devices(store: Store, jobs: Sequence[JobRecord]) -> bool:
    """Return whether a device of one job was something else when another job's table of it was measured."""
    seen: dict[str, set[str]] = {}
    for job in jobs:
        for device, version in job.document["latency_tables"].items():
            found = next((t.fingerprint for t in store.latency_tables(device) if t.version == version), "unknown")
            seen.setdefault(device, set()).add(found)
    return any(len(fingerprints) > 1 for fingerprints in seen.values())


def kind_of(metric: str) -> str | None:
    """Return which kind of number a metric is; None of what follows from an architecture alone."""
    if metric.startswith("latency_"):
        return _LATENCY
    if metric not in cost_names("encoder-decoder") and metric not in cost_names("decoder"):
        return _QUALITY
    alone = metric.startswith(("parameters", "size_"))
    return None if alone else _COSTS
