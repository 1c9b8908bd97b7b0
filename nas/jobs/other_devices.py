"""A job's trials on devices that it was not searched for: predicted from their newest tables, without another trial."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput, MissingEntry, NotFound
from nas.jobs.context import BOUND_OF_METRIC, job_metrics, predictor_of, tables_at
from nas.jobs.encoded import EncodedTrials, encoded_trials, search_space_of
from nas.latency.vectorised import VectorisedLatency
from nas.search.front import Values
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo, cost_metrics
from nas.store.records import JobRecord, TrialSummary
from nas.store.store import Store

KEPT = 32
_LATENCY = re.compile(r"\b(latency_(?:lower_|upper_)?ms)@([a-z0-9-]+)")
AnyTrial = TypeVar("AnyTrial", bound=TrialSummary)


@dataclass(frozen=True)
class Predicted:
    """The latencies of a job's trials on one device, by one version of its table."""

    version: int
    numbers: NDArray[np.int64]
    """(N,), rising: the trials whose architecture is in the job's space."""
    values: Values
    """(N, 3): in the order of `BOUND_OF_METRIC`."""

    def of(self, numbers: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
        """Return a metric of this device for these trials; NaN for one that is not known."""
        column = list(BOUND_OF_METRIC).index(metric.partition("@")[0])
        result = np.full(len(numbers), np.nan)
        if len(self.numbers):
            rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
            there = self.numbers[rows] == numbers
            result[there] = self.values[rows[there], column]
        return result


_predicted: OrderedDict[tuple[str, str, str, int], Predicted] = OrderedDict()
_vectorised: OrderedDict[tuple[str, str, str, int], VectorisedLatency] = OrderedDict()
_lock = Lock()


def devices_of(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return the job's devices, then all others, each with the table that it can be ranked by, or why it can't.

    The JobDevices of the REST contract.
    """
    pinned: dict[str, int] = job.document["latency_tables"]
    told = [{"name": name, "recorded": True, "table_version": pinned[name], "reason": None} for name in pinned]
    for device in store.devices():
        if device["name"] not in pinned:
            version, reason = _newest(store, job, device["name"])
            told.append({"name": device["name"], "recorded": False, "table_version": version, "reason": reason})
    return {"devices": told}


def other_devices(job: JobRecord, texts: Iterable[str]) -> list[str]:
    """Return the devices that are none of the job's and that these objectives or limits name."""
    own = job.document["spec"]["devices"]
    return list(dict.fromkeys(name for text in texts for _, name in _LATENCY.findall(text) if name not in own))


def metrics_for(store: Store, job: JobRecord, texts: Sequence[tuple[str, str]]) -> dict[str, MetricInfo]:
    """Return every metric of a job's trials, and those of the other devices that `texts` (field, text) name.

    Raises `InvalidInput` for a device without a table that covers the job's space.
    """
    spec = JobSpec.from_document(job.document["spec"])
    infos = job_metrics(spec, job.document)
    for field, text in texts:
        for device in other_devices(job, [text]):
            version, reason = _newest(store, job, device)
            if version is None:
                raise InvalidInput.of(
                    field, text, "a metric of the job, or a device that can be predicted", str(reason)
                )
            infos |= cost_metrics((device,), job.document["search_space"]["family"])
    return infos


def table_versions(store: Store, job: JobRecord, texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Return the devices that `other_devices` finds, with the version of the table that each is predicted from."""
    found = ((device, _newest(store, job, device)[0]) for device in other_devices(job, texts))
    return tuple((device, version) for device, version in found if version is not None)


def predicted(store: Store, job: JobRecord, device: str) -> Predicted:
    """Return the latencies of all trials on another device; raise `InvalidInput` where there is no table for it."""
    version, reason = _newest(store, job, device)
    if version is None:
        raise InvalidInput.of("device", device, "a device whose latency table covers the job's space", str(reason))
    key = (store.address, job.id, device, version)
    with _lock:
        known = _predicted.get(key)
    trials = encoded_trials(store, job)
    if known is None or len(known.numbers) < len(trials.numbers):
        known = _brought_up_to(known, trials, _latency_of(store, job, device, version), version)
    with _lock:
        _predicted[key] = known
        _predicted.move_to_end(key)
        while len(_predicted) > KEPT:
            _predicted.popitem(last=False)
    return known


def _brought_up_to(
    known: Predicted | None, trials: EncodedTrials, latency: VectorisedLatency, version: int
) -> Predicted:
    start = 0 if known is None else len(known.numbers)
    found = latency.of(trials.encoded[start:])
    values = np.column_stack([getattr(found, bound) for bound in BOUND_OF_METRIC.values()])
    return Predicted(version, trials.numbers, values if known is None else np.concatenate([known.values, values]))


def with_predictions(
    store: Store, job: JobRecord, trials: Sequence[AnyTrial], devices: Iterable[str]
) -> list[AnyTrial]:
    """Return trials with the latencies on other devices among their metrics."""
    result = list(trials)
    numbers = np.array([trial.number for trial in result], dtype=np.int64)
    for device in devices:
        latencies = predicted(store, job, device)
        columns = {f"{kind}@{device}": latencies.of(numbers, kind) for kind in BOUND_OF_METRIC}
        for row, trial in enumerate(result):
            more = {name: float(column[row]) for name, column in columns.items() if np.isfinite(column[row])}
            result[row] = replace(trial, metrics={**trial.metrics, **more})
    return result


def _newest(store: Store, job: JobRecord, device: str) -> tuple[int | None, str | None]:
    """Return the newest version that covers the job's space at its workload; else None, and what to do about it."""
    spec = JobSpec.from_document(job.document["spec"])
    space, workload = job.document["search_space"]["name"], spec.workload
    command = f"nas device profile {device} --space {space} --batch {workload.batch}"
    command += f" --input-length {workload.input_length} --output-length {workload.output_length}"
    reason = f"it has no latency table at {workload.key}: {command}"
    try:
        tables = tables_at(store, device, workload)
    except NotFound:
        return None, f"there is no device {device}"
    for record in tables:
        try:
            _latency_of(store, job, device, record.version)
        except (MissingEntry, InvalidInput):
            reason = f"its latency tables do not cover the space {space}: {command}"
            continue
        return record.version, None
    return None, reason


def _latency_of(store: Store, job: JobRecord, device: str, version: int) -> VectorisedLatency:
    key = (store.address, job.id, device, version)
    with _lock:
        if key in _vectorised:
            _vectorised.move_to_end(key)
            return _vectorised[key]
    made = VectorisedLatency(predictor_of(store, device, version), search_space_of(job))
    with _lock:
        _vectorised[key] = made
        while len(_vectorised) > KEPT:
            _vectorised.popitem(last=False)
    return made
