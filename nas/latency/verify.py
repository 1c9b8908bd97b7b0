"""Verify: a table's predictions against whole models that took no part in it, measured now."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.errors import InvalidInput
from nas.latency.device import Device
from nas.latency.measure import Measured, measure
from nas.latency.plan import phase_runs
from nas.latency.predict import NS_PER_MS, LatencyPrediction, LatencyPredictor
from nas.latency.table import LatencyTable
from nas.space import SearchSpace

_MANY_KINDS = 256
"""More than a model has layers: each is drawn on its own."""
_TRIES_PER_MODEL = 200


@dataclass(frozen=True)
class Accuracy:
    """How far predictions are from what was measured, of models whose measurement is valid."""

    mean_absolute_percent: float
    largest_percent: float
    within_7_percent: float
    """A share, 0 to 1."""
    within_15_percent: float
    bias_percent: float
    """Above zero: predicted too slow."""
    kendall_tau: float


@dataclass(frozen=True)
class Row:
    """One model: what was said of it and what was found."""

    architecture: Architecture
    prediction: LatencyPrediction
    measured: Measured
    sum_ms: float
    """The sub-blocks measured alone, added up."""
    macs_ms: float
    """Multiply-adds times the constant that fits the table's whole models best."""

    @property
    def difference(self) -> float:
        """Measured against predicted: above zero the model is slower than was said."""
        return self.measured.latency_ms / self.prediction.latency_ms - 1

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the prediction's 90 % interval."""
        return self.prediction.lower_ms <= self.measured.latency_ms <= self.prediction.upper_ms


@dataclass(frozen=True)
class Verification:
    """All rows, and what they come to."""

    rows: tuple[Row, ...]

    @property
    def valid(self) -> tuple[Row, ...]:
        """The rows whose measurement was not disturbed."""
        return tuple(row for row in self.rows if row.measured.valid)

    @property
    def prediction(self) -> Accuracy:
        """Of the table's predictions."""
        return self._accuracy(lambda row: row.prediction.latency_ms)

    @property
    def naive_sum(self) -> Accuracy:
        """Of the sum of sub-blocks measured alone."""
        return self._accuracy(lambda row: row.sum_ms)

    @property
    def scaled_macs(self) -> Accuracy:
        """Of multiply-adds times the best constant."""
        return self._accuracy(lambda row: row.macs_ms)

    @property
    def inside_share(self) -> float:
        """The share of the measurements inside their 90 % interval, 0 to 1."""
        return statistics.mean(row.inside for row in self.valid)

    def _accuracy(self, of: Callable[[Row], float]) -> Accuracy:
        return accuracy([of(row) for row in self.valid], [row.measured.latency_ms for row in self.valid])


def accuracy(predicted: Sequence[float], measured: Sequence[float]) -> Accuracy:
    """Return how far two columns are apart; NaN as Kendall's τ of a single model."""
    errors = [p / m - 1 for p, m in zip(predicted, measured, strict=True)]
    sizes = [abs(error) for error in errors]
    return Accuracy(
        mean_absolute_percent=100 * statistics.mean(sizes),
        largest_percent=100 * max(sizes),
        within_7_percent=statistics.mean(size <= 0.07 for size in sizes),
        within_15_percent=statistics.mean(size <= 0.15 for size in sizes),
        bias_percent=100 * statistics.mean(errors),
        kendall_tau=float(kendalltau(predicted, measured).statistic) if len(errors) > 1 else float("nan"),
    )


def fresh_models(table: LatencyTable, space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Return different architectures that the table was not made from, every width and depth equally likely.

    The same for the same seed. Raises `InvalidInput` if the space has not so many.
    """
    rng = random.Random(f"verify {seed}")
    known = {str(model.architecture["id"]) for model in table.whole_models}
    found: dict[str, Architecture] = {}
    for _ in range(count * _TRIES_PER_MODEL):
        architecture = space.architecture(space.spread(rng, kinds=_MANY_KINDS))
        if architecture.id not in known:
            found[architecture.id] = architecture
        if len(found) == count:
            return list(found.values())
    raise InvalidInput.of(
        "models",
        count,
        f"at most about {len(found)}: space {space.name} has no more that the table was not made from",
        "ask for fewer",
    )


def verify(
    table: LatencyTable,
    architectures: Sequence[Architecture],
    device: Device,
    *,
    seed: int = 0,
    patience_s: float = 120.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verification:
    """Measure whole models now and hold them against the table; see `measure` for what is raised."""
    predictor = LatencyPredictor(table)
    predictions = [predictor.predict(architecture) for architecture in architectures]
    measured = measure(
        architectures, table.workload, device, reference=table, seed=seed, patience_s=patience_s, progress=progress
    )
    ms_per_mac = _ms_per_mac(table)
    rows = []
    for architecture, prediction, found in zip(architectures, predictions, measured, strict=True):
        runs = phase_runs(architecture.family, table.workload)
        totals = predictor.totals(architecture)
        rows.append(
            Row(
                architecture,
                prediction,
                found,
                sum_ms=sum(runs[phase] * float(totals[phase].sum_ns) for phase in runs) / NS_PER_MS,
                macs_ms=costs_of(architecture, table.workload).macs * ms_per_mac,
            )
        )
    return Verification(tuple(rows))


def _ms_per_mac(table: LatencyTable) -> float:
    """Return the median over the table's whole models."""
    ratios = []
    for architecture, measured in table.valid_models:
        runs = phase_runs(architecture.family, table.workload)
        whole_ms = sum(runs[phase] * found.latency_ns for phase, found in measured.items()) / NS_PER_MS
        ratios.append(whole_ms / costs_of(architecture, table.workload).macs)
    return statistics.median(ratios)
