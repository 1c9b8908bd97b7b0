"""What the API's tests send: job documents, and trials recorded as a worker would record them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from nas.costs import parameters_of_sub_block
from nas.export.weights import weights_to_bytes
from nas.jobs.context import JobContext
from nas.latency.device import Device
from nas.latency.measurement import PROTOCOL, Launch, Measurement
from nas.latency.plan import phase_runs, whole_models_of
from nas.latency.table import Circumstances, Entry, LatencyTable, Sentinel, WholeModel
from nas.models import build_model
from nas.search.finish import Finish
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
from nas.sub_blocks.calls import calls
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload


def job_document(**changes: Any) -> dict[str, Any]:
    """Return a job that needs no device, with some fields changed."""
    return {
        "name": "languages",
        "search_space": "smoke",
        "task": {
            "dataset": "language-identification",
            "metric": "error_rate",
            "training": {"steps": 3, "batch_size": 8},
        },
        "workload": {"batch": 1, "input_length": 16},
        "objectives": ["error_rate", "parameters"],
        "constraints": ["parameters <= 24000"],
        "budget": {"trials": 4},
        "sampler": "random",
        "seed": 0,
        "memory": False,  # a job that is run twice is to be trained twice
    } | changes


class RecordingWorker:
    """Holds a job's lease and records trials with chosen errors, without any training."""

    def __init__(self, store: Store, job: JobRecord) -> None:
        claimed = store.claim_job_by_id(job.id, "test", lease_s=600)
        assert claimed is not None
        self.store, self.job = store, claimed
        self.context = JobContext.load(store, claimed.document)
        rng = random.Random(7)
        known = self.context.metrics
        kept = [c.violation for c in self.context.constraints if known[c.metric].known_before_training]
        every = sorted(self.context.space.enumerate(), key=lambda a: a.id)
        rng.shuffle(every)
        self.feasible = [a for a in every if all(v(self.context.costs(a)) == 0 for v in kept)]
        self.next_number = 0

    def complete(self, error_rate: float, *, weights: bool = False) -> int:
        """Record the next candidate as trained to this error rate; return its number."""
        number = self.start()
        self.finish_started(number, error_rate, weights=weights)
        return number

    def finish_started(self, number: int, error_rate: float, *, weights: bool = False) -> None:
        """Record a running candidate as trained to this error rate."""
        architecture = self.feasible[number]
        metrics = self.context.costs(architecture) | {"error_rate": error_rate, "loss": 2.0}
        training = {
            "label": "proxy",
            "steps": 3,
            "cpu_s": 0.1,
            "history": [[1, 3.5], [3, 2.0]],
            "hardware": "cpu, float32",
        }
        outcome = TrialOutcome(TrialState.COMPLETE, metrics, training, None, 0.5)
        content = weights_to_bytes(build_model(architecture).state_dict()) if weights else None
        self.store.finish_trial(self.job.id, self.job.lease_token, number, outcome, content)

    def finish(self, **asked: Any) -> None:
        """End the search as succeeded and hold the job again, to be finished as `asked`."""
        self.store.finish_job(self.job.id, self.job.lease_token, JobState.SUCCEEDED, "budget spent")
        self.store.request_finish(self.job.id, Finish(**asked).model_dump(mode="json"))
        claimed = self.store.claim_job_by_id(self.job.id, "test", lease_s=600)
        assert claimed is not None
        self.job = claimed

    def retrain(
        self,
        key: RetrainingKey,
        scores: dict[int, float],
        test: float | None,
        *,
        confidence: float | None = None,
        weights: bool = False,
    ) -> None:
        """Record a training in full by its error rates after so many steps, the last at the key's end, and on test."""
        job, token = self.job.id, self.job.lease_token
        training = {"label": "trained", "steps": key.steps, "head_confidence": confidence}
        self.store.start_retraining(job, token, key)
        for steps, error_rate in scores.items():
            metrics = {"error_rate": error_rate, "loss": 1.0}
            if steps < key.steps:
                self.store.score_retraining(job, token, key, {"steps": steps, "metrics": metrics}, training, 1.0)
        state = build_model(self.feasible[key.trial], seed=key.seed).state_dict()
        outcome = RetrainingOutcome(
            1.0,
            training,
            metrics,
            None if test is None else {"error_rate": test, "loss": 1.1},
            weights_to_bytes(state) if weights else None,
        )
        self.store.end_retraining(job, token, key, outcome)

    def start(self) -> int:
        """Record the next candidate as running; return its number."""
        number, self.next_number = self.next_number, self.next_number + 1
        self._add(number, TrialState.RUNNING, self.feasible[number])
        return number

    def fail(self, number: int, error: str) -> None:
        """End a running candidate with an error."""
        outcome = TrialOutcome(TrialState.FAILED, self._costs(number), None, error, 0.1)
        self.store.finish_trial(self.job.id, self.job.lease_token, number, outcome, None)

    def skip_as_duplicate_of(self, first: int) -> int:
        """Record the next candidate as the same as an earlier one; return its number."""
        number, self.next_number = self.next_number, self.next_number + 1
        self._add(number, TrialState.SKIPPED, self.feasible[first], SkipReason.DUPLICATE, first)
        return number

    def _costs(self, number: int) -> dict[str, float]:
        return self.context.costs(self.feasible[number])

    def _add(
        self,
        number: int,
        state: TrialState,
        architecture: Any,
        reason: SkipReason | None = None,
        same_as: int | None = None,
    ) -> None:
        new = NewTrial(
            number=number,
            state=state,
            architecture=architecture.to_dict(),
            architecture_id=architecture.id,
            metrics=self.context.costs(architecture),
            violations={},
            skip_reason=reason,
            same_as=same_as,
        )
        self.store.add_trial(self.job.id, self.job.lease_token, new)


def device_document(name: str = "bench-board") -> dict[str, Any]:
    """Return a device as it would register itself."""
    return {
        "name": name,
        "hardware": "Example CPU (x86_64)",
        "cores": 2,
        "memory_mb": 4000,
        "runtime": "onnxruntime",
        "runtime_version": "1.32.0",
        "threads": 1,
        "precision": "fp32",
        "clock": "unmanaged",
        "system": "Linux 6.1",
    }


def latency_table(device: str, space: SearchSpace, workload: Workload, attention: float = 2) -> dict[str, Any]:
    """Return a valid table as if measured: whole models run 5 % slower than their parts, and 2 µs longer.

    A parameter of the attention takes `attention` times as long as another one.
    """
    latencies_ns = {
        call: 3_000 + parameters_of_sub_block(call.sub_block) * (attention if call.sub_block.kind == "attention" else 1)
        for call in calls_of_space(space, workload)
    }
    phases = phase_runs(space.family, workload)
    table = LatencyTable(
        protocol=PROTOCOL,
        device=Device.from_dict(device_document(device)),
        recipe="example",
        workload=workload,
        space=space.name,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        circumstances=Circumstances(cpu=0, scheduled="usual", duration_s=1.0, before=None, after=None),
        sentinel=Sentinel(readings_ns=(1_000_000,), calm_ns=1_000_000),
        entries={c.key: Entry(**_measured(c.key, ns).model_dump()) for c, ns in latencies_ns.items()},
        whole_models=tuple(
            WholeModel(
                architecture=model.to_dict(),
                phases={
                    phase: _measured(
                        model.id, 2_000 + 1.05 * sum(latencies_ns[call] for call in calls(model, workload, phase))
                    )
                    for phase in phases
                },
            )
            for model in whole_models_of(space, workload, count=8, seed=0)
        ),
    )
    return table.to_dict()


def _measured(graph: str, latency_ns: float) -> Measurement:
    launch = Launch(
        graph,
        round(latency_ns),
        iterations=100,
        interrupted=0,
        stolen=0.0,
        late_early_ratio=1.0,
        difference=0.0,
        sentinel_ns=1_000_000,
    )
    return Measurement.of([launch] * 5, 1_000_000)


def space_document(**encoder: Any) -> dict[str, Any]:
    """Return an inline space of small encoders, with some choices changed."""
    return {
        "schema": "pocketformer/search-space/1",
        "name": "tiny",
        "family": "encoder",
        "task_shape": {"vocabulary_size": 259, "outputs": 35, "max_length": 16},
        "encoder": {
            "depth": [1],
            "hidden_size": [16],
            "positions": ["sinusoidal"],
            "norm_position": ["pre"],
            "activation": ["relu"],
            "layer": {"attention": {"softmax": {"heads": [2, 4]}}, "feed_forward_ratio": [1, 2]},
        }
        | encoder,
    }
