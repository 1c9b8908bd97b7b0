"""What a person takes away from a job: the configuration of a trial, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.architecture import Architecture
from nas.costs import COST_NAMES
from nas.errors import Conflict, NotFound
from nas.export.config import config_document
from nas.jobs.context import quality_metrics
from nas.jobs.other_devices import predicted, with_predictions
from nas.jobs.own_data import kept_name, reference_of_dataset
from nas.jobs.trained import PROXY, TESTED, TRAINED, best_of
from nas.search.job import JobSpec
from nas.store.records import JobRecord, RetrainingRecord, TrialRecord, TrialState
from nas.store.store import Store


def config_of(
    store: Store, job: JobRecord, trial: TrialRecord, base_url: str | None, devices: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the configuration document of a trial; with `base_url` it says where its weights are.

    It also promises the latency on other `devices` than the job's, from their newest tables; raises `InvalidInput` for
    one without a table that covers the job's space.

    Of an architecture that was trained in full it promises what that training came to: of all seeds the best on
    validation, scored on test. Raises `Conflict` for a trial that was not evaluated: it has nothing to promise.
    """
    trained = best_of(job, trial.number, store.retrainings(job.id))
    if trial.state is not TrialState.COMPLETE and trained is None:
        raise Conflict(
            f"Trial {trial.number} of job {job.id} is {trial.state}: only a complete trial, or one that was trained "
            "in full, has a configuration."
        )
    spec = JobSpec.from_document(job.document["spec"])
    others = [device for device in dict.fromkeys(devices) if device not in spec.devices]
    metrics = with_predictions(store, job, [trial], others)[0].metrics
    tables = job.document["latency_tables"] | {device: predicted(store, job, device).version for device in others}
    weights_sha256 = trial.weights_sha256 if trained is None else trained.weights_sha256
    plan, made = spec.task.training.model_dump(mode="json"), trial.training
    if trained is not None:
        plan, made = {**plan, "steps": trained.key.steps}, trained.training
    parts: dict[str, Any] = {
        "costs": {name: metrics[name] for name in COST_NAMES if name in metrics},
        "quality": _quality(spec.task.metric, quality_metrics(job.document), trial, trained),
        "latency": {
            device: {
                "latency_ms": metrics[f"latency_ms@{device}"],
                "lower_ms": metrics[f"latency_lower_ms@{device}"],
                "upper_ms": metrics[f"latency_upper_ms@{device}"],
                "table_version": version,
                "fingerprint": store.latency_table(device, version).fingerprint,
            }
            for device, version in tables.items()
        },
        "dataset": _dataset_part(store, job),
        "training": {
            "plan": plan,
            "seed": spec.seed if trained is None else trained.key.seed,
            "input_length": spec.workload.input_length,
            "output_length": spec.workload.output_length,
        },
        "provenance": {
            "job": job.id,
            "trial": trial.number,
            "search_space": job.document["search_space"]["name"],
            **(made or {}).get("software", {}),
        },
    }
    if weights_sha256 is not None:
        parts["weights"] = {
            "sha256": weights_sha256,
            "size_bytes": len(store.artifact(weights_sha256)),
        }
        if base_url is not None:
            href = f"{base_url.rstrip('/')}/v1/jobs/{job.id}/trials/{trial.number}/weights"
            parts["weights"]["href"] = href
    return config_document(Architecture.from_dict(trial.architecture), spec.workload, parts)


def _dataset_part(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return what a configuration says of the data: enough to feed the model, and to find the same data again."""
    kept = job.document["dataset"]
    part = {name: kept[name] for name in ("name", "version", "sha256")}
    reference = reference_of_dataset(job.document)
    if not isinstance(reference, str):
        part["own"] = reference
    try:
        described = store.dataset(kept_name(kept["name"], kept["sha256"], reference))
    except NotFound:
        return part
    if described["sha256"] != kept["sha256"]:
        return part  # a later job brought another release of it
    shown = ("task", "vocabulary", "output_vocabulary", "classes")
    return part | {name: described[name] for name in shown if described.get(name)}


def _quality(
    metric: str, names: tuple[str, ...], trial: TrialRecord, trained: RetrainingRecord | None
) -> dict[str, Any]:
    """Return what the delivered weights were scored, with the label of that score."""
    if trained is not None and trained.test_metrics is not None:
        label, split, found = TESTED, "test", trained.test_metrics
    elif trained is not None:
        label, split, found = TRAINED, "validation", trained.scores[-1]["metrics"]
    else:
        label, split, found = PROXY, "validation", trial.metrics
    metrics = {name: found[name] for name in names if name in found}
    evaluator = ((trial if trained is None else trained).training or {}).get("evaluator")
    quality = {"metric": metric, "label": label, "split": split, "metrics": metrics}
    return quality if evaluator is None else {**quality, "evaluator": evaluator}


def weights_of(store: Store, job: JobRecord, trial: TrialRecord) -> tuple[bytes, str]:
    """Return the weights that a trial's configuration promises, as safetensors bytes, and their SHA-256.

    Raises `NotFound` where there are none.
    """
    trained = best_of(job, trial.number, store.retrainings(job.id))
    sha256 = trial.weights_sha256 if trained is None else trained.weights_sha256
    if sha256 is None:
        raise NotFound(f"Trial {trial.number} of job {job.id} is {trial.state} and has no weights.")
    return store.artifact(sha256), sha256
