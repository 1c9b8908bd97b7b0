"""Compare: two latency tables entry by entry, of one device at two times or of two devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import InvalidInput
from nas.latency.table import LatencyTable

_LARGEST = 10


@dataclass(frozen=True)
class Comparison:
    """The second table against the first: ratios above 1 mean that the second is slower."""

    differs: tuple[tuple[str, str, str], ...]
    """(field, first, second) of what changes a latency and is not the same: device, runtime, recipe, space."""
    shared: int
    """Entries that both have, valid."""
    only_first: int
    only_second: int
    sentinel_ratio: float | None
    """Of the sentinels' calm levels; None where another runtime or precision makes it another program."""
    median_ratio: float
    lower_ratio: float
    """A tenth of the entries is below."""
    upper_ratio: float
    """A tenth of the entries is above."""
    largest: tuple[tuple[str, int, int, float], ...]
    """(key, first ns, second ns, ratio) of the entries that differ most, the median ratio taken out."""


def compare_tables(first: LatencyTable, second: LatencyTable) -> Comparison:
    """Compare two tables; raise `InvalidInput` if they have another workload, or no valid entry in common."""
    if first.workload != second.workload:
        raise InvalidInput.of(
            "workload",
            second.workload.key,
            f"{first.workload.key}, that of the first table",
            "compare tables of one workload",
        )
    ours = {key: entry.latency_ns for key, entry in first.entries.items() if entry.valid}
    theirs = {key: entry.latency_ns for key, entry in second.entries.items() if entry.valid}
    keys = sorted(ours.keys() & theirs.keys())
    if not keys:
        raise InvalidInput.of(
            "tables",
            f"{first.space} and {second.space}",
            "tables that have sub-blocks in common",
            "compare tables of one space, or of spaces that overlap",
        )
    ratios = np.array([theirs[key] / ours[key] for key in keys])
    median = float(np.median(ratios))
    order = np.argsort(-np.abs(np.log(ratios / median)), kind="stable")[:_LARGEST]
    same_program = (first.device.runtime, first.device.precision, first.recipe) == (
        second.device.runtime,
        second.device.precision,
        second.recipe,
    )
    return Comparison(
        differs=_differences(first, second),
        shared=len(keys),
        only_first=len(ours) - len(keys),
        only_second=len(theirs) - len(keys),
        sentinel_ratio=second.sentinel.calm_ns / first.sentinel.calm_ns if same_program else None,
        median_ratio=median,
        lower_ratio=float(np.quantile(ratios, 0.1)),
        upper_ratio=float(np.quantile(ratios, 0.9)),
        largest=tuple((keys[i], ours[keys[i]], theirs[keys[i]], float(ratios[i])) for i in order),
    )


def _differences(first: LatencyTable, second: LatencyTable) -> tuple[tuple[str, str, str], ...]:
    pairs = [(field, getattr(first, field), getattr(second, field)) for field in ("recipe", "space")]
    names = ("hardware", "runtime", "runtime_version", "precision", "threads", "clock", "system")
    pairs = [*((field, getattr(first.device, field), getattr(second.device, field)) for field in names), *pairs]
    return tuple((field, str(ours), str(theirs)) for field, ours, theirs in pairs if ours != theirs)
