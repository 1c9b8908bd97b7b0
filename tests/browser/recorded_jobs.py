"""Jobs whose trials a test records through the store, as a worker would, without any training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from nas.architecture import Architecture, TaskShape
from nas.costs import macs_of_call
from nas.export.weights import weights_to_bytes
from nas.jobs import inventory
from nas.jobs.catalogue import submit
from nas.jobs.context import JobContext
from nas.latency.device import Device
from nas.latency.measurement import PROTOCOL, Launch, Measurement
from nas.latency.plan import phase_runs, whole_models_of
from nas.latency.table import LatencyTable
from nas.models import build_model
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.store.records import (
    JobRecord,
    JobState,
    NewTrial,
    RetrainingKey,
    RetrainingOutcome,
    SkipReason,
    TrialOutcome,
    TrialState,
)
from nas.store.store import Store
from nas.sub_blocks.calls import Call, calls
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

DEVICE = "bench-board"
LATENCY = f"latency_ms@{DEVICE}"
WORKLOAD = Workload(input_length=16)


def job_document(**changes: Any) -> dict[str, Any]:
    """Return a job of the small space on the device of these tests, with some fields changed."""
    return {
        "name": "languages",
        "search_space": "smoke",
        "task": {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 3}},
        "workload": WORKLOAD.model_dump(),
        "devices": [DEVICE],
        "objectives": ["error_rate", LATENCY],
        "constraints": ["parameters <= 24000"],
        "budget": {"trials": 20},
        "sampler": "random",
    } | changes


def add_device(
    store: Store, space_name: str = "smoke", workload: Workload = WORKLOAD, name: str = DEVICE, constant_ns: int = 4000
) -> None:
    """Record a device with a latency table whose times follow the multiply-adds, and a constant for each call."""
    device, table = device_and_table(space_name, workload, name, constant_ns)
    inventory.add_device(store, device.model_dump(mode="json"))
    inventory.add_table(store, name, table.to_dict())


def device_and_table(
    space_name: str = "smoke", workload: Workload = WORKLOAD, name: str = DEVICE, constant_ns: int = 4000
) -> tuple[Device, LatencyTable]:
    """Return a device, and a latency table of it whose times follow the multiply-adds, and a constant for each call."""
    device = Device(
        name=name,
        hardware="Example CPU (x86_64)",
        cores=2,
        memory_mb=4000,
        runtime="onnxruntime",
        runtime_version="1.32.0",
        threads=1,
        precision="fp32",
        clock="unmanaged",
        system="Linux 6.1",
    )
    return device, table_of(device, space_name, workload, lambda call: constant_ns + macs_of_call(call) // 5)


def table_of(
    device: Device,
    space_name: str,
    workload: Workload,
    duration_ns: Callable[[Call], int],
    deviations: Sequence[float] = (-0.03, 0.03) * 4,
) -> LatencyTable:
    """Return a latency table of these durations, and of a whole model for each deviation from their sum."""
    info = dataset_info("language-identification")
    shape = TaskShape(info.vocabulary_size, info.outputs, workload.input_length)
    space = SearchSpace.bundled(space_name).for_task(shape)
    alone_ns = {call.key: duration_ns(call) for call in calls_of_space(space, workload)}
    whole_models = []
    drawn = whole_models_of(space, workload, len(deviations), seed=0)
    for architecture, deviation in zip(drawn, deviations, strict=True):
        phases = {}
        for phase in phase_runs(space.family, workload):
            sum_ns = sum(alone_ns[call.key] for call in calls(architecture, workload, phase))
            phases[phase] = _measured(round(sum_ns * (1 + deviation)))
        whole_models.append({"architecture": architecture.to_dict(), "phases": phases})
    return LatencyTable.from_dict(
        {
            "protocol": PROTOCOL,
            "device": device.model_dump(mode="json"),
            "recipe": "written by a test",
            "workload": workload.model_dump(),
            "space": space.name,
            "created_at": datetime.now(UTC).isoformat(),
            "circumstances": {"cpu": 0, "scheduled": "usual", "duration_s": 1.0, "before": None, "after": None},
            "sentinel": {"readings_ns": [1_000_000], "calm_ns": 1_000_000},
            "entries": {key: _measured(ns) for key, ns in alone_ns.items()},
            "whole_models": whole_models,
        }
    )


def _measured(latency_ns: int) -> dict[str, Any]:
    launch = Launch(
        "graph",
        latency_ns,
        iterations=50,
        interrupted=0,
        stolen=0.0,
        late_early_ratio=1.0,
        difference=0.0,
        sentinel_ns=1_000_000,
    )
    return Measurement.of([launch] * 5, 1_000_000).model_dump(mode="json")


class RecordedJob:
    """Holds the lease of a job and records trials with chosen errors."""

    def __init__(self, store: Store, **changes: Any) -> None:
        document = job_document(**changes)
        evaluator = document["task"].get("evaluator")
        record, _ = submit(store, document, evaluators=[evaluator["function"]] if evaluator else ())
        claimed = store.claim_job_by_id(record.id, "test", lease_s=600)
        assert claimed is not None
        self.store, self.job = store, claimed
        self.id = claimed.id
        self.context = JobContext.load(store, claimed.document)
        self._token = claimed.lease_token
        self._architectures: Iterator[Architecture] = self._feasible_architectures()
        self.why: dict[str, Any] | None = None
        """Why the next candidates are proposed, as a sampler would say."""
        self._number = 0

    @classmethod
    def queued(cls, store: Store, **changes: Any) -> JobRecord:
        """Submit a job that no worker takes."""
        return submit(store, job_document(**changes))[0]

    def _feasible_architectures(self) -> Iterator[Architecture]:
        rng, seen = random.Random(6), set()
        while True:
            architecture = self.context.space.sample(rng)
            if architecture.id not in seen and not self._violations(self.context.costs(architecture)):
                seen.add(architecture.id)
                yield architecture

    def set_reference(self, point: dict[str, float], ideal: dict[str, float]) -> None:
        self.store.set_reference(self.id, self._token, {"point": point, "ideal": ideal})

    def complete(self, error_rate: float, *, weights: bool = False, recalled: dict[str, Any] | None = None) -> int:
        """Record a new candidate as trained to this error rate, here or by another job; return its number."""
        quality = {"error_rate": error_rate, "loss": 4 * error_rate}
        return self.complete_with(quality, weights=weights, recalled=recalled)

    def complete_with(
        self, quality: dict[str, float], *, weights: bool = False, recalled: dict[str, Any] | None = None
    ) -> int:
        """Record a new candidate as scored so; return its number."""
        number, architecture = self._begin()
        metrics = self.context.costs(architecture) | quality
        error_rate = next(iter(quality.values()))
        history = [[step, 3.5 - 0.9 * step + error_rate] for step in range(1, 4)]
        training = {"label": "proxy", "steps": 3, "cpu_s": 0.1, "history": history}
        content = weights_to_bytes(build_model(architecture).state_dict()) if weights else None
        if recalled is not None:
            training |= {"recalled": recalled, "steps_taken": 0}
        outcome = TrialOutcome(TrialState.COMPLETE, metrics, training, None, 0.5, recalled=recalled is not None)
        self.store.finish_trial(self.id, self._token, number, outcome, content)
        return number

    def complete_front(self, errors: Sequence[float]) -> None:
        """Record new candidates that are all on the front: the slower, the better."""
        chosen = sorted((next(self._architectures) for _ in errors), key=lambda a: self.context.costs(a)[LATENCY])
        self._architectures = chain(chosen, self._architectures)
        for error_rate in sorted(errors, reverse=True):
            self.complete(error_rate)

    def fail(self, error: str) -> int:
        """Record a new candidate whose training failed."""
        number, architecture = self._begin()
        outcome = TrialOutcome(TrialState.FAILED, self.context.costs(architecture), None, error, 0.1)
        self.store.finish_trial(self.id, self._token, number, outcome, None)
        return number

    def begin(self) -> int:
        """Record a new candidate as being trained."""
        return self._begin()[0]

    def skip_as_duplicate_of(self, first: int) -> int:
        """Record the candidate of an earlier trial once more."""
        architecture = Architecture.from_dict(self.store.trial(self.id, first).architecture)
        return self._add(architecture, TrialState.SKIPPED, SkipReason.DUPLICATE, first)

    def skip_over_limit(self) -> int:
        """Record a candidate that breaks a limit."""
        rng = random.Random(1)
        while True:
            architecture = self.context.space.sample(rng)
            if self._violations(self.context.costs(architecture)):
                return self._add(architecture, TrialState.SKIPPED, SkipReason.OVER_LIMIT)

    def finish(self, state: JobState = JobState.SUCCEEDED, reason: str | None = "budget spent") -> None:
        self.store.finish_job(self.id, self._token, state, reason)

    def begin_finishing(self) -> None:
        """Take the job that is queued to be finished."""
        claimed = self.store.claim_job_by_id(self.id, "test", lease_s=600)
        assert claimed is not None
        self._token = claimed.lease_token

    def retrain(self, key: RetrainingKey, proxy: float, trained: float, tested: float, searched_steps: int = 3) -> None:
        """Record a training in full by its error rates: after the search's steps, at its end, and on test."""
        self.store.start_retraining(self.id, self._token, key)
        training = {"label": "trained", "head_confidence": 0.1 * trained}
        score = {"steps": searched_steps, "metrics": {"error_rate": proxy, "loss": 4 * proxy}}
        self.store.score_retraining(self.id, self._token, key, score, training, 1.0)
        ends = [{"error_rate": value, "loss": 4 * value} for value in (trained, tested)]
        outcome = RetrainingOutcome(1.0, training, ends[0], ends[1], f"{key}".encode())
        self.store.end_retraining(self.id, self._token, key, outcome)

    def _begin(self) -> tuple[int, Architecture]:
        architecture = next(self._architectures)
        return self._add(architecture, TrialState.RUNNING), architecture

    def _violations(self, metrics: dict[str, float]) -> dict[str, float]:
        return {
            c.text: c.violation(metrics)
            for c in self.context.constraints
            if c.metric in metrics and c.violation(metrics) > 0
        }

    def _add(
        self,
        architecture: Architecture,
        state: TrialState,
        reason: SkipReason | None = None,
        same_as: int | None = None,
    ) -> int:
        number, self._number = self._number, self._number + 1
        metrics = self.context.costs(architecture)
        why = {"why": self.why} if self.why else {}
        new = NewTrial(
            number=number,
            state=state,
            architecture=architecture.to_dict(),
            architecture_id=architecture.id,
            metrics=metrics,
            violations=self._violations(metrics),
            skip_reason=reason,
            same_as=same_as,
            sampler=why,
        )
        self.store.add_trial(self.id, self._token, new)
        return number
