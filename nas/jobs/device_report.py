"""What is told of a latency table: how far its predictions are from what was measured, and which spaces it covers."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from nas.architecture import Architecture, TaskShape
from nas.errors import InvalidInput, MissingPackage
from nas.jobs.context import predictor_of
from nas.jobs.inventory import describe_table
from nas.jobs.spaces import space_of
from nas.latency.device import Device
from nas.latency.measurement import PROTOCOL
from nas.latency.predict import HeldOut, LatencyPredictor
from nas.latency.table import LatencyTable
from nas.quality.datasets import dataset_info, dataset_names
from nas.space import SearchSpace
from nas.store.records import LatencyTableRecord
from nas.store.store import Store
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload
from search_spaces import bundled

COVERAGES_KEPT = 256


def report_on_table(store: Store, name: str, version: int) -> dict[str, Any]:
    """Return how far one version of a device's table can be trusted (the TableReport of the REST contract).

    Raises `NotFound` for an unknown device or version.
    """
    device = Device.from_dict(store.device(name))
    record = next((t for t in store.latency_tables(name) if t.version == version), None)
    if record is None:
        record = store.latency_table(name, version)  # says that there is none
    newer = [t for t in store.latency_tables(name) if t.version > version and _same_use(t, record)]
    report: dict[str, Any] = {"table": describe_table(record), "newest": not newer}
    try:
        predictor = predictor_of(store, name, version)
    except InvalidInput:
        return report | _unusable(record)
    table = predictor.table
    shape = Architecture.from_dict(table.whole_models[0].architecture).task_shape
    dataset = _dataset_of(shape)
    models = sorted(predictor.held_out(), key=lambda model: model.measured_ms)
    return report | {
        "usable": True,
        "recipe": table.recipe,
        "duration_s": table.circumstances.duration_s,
        "vocabulary_size": shape.vocabulary_size,
        "outputs": shape.outputs,
        "models": [_described(model) for model in models],
        "inside": sum(map(_inside, models)) / len(models),
        "coverage": _coverage(store, predictor, shape, dataset),
        "warnings": _warnings(device, record, table, bool(newer)),
        "measure": _command("profile", table.device, table.space, table.workload, dataset),
        "verify": _command("verify", table.device, table.space, table.workload, dataset) + " --models 40",
    }


def _same_use(one: LatencyTableRecord, other: LatencyTableRecord) -> bool:
    return (one.space, one.workload_key) == (other.space, other.workload_key)


def _unusable(record: LatencyTableRecord) -> dict[str, Any]:
    protocol = record.summary.get("protocol")
    why = (
        f"It was measured by protocol {protocol}, jobs take tables of protocol {PROTOCOL}: measure it anew."
        if protocol != PROTOCOL
        else "This release can't predict from it: measure it anew."
    )
    nothing = dict.fromkeys(("recipe", "duration_s", "vocabulary_size", "outputs", "inside", "measure", "verify"))
    return {"usable": False, "models": [], "coverage": [], "warnings": [why], **nothing}


def _described(model: HeldOut) -> dict[str, Any]:
    return {
        "architecture_id": model.architecture.id,
        "measured_ms": model.measured_ms,
        "predicted_ms": model.predicted_ms,
        "lower_ms": model.lower_ms,
        "upper_ms": model.upper_ms,
        "error_percent": 100 * (model.predicted_ms / model.measured_ms - 1),
        "inside": _inside(model),
    }


def _inside(model: HeldOut) -> bool:
    return model.lower_ms <= model.measured_ms <= model.upper_ms


def _coverage(store: Store, predictor: LatencyPredictor, shape: TaskShape, dataset: str | None) -> list[dict[str, Any]]:
    family = Architecture.from_dict(predictor.table.whole_models[0].architecture).family
    result = []
    for document in [*bundled().values(), *store.search_spaces()]:
        if document["family"] != family:
            continue
        space = space_of(document, shape)
        calls, missing = _missing(predictor, space)
        table = predictor.table
        command = _command("profile", table.device, space.name, table.workload, dataset) if missing else None
        result.append(
            {
                "search_space": space.name,
                "bundled": space.name in bundled(),
                "calls": calls,
                "missing": len(missing),
                "example": missing[0] if missing else None,
                "measure": command,
            }
        )
    return result


@lru_cache(maxsize=COVERAGES_KEPT)
def _missing(predictor: LatencyPredictor, space: SearchSpace) -> tuple[int, tuple[str, ...]]:
    """Return how many calls the space needs and which the table lacks; both are kept by their owners."""
    return len(calls_of_space(space, predictor.table.workload)), tuple(predictor.missing(space))


def _warnings(device: Device, record: LatencyTableRecord, table: LatencyTable, is_old: bool) -> list[str]:
    words = []
    if record.fingerprint != device.fingerprint:
        words.append("The device was something else when it was measured: its fingerprint has changed since.")
    if is_old:
        words.append("A later table of the same space and workload takes its place in new jobs.")
    if invalid := table.invalid_entries:
        reasons = Counter(str(table.entries[key].reason) for key in invalid)
        most = reasons.most_common(1)[0][0]
        words.append(f"{len(invalid)} of {len(table.entries)} entries never settled, most often because {most}.")
    if unsettled := sum(not model.valid for model in table.whole_models):
        words.append(f"{unsettled} of {len(table.whole_models)} whole models never settled and are left out.")
    if table.circumstances.cpu is None:
        words.append("What was measured could not stay on one CPU.")
    return words


def _dataset_of(shape: TaskShape) -> str | None:
    """Return a dataset whose vocabulary and outputs the models of a table have; None of the space's own sizes."""
    for name in dataset_names():
        try:
            info = dataset_info(name)
        except MissingPackage:
            continue
        if (info.vocabulary_size, info.outputs) == (shape.vocabulary_size, shape.outputs):
            return name
    return None


def _command(what: str, device: Device, space: str, workload: Workload, dataset: str | None) -> str:
    words = [f"nas device {what} {device.name}"]
    if what == "profile":
        if device.address != "local":
            words.append(f"--address {device.address}")
        words += [f"--runtime {device.runtime}", f"--precision {device.precision}", f"--threads {device.threads}"]
    words.append(f"--space {space}")
    if dataset is not None:
        words.append(f"--dataset {dataset}")
    words.append(
        f"--batch {workload.batch} --input-length {workload.input_length} --output-length {workload.output_length}"
    )
    return " ".join(words)
