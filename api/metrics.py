"""Figures for Prometheus: requests by route, and jobs by state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Scope

from nas.store.records import JobState

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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


class JobsByState(Collector):
    """Reads the number of jobs in each state from the store whenever Prometheus asks."""

    def __init__(self, count_jobs: Callable[[], Mapping[JobState, int]]) -> None:
        self._count_jobs = count_jobs

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the figures without reading the store, which is not open when the collector is registered."""
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one gauge with a sample a state."""
        family = self._family()
        for state, count in self._count_jobs().items():
            family.add_metric([state], count)
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("pocketformer_jobs", "Jobs in the store, by state.", labels=["state"])
