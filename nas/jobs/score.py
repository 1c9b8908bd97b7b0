"""Scoring one architecture without a job: its exact costs and its predicted latency on devices."""

from __future__ import annotations

from typing import Any

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.errors import InvalidInput, MissingEntry, NotFound
from nas.jobs.context import predictor_of, tables_at
from nas.latency.predict import LatencyPrediction
from nas.store.store import Store
from nas.workload import Workload


def score(store: Store, architecture: Architecture, workload: Workload, devices: list[str]) -> dict[str, Any]:
    """Return costs and latency (the answer of `POST /v1/score`).

    Raises `InvalidInput` for a workload that the architecture can't take, an unknown device, and a device with no
    table for the workload that holds every sub-block of the architecture.
    """
    check_workload(architecture, workload)
    costs = costs_of(architecture, workload)
    return {
        "architecture_id": architecture.id,
        **costs.named(architecture.family),
        "flops": 2 * costs.macs,
        "latency": {
            device: _latency(store, architecture, workload, device, f"devices[{index}]")
            for index, device in enumerate(devices)
        },
    }


def check_workload(architecture: Architecture, workload: Workload) -> None:
    """Raise `InvalidInput` unless the architecture reads and writes sequences of the workload's lengths."""
    if workload.input_length > architecture.max_length:
        raise InvalidInput.of(
            "workload.input_length",
            workload.input_length,
            f"1 to {architecture.max_length} (the architecture's max_length)",
            "shorten the input or use an architecture for longer ones",
        )
    read, written = workload.input_length, workload.output_length
    if architecture.family == "encoder" and written:
        raise InvalidInput.of("workload.output_length", written, "0", "an encoder generates nothing: remove it")
    if architecture.family == "decoder" and read + written > architecture.max_length:
        raise InvalidInput.of(
            "workload.output_length",
            written,
            f"at most {architecture.max_length - read} after an input of {read} (max_length {architecture.max_length})",
            "shorten the input or the output",
        )
    if architecture.max_output_length is not None and written > architecture.max_output_length:
        raise InvalidInput.of(
            "workload.output_length",
            written,
            f"at most {architecture.max_output_length} (the architecture's max_output_length)",
            "shorten the output",
        )


def _latency(store: Store, architecture: Architecture, workload: Workload, device: str, field: str) -> dict[str, Any]:
    try:
        store.device(device)
    except NotFound as error:
        known = ", ".join(str(d["name"]) for d in store.devices()) or "none yet"
        raise InvalidInput.of(field, device, known, "name one of these devices, or add it first") from error
    reason = (
        f"measure one: nas device profile {device} --space NAME --batch {workload.batch} "
        f"--input-length {workload.input_length} --output-length {workload.output_length}"
    )
    for record in tables_at(store, device, workload):
        try:
            prediction = predictor_of(store, device, record.version).predict(architecture)
        except MissingEntry as error:
            reason = str(error)
            continue
        return {**_described(prediction), "table_version": record.version}
    raise InvalidInput.of(
        field,
        f"{device} at {workload.key}",
        "a device whose latency table covers the architecture at this workload",
        reason,
    )


def _described(prediction: LatencyPrediction) -> dict[str, Any]:
    return {
        "latency_ms": prediction.latency_ms,
        "lower_ms": prediction.lower_ms,
        "upper_ms": prediction.upper_ms,
        "phases_ms": dict(prediction.phases),
        "breakdown": [{"sub_block": key, "latency_ms": ms} for key, ms in prediction.breakdown],
    }
