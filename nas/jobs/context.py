"""A job's context: its document turned back into the objects that run it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from nas.architecture import Architecture, TaskShape
from nas.costs import VectorisedCosts, costs_of
from nas.errors import InvalidInput, Problem
from nas.jobs.own_data import reference_of_dataset
from nas.jobs.spaces import space_of
from nas.latency.extremes import Bound
from nas.latency.measurement import PROTOCOL
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.latency.vectorised import VectorisedLatency
from nas.quality.datasets import Reference
from nas.quality.metrics import metric
from nas.search.cost_aware import CandidateSource, SpaceCandidates
from nas.search.cost_aware.space import KnownMetrics
from nas.search.job import JobSpec
from nas.search.objectives import Constraint, MetricInfo, cost_metrics, known_metric, parse_constraint
from nas.search.samplers import SamplerSetting
from nas.space import Encoded, SearchSpace
from nas.store.records import LatencyTableRecord
from nas.store.store import Store
from nas.workload import Workload

PREDICTORS_KEPT = 32
BOUND_OF_METRIC: dict[str, Bound] = {
    "latency_ms": "latency_ms",
    "latency_lower_ms": "lower_ms",
    "latency_upper_ms": "upper_ms",
}
"""The metrics of a device, and what they are of a prediction."""


@dataclass(frozen=True)
class JobContext:
    """What a job works with. Everything in it follows from the job's document and the pinned tables."""

    spec: JobSpec
    space: SearchSpace
    dataset: Reference
    dataset_sha256: str
    metrics: dict[str, MetricInfo]
    """Every metric that the job's trials may have."""
    objectives: tuple[MetricInfo, ...]
    constraints: tuple[Constraint, ...]
    predictors: dict[str, LatencyPredictor]
    """By device."""
    start: tuple[Architecture, ...]
    """Come before what the sampler proposes."""

    @classmethod
    def load(cls, store: Store, document: dict[str, Any]) -> JobContext:
        """Build from a job's kept document; raise `InvalidInput` where objectives or constraints are wrong."""
        spec = JobSpec.from_document(document["spec"])
        space = space_of(document["search_space"], TaskShape(**document["task_shape"]))
        predictors = {
            device: predictor_of(store, device, version) for device, version in document["latency_tables"].items()
        }
        metrics = job_metrics(spec, document)
        problems: list[Problem] = []
        objectives: list[MetricInfo] = []
        constraints: list[Constraint] = []
        for index, name in enumerate(spec.objectives):
            try:
                objectives.append(known_metric(name, f"objectives[{index}]", metrics))
            except InvalidInput as error:
                problems.extend(error.problems)
        for index, text in enumerate(spec.constraints):
            try:
                constraints.append(parse_constraint(text, f"constraints[{index}]", metrics))
            except InvalidInput as error:
                problems.extend(error.problems)
        if problems:
            raise InvalidInput(problems)
        return cls(
            spec,
            space,
            reference_of_dataset(document),
            document["dataset"]["sha256"],
            metrics,
            tuple(objectives),
            tuple(constraints),
            predictors,
            tuple(Architecture.from_dict(each) for each in document.get("start", [])),
        )

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """Return every metric that is known before training: exact costs, predicted latency on each device."""
        result: dict[str, float] = costs_of(architecture, self.spec.workload).named(architecture.family)
        for device, predictor in self.predictors.items():
            prediction = predictor.predict(architecture)
            for metric_name, bound in BOUND_OF_METRIC.items():
                result[f"{metric_name}@{device}"] = getattr(prediction, bound)
        return result

    def known_metrics(self) -> KnownMetrics:
        """Return `costs` for many architectures at once; every sub-block of the space is counted for it, in seconds."""
        exact = VectorisedCosts(self.space, self.spec.workload)
        latencies = {name: VectorisedLatency(predictor, self.space) for name, predictor in self.predictors.items()}

        def of(encoded: Encoded) -> dict[str, NDArray[Any]]:
            result: dict[str, NDArray[Any]] = dict(exact.of(encoded))
            for device, latency in latencies.items():
                predicted = latency.of(encoded)
                for metric_name, bound in BOUND_OF_METRIC.items():
                    result[f"{metric_name}@{device}"] = getattr(predicted, bound)
            return result

        return of

    def sampler_setting(self, point: Mapping[str, float]) -> SamplerSetting:
        """Return what the job's sampler may know; `point` is what hypervolume is measured against, by objective.

        What breaks a limit on an objective is of no use, however much hypervolume it would add.
        """
        reference = dict(point)
        for c in self.constraints:
            if c.metric in reference:
                least = self.metrics[c.metric].direction == "minimize"
                if least == (c.operator == "<="):
                    reference[c.metric] = (min if least else max)(reference[c.metric], c.limit)

        def candidates() -> CandidateSource:
            return SpaceCandidates(self.space, self.objectives, self.constraints, self.known_metrics())

        return SamplerSetting(self.spec.seed, candidates, tuple(reference[o.name] for o in self.objectives))


def quality_metrics(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the metrics of quality that a job's trials have, from its kept document."""
    evaluator = document["spec"]["task"].get("evaluator")
    if evaluator is not None:
        return tuple(evaluator["metrics"])
    # Documents of the first release don't say so; all their datasets were of this kind
    return tuple(document["dataset"].get("metrics", ("error_rate", "loss")))


def job_metrics(spec: JobSpec, document: dict[str, Any]) -> dict[str, MetricInfo]:
    """Return every metric that the trials of a job may have, by its kept document; the task's first."""
    names = dict.fromkeys((spec.task.metric, *quality_metrics(document)))
    declared = spec.task.evaluator.as_metrics() if spec.task.evaluator is not None else {}
    known = {name: declared.get(name) or metric(name) for name in names}
    infos = {
        name: MetricInfo(name, m.label.capitalize(), m.direction, m.unit, False, m.worst) for name, m in known.items()
    }
    return infos | cost_metrics(spec.devices, document["search_space"]["family"])


def tables_at(store: Store, device: str, workload: Workload) -> list[LatencyTableRecord]:
    """Return a device's tables for a workload, newest first, those of another measuring protocol left out.

    Raises `NotFound` for an unknown device.
    """
    tables = (t for t in store.latency_tables(device) if t.workload_key == workload.key)
    return sorted((t for t in tables if t.summary.get("protocol", PROTOCOL) == PROTOCOL), key=lambda t: -t.version)


_predictors: OrderedDict[tuple[str, str, int], LatencyPredictor] = OrderedDict()
_lock = Lock()


def predictor_of(store: Store, device: str, version: int) -> LatencyPredictor:
    """Return the predictor of one version of a device's table, fitted once and kept: a table never changes."""
    key = (store.address, device, version)
    with _lock:
        if key in _predictors:
            _predictors.move_to_end(key)
            return _predictors[key]
    predictor = LatencyPredictor(LatencyTable.from_dict(store.latency_table(device, version).document))
    with _lock:
        _predictors[key] = predictor
        while len(_predictors) > PREDICTORS_KEPT:
            _predictors.popitem(last=False)
    return predictor
