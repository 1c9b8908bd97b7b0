"""What a person takes away from a job: the configuration of a trial, and its weights."""

from __future__ import annotations

from typing import Any

from nas.architecture import Architecture
from nas.costs import COST_NAMES
from nas.errors import Conflict, NotFound
from nas.export.config import config_document
from nas.jobs.context import quality_metrics
from nas.jobs.report import QUALITY_LABEL
from nas.search.job import JobSpec
from nas.store.records import JobRecord, TrialRecord, TrialState
from nas.store.store import Store


def config_of(store: Store, job: JobRecord, trial: TrialRecord, base_url: str | None) -> dict[str, Any]:
    """Return the configuration document of a trial; with `base_url` it says where its weights are.

    Raises `Conflict` for a trial that was not evaluated: it has nothing to promise.
    """
    if trial.state is not TrialState.COMPLETE:
        raise Conflict(
            f"Trial {trial.number} of job {job.id} is {trial.state}: only a complete trial has a configuration."
        )
    spec = JobSpec.from_document(job.document["spec"])
    metrics = trial.metrics
    parts: dict[str, Any] = {
        "costs": {name: metrics[name] for name in COST_NAMES if name in metrics},
        "quality": {
            "metric": spec.task.metric,
            "label": QUALITY_LABEL,
            "split": "validation",
            "metrics": {name: metrics[name] for name in quality_metrics(job.document) if name in metrics},
        },
        "latency": {
            device: {
                "latency_ms": metrics[f"latency_ms@{device}"],
                "lower_ms": metrics[f"latency_lower_ms@{device}"],
                "upper_ms": metrics[f"latency_upper_ms@{device}"],
                "table_version": version,
                "fingerprint": store.latency_table(device, version).fingerprint,
            }
            for device, version in job.document["latency_tables"].items()
        },
        "dataset": {name: job.document["dataset"][name] for name in ("name", "version", "sha256")},
        "training": {
            "plan": spec.task.training.model_dump(mode="json"),
            "seed": spec.seed,
            "input_length": spec.workload.input_length,
            "output_length": spec.workload.output_length,
        },
        "provenance": {
            "job": job.id,
            "trial": trial.number,
            "search_space": job.document["search_space"]["name"],
            **(trial.training or {}).get("software", {}),
        },
    }
    if trial.weights_sha256 is not None:
        parts["weights"] = {
            "sha256": trial.weights_sha256,
            "size_bytes": len(store.artifact(trial.weights_sha256)),
        }
        if base_url is not None:
            href = f"{base_url.rstrip('/')}/v1/jobs/{job.id}/trials/{trial.number}/weights"
            parts["weights"]["href"] = href
    return config_document(Architecture.from_dict(trial.architecture), spec.workload, parts)


def weights_of(store: Store, job: JobRecord, trial: TrialRecord) -> bytes:
    """Return the trained weights of a trial as safetensors bytes; raise `NotFound` where there are none."""
    if trial.weights_sha256 is None:
        raise NotFound(f"Trial {trial.number} of job {job.id} is {trial.state} and has no weights.")
    return store.artifact(trial.weights_sha256)
