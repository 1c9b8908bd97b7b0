"""Measuring devices for a place: their tables, and whether the newest one still holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.own_files import info_of_job
from nas.cli.places import Place
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.architecture import Architecture, TaskShape
    from nas.latency.device import Device
    from nas.latency.table import LatencyTable
    from nas.latency.verify import Accuracy, Verification
    from nas.space import SearchSpace
    from nas.workload import Workload


def space_named(place: Place, name: str) -> SearchSpace:
    """Return a space; raise `InvalidInput` for an unknown name."""
    from nas.errors import NotFound
    from nas.space import SearchSpace

    try:
        return SearchSpace.from_document(place.search_space(name)["document"])
    except NotFound as error:
        known = ", ".join(space["name"] for space in place.search_spaces())
        raise InvalidInput.of("space", name, known, "name one of these search spaces") from error


def space_for(place: Place, name: str, workload: Workload) -> SearchSpace:
    """Return a space as a job at this workload sees it; raise `InvalidInput` for an unknown name."""
    return at_workload(space_named(place, name), workload)


def at_workload(space: SearchSpace, workload: Workload, dataset: str | None = None) -> SearchSpace:
    """Return the space with models for exactly the workload's lengths, and for a dataset's vocabulary if one is named.

    Raises `InvalidInput` for an unknown dataset, or one that models of the space's family can't do.
    """
    if dataset is not None:
        return space.for_task(_shape_for(space, workload, dataset))
    read, written = workload.input_length, workload.output_length
    if space.family == "decoder":
        shape = replace(space.task_shape, max_length=read + written)
    elif space.family == "encoder-decoder":
        shape = replace(space.task_shape, max_length=read, max_output_length=max(1, written))
    else:
        shape = replace(space.task_shape, max_length=read)
    return space.for_task(shape)


def _shape_for(space: SearchSpace, workload: Workload, dataset: str) -> TaskShape:
    from nas.quality.datasets import dataset_info
    from nas.quality.task_shapes import FAMILIES, task_shape

    if dataset.endswith((".yaml", ".yml", ".json")):
        info = info_of_job(Path(dataset))
    else:
        try:
            info = dataset_info(dataset)
        except InvalidInput as error:
            raise InvalidInput([replace(problem, field="dataset") for problem in error.problems]) from error
    family = FAMILIES[info.task]
    if family != space.family:
        raise InvalidInput.of(
            "dataset",
            f"{dataset} ({info.task}, family {family})",
            f"a dataset for the family {space.family} of the space {space.name}",
            "name another dataset or another space",
        )
    return task_shape(info, workload)


def workload_for(space: SearchSpace, batch: int, input_length: int | None, output_length: int | None) -> Workload:
    """Return the workload that was asked for; what was left out is that of the longest the space takes."""
    from nas.cli.options import workload_of
    from nas.jobs.inventory import longest_workload

    longest = longest_workload(space.task_shape, space.family)
    if input_length is None:
        input_length = longest.input_length
    if output_length is None:
        output_length = longest.output_length
    return workload_of(batch, input_length, output_length)


def measure_table(
    device: Device | str,
    space: SearchSpace,
    workload: Workload,
    *,
    seed: int = 0,
    whole_models: int | None = None,
    patience_s: float | None = None,
    afresh: bool = False,
    raw: Path | None = None,
) -> LatencyTable:
    """Measure a device, or this machine under a name, showing progress, and return its table."""
    from nas.cli.progress import StepProgress
    from nas.latency.device import this_machine
    from nas.latency.profile import PATIENCE_S, WHOLE_MODELS, profile

    if isinstance(device, str):
        device = this_machine().model_copy(update={"name": device})
    with StepProgress() as progress:
        return profile(
            space,
            workload,
            device=device,
            seed=seed,
            whole_models=WHOLE_MODELS if whole_models is None else whole_models,
            patience_s=PATIENCE_S if patience_s is None else patience_s,
            afresh=afresh,
            raw=raw,
            progress=progress,
        )


def refuse_mixing(place: Place, device: Device) -> None:
    """Raise `InvalidInput` if there is another device of this name: its tables and ours must not follow each other."""
    from nas.errors import NotFound

    try:
        known = place.device(device.name)
    except NotFound:
        return
    for field in ("hardware", "runtime", "precision", "threads"):
        if known["tables"] and known[field] != getattr(device, field):
            raise InvalidInput.of(
                "name",
                device.name,
                f"a device whose {field} is {known[field]!r}, as those of its tables; here it is "
                f"{getattr(device, field)!r}",
                f"give this one a name of its own, for example {device.name}-{device.runtime}-{device.precision}",
            )


def keep_table(place: Place, table: LatencyTable) -> dict[str, Any]:
    """Add a table and the device that it was measured on; return the table's summary."""
    place.add_device(table.device.model_dump(mode="json"))
    return place.add_latency_table(table.device.name, table.to_dict())


def newest_table(place: Place, device: str, workload: Workload, space: SearchSpace) -> LatencyTable:
    """Return a device's newest table that covers the space at the workload; raise `InvalidInput` without one."""
    from nas.errors import NotFound
    from nas.latency.measurement import PROTOCOL
    from nas.latency.predict import LatencyPredictor
    from nas.latency.table import LatencyTable

    try:
        summaries = place.device(device)["tables"]
    except NotFound:
        summaries = []
    for summary in sorted(summaries, key=lambda s: -int(s["version"])):
        if summary["workload"] == workload.key and summary["protocol"] == PROTOCOL:
            table = LatencyTable.from_dict(place.latency_table(device, summary["version"]))
            if not LatencyPredictor(table).missing(space):
                return table
    raise InvalidInput.of(
        "device",
        f"{device} at {workload.key}",
        f"a device with a latency table for {space.name} at this workload",
        f"measure it: nas device profile {device} --space {space.name} --batch {workload.batch} "
        f"--input-length {workload.input_length} --output-length {workload.output_length}",
    )


def verified(table: LatencyTable, architectures: list[Architecture], seed: int, patience_s: float) -> Verification:
    """Measure whole models on the table's device, showing progress, and hold them against it."""
    from nas.cli.progress import StepProgress
    from nas.latency.verify import verify

    with StepProgress() as progress:
        return verify(table, architectures, table.device, seed=seed, patience_s=patience_s, progress=progress)


def verification_document(verification: Verification, tolerance: float) -> dict[str, Any]:
    """Return a verification as plain JSON values; a row agrees if it is no further off than the tolerance.

    Rows whose measurement was disturbed say nothing of the table; without any other it does not agree.
    """
    from dataclasses import asdict
    from math import isnan

    rows = [
        {
            "architecture_id": row.architecture.id,
            "predicted_ms": row.prediction.latency_ms,
            "lower_ms": row.prediction.lower_ms,
            "upper_ms": row.prediction.upper_ms,
            "measured_ms": row.measured.latency_ms,
            "phases_ms": dict(row.measured.phases),
            "difference": row.difference,
            "inside": row.inside,
            "agrees": abs(row.difference) <= tolerance,
            "valid": row.measured.valid,
            "reason": row.measured.reason,
            "sum_ms": row.sum_ms,
            "macs_ms": row.macs_ms,
        }
        for row in verification.rows
    ]
    report: dict[str, Any] = {"agrees": False, "models": rows}
    if verification.valid:
        report["agrees"] = all(row["agrees"] for row in rows if row["valid"])
        report["inside_share"] = verification.inside_share
        kinds: dict[str, Accuracy] = {
            "prediction": verification.prediction,
            "sum_of_sub_blocks": verification.naive_sum,
            "macs_times_constant": verification.scaled_macs,
        }
        report["accuracy"] = {
            kind: {name: value for name, value in asdict(accuracy).items() if not isnan(value)}
            for kind, accuracy in kinds.items()
        }
    return report


def still_as_fast(table: LatencyTable, space: SearchSpace) -> str | None:
    """Return None if this machine is the table's and runs as it did when that was measured, else why not.

    Measures the space's fastest model beside the sentinel that every measurement carries.
    """
    from nas.latency.device import this_machine
    from nas.latency.extremes import extreme
    from nas.latency.measure import measure
    from nas.latency.predict import LatencyPredictor

    here = this_machine(table.device.threads, table.device.runtime, table.device.precision)
    if here.fingerprint != table.device.fingerprint:
        return "hardware, runtime or clock have changed"
    _, smallest = extreme(LatencyPredictor(table), space, least=True)
    try:
        found = measure([smallest], table.workload, here, reference=table)[0]
    except InvalidInput as error:  # another recipe: exported by another release
        return str(error)
    return None if found.valid else found.reason
