"""The figures of a job's evaluated trials as arrays, kept and brought up to date: what is recorded never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from nas.jobs.other_devices import other_devices, predicted
from nas.search.front import Values
from nas.store.records import JobRecord
from nas.store.store import Store

KEPT = 64
AT_ONCE = 500
"""Events that are followed up one by one; after more, everything is read anew."""


@dataclass(frozen=True)
class Evaluated:
    """Some metrics of the complete trials of a job."""

    sequence: int
    """The job's newest event when this was read; of later ones some may be in it."""
    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    """(N,), rising."""
    values: Values
    """(N, len(names)); NaN for a metric that a trial does not have."""

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, names: Sequence[str]) -> Values:
        """Return (N, len(names)) the columns of these names."""
        columns: Values = self.values[:, [self.names.index(name) for name in names]]
        return columns


_kept: OrderedDict[tuple[str, str, tuple[str, ...]], Evaluated] = OrderedDict()
_lock = Lock()


def evaluated_trials(store: Store, job: JobRecord, sequence: int, names: Sequence[str]) -> Evaluated:
    """Return the trials that are complete by event `sequence` of the job, and perhaps later ones.

    Latencies on devices that are none of the job's are predicted, see `nas.jobs.other_devices`.
    """
    elsewhere = {name: found[0] for name in names if (found := other_devices(job, [name]))}
    recorded = _recorded(store, job, sequence, [name for name in names if name not in elsewhere])
    if not elsewhere:
        return recorded
    columns = [predicted(store, job, device).of(recorded.numbers, name) for name, device in elsewhere.items()]
    return Evaluated(
        recorded.sequence,
        (*recorded.names, *elsewhere),
        recorded.numbers,
        np.column_stack([recorded.values, *columns]),
    )


def _recorded(store: Store, job: JobRecord, sequence: int, names: Sequence[str]) -> Evaluated:
    key = (store.address, job.id, tuple(sorted(set(names))))
    with _lock:
        known = _kept.get(key)
    if known is None or known.sequence < sequence:
        known = _read(store, job.id, sequence, key[2]) if known is None else _brought_up_to(store, job.id, known)
    with _lock:
        _kept[key] = known
        _kept.move_to_end(key)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return known


def figures_of(store: Store, job: JobRecord, names: Sequence[str], numbers: Sequence[int]) -> Values:
    """Return (len(numbers), len(names)) the metrics of some complete trials, a few: NaN for what one lacks."""
    elsewhere = {name: found[0] for name in names if (found := other_devices(job, [name]))}
    of_job = [name for name in names if name not in elsewhere]
    wanted = np.array(numbers, dtype=np.int64)
    known, values = _arrays(store.metric_values(job.id, of_job, numbers), len(of_job))
    recorded = values[np.searchsorted(known, wanted)] if len(known) else np.empty((0, len(of_job)))
    columns = [
        predicted(store, job, elsewhere[name]).of(wanted, name)
        if name in elsewhere
        else recorded[:, of_job.index(name)]
        for name in names
    ]
    return np.column_stack(columns)


def _read(store: Store, job_id: str, sequence: int, names: tuple[str, ...]) -> Evaluated:
    return Evaluated(sequence, names, *_arrays(store.metric_values(job_id, names), len(names)))


def _brought_up_to(store: Store, job_id: str, known: Evaluated) -> Evaluated:
    events = store.events_after(job_id, known.sequence, AT_ONCE)
    if not events:
        return known
    sequence = events[-1].sequence
    if len(events) == AT_ONCE:
        return _read(store, job_id, sequence, known.names)
    told = {event.data["number"] for event in events if event.kind == "trial"}
    told -= set(known.numbers[np.isin(known.numbers, list(told))].tolist())
    numbers, values = _arrays(store.metric_values(job_id, known.names, told), len(known.names))
    numbers, values = np.concatenate([known.numbers, numbers]), np.concatenate([known.values, values])
    order = np.argsort(numbers, kind="stable")
    return Evaluated(sequence, known.names, numbers[order], values[order])


def _arrays(rows: list[tuple[float | None, ...]], width: int) -> tuple[NDArray[np.int64], Values]:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + width)  # None becomes NaN
    return table[:, 0].astype(np.int64), table[:, 1:]
