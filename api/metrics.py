"""Figures for Prometheus: requests by route; jobs, leases, trials and evaluations of the store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from nas.store.figures import EndedEvaluation, EvaluationKind, ServiceFigures
from nas.store.records import JobState, RetrainingState, TrialState

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

RECENT_S = 600.0
"""How far back the evaluations are told of: many scrapes long, so that none falls between two of them."""
_EVALUATION_BUCKETS_S = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, math.inf)
_ENDS: Mapping[EvaluationKind, tuple[str, ...]] = {
    EvaluationKind.TRIAL: (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED),
    EvaluationKind.RETRAINING: (RetrainingState.COMPLETE, RetrainingState.FAILED),
}
"""How an evaluation can end; all of them are told from the first scrape on."""


class RequestMetrics:
    """Counts requests and their durations in a registry of its own, so that two apps never share figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("pocketformer_http_requests", "Requests answered.", labels, registry=self.registry)
        self._durations = Histogram(
            "pocketformer_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer; event streams left out.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, scope: Scope, status: int, duration_s: float) -> None:
        """Record one answered request under its route's template, never under what the caller made up."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "unknown")
        self._requests.labels(method, route, str(status)).inc()
        if not route.endswith("/events"):
            self._durations.labels(method, route).observe(duration_s)

    def exposition(self) -> bytes:
        """Return every figure in Prometheus' text format."""
        return generate_latest(self.registry)


class StoreMetrics(Collector):
    """Reads how jobs and trials do from the store whenever Prometheus asks: every server process tells the same."""

    def __init__(self, figures: Callable[[float], ServiceFigures]) -> None:
        """`figures` returns those of the store, with the evaluations of so many seconds."""
        self._figures = figures

    def describe(self) -> Iterator[Metric]:
        """Name the figures without reading the store, which is not open when the collector is registered."""
        yield from (_jobs({}), _oldest_wait(0.0), _leases(0, 0), _trials({}), _window(), _evaluations(()))

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of now."""
        figures = self._figures(RECENT_S)
        yield _jobs(figures.jobs)
        yield _oldest_wait(figures.oldest_wait_s)
        yield _leases(figures.leases_held, figures.leases_expired)
        yield _trials(asdict(figures.trials))
        yield _window()
        yield _evaluations(figures.evaluations)


def _jobs(counts: Mapping[JobState, int]) -> Metric:
    return _by_label("pocketformer_jobs", "Jobs in the store, by state.", "state", counts)


def _oldest_wait(seconds: float) -> Metric:
    text = "For how long the job that has waited longest is queued; 0 where none waits."
    return GaugeMetricFamily("pocketformer_queue_oldest_wait_seconds", text, seconds)


def _leases(held: int, expired: int) -> Metric:
    text = "Running jobs: held by a worker, or expired, which waits for the next worker."
    return _by_label("pocketformer_leases", text, "status", {"held": held, "expired": expired})


def _trials(counts: Mapping[str, int]) -> Metric:
    return _by_label("pocketformer_trials", "Trials in the store, by state; skipped ones by reason.", "state", counts)


def _window() -> Metric:
    text = "How far back the recent evaluations reach."
    return GaugeMetricFamily("pocketformer_recent_window_seconds", text, RECENT_S)


def _evaluations(ended: Iterable[EndedEvaluation]) -> Metric:
    """Return a gauge, for it forgets: a counter read from the store would fall when a job is deleted."""
    family = GaugeHistogramMetricFamily(
        "pocketformer_recent_evaluation_seconds",
        "Durations of the evaluations that ended within the window, by kind and state.",
        labels=["kind", "state"],
    )
    durations: dict[tuple[str, str], list[float]] = {
        (kind, state): [] for kind, states in _ENDS.items() for state in states
    }
    for evaluation in ended:
        durations[evaluation.kind, evaluation.state].append(evaluation.duration_s)
    for labels, values in durations.items():
        buckets = [(_limit(limit), sum(value <= limit for value in values)) for limit in _EVALUATION_BUCKETS_S]
        family.add_metric(labels, buckets, sum(values))
    return family


def _limit(seconds: float) -> str:
    return "+Inf" if math.isinf(seconds) else str(seconds)


def _by_label(name: str, text: str, label: str, counts: Mapping[Any, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
