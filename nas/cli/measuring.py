"""Measuring this machine for a place: its table, and whether the newest one still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.cli.places import Place
from nas.errors import InvalidInput, MeasurementFailed

if TYPE_CHECKING:
    from nas.architecture import Architecture
    from nas.latency.table import LatencyTable
    from nas.space import SearchSpace
    from nas.workload import Workload


def space_for(place: Place, name: str, workload: Workload) -> SearchSpace:
    """Return a space as a job at this workload sees it; raise `InvalidInput` for an unknown name."""
    from dataclasses import replace

    from nas.errors import NotFound
    from nas.space import SearchSpace

    try:
        space = SearchSpace.from_document(place.search_space(name)["document"])
    except NotFound as error:
        known = ", ".join(space["name"] for space in place.search_spaces())
        raise InvalidInput.of("space", name, known, "name one of these search spaces") from error
    return space.for_task(replace(space.task_shape, max_length=workload.input_length))


def measure_table(name: str, space: SearchSpace, workload: Workload, seed: int = 0) -> LatencyTable:
    """Measure this machine, showing progress, and return its table under the device name `name`."""
    from nas.cli.progress import StepProgress
    from nas.latency.device import Device, this_machine
    from nas.latency.profile import profile

    device = Device.from_dict({**this_machine().model_dump(mode="json"), "name": name})
    with StepProgress() as progress:
        return profile(space, workload, device=device, seed=seed, progress=progress)


def keep_table(place: Place, table: LatencyTable) -> dict[str, Any]:
    """Add a table and the device that it was measured on; return the table's summary."""
    place.add_device(table.device.model_dump(mode="json"))
    return place.add_latency_table(table.device.name, table.to_dict())


def newest_table(place: Place, device: str, workload: Workload, space: SearchSpace) -> LatencyTable:
    """Return a device's newest table that covers the space at the workload; raise `InvalidInput` without one."""
    from nas.errors import NotFound
    from nas.latency.predict import LatencyPredictor
    from nas.latency.table import LatencyTable

    try:
        summaries = place.device(device)["tables"]
    except NotFound:
        summaries = []
    for summary in sorted(summaries, key=lambda s: -int(s["version"])):
        if summary["workload"] == workload.key:
            table = LatencyTable.from_dict(place.latency_table(device, summary["version"]))
            if not LatencyPredictor(table).missing(space):
                return table
    raise InvalidInput.of(
        "device",
        f"{device} at {workload.key}",
        f"a device with a latency table for {space.name} at this workload",
        f"measure it: nas device profile {device} --space {space.name} --batch {workload.batch} "
        f"--input-length {workload.input_length}",
    )


def compare(table: LatencyTable, architectures: list[Architecture]) -> list[dict[str, Any]]:
    """Measure whole models here and now and hold them against the table's predictions."""
    from nas.cli.progress import StepProgress
    from nas.export.rebuild import LATENCY_TOLERANCE
    from nas.latency.device import this_machine
    from nas.latency.measure import measure
    from nas.latency.predict import LatencyPredictor

    here = this_machine(threads=table.device.threads)
    if here.fingerprint != table.device.fingerprint:
        raise MeasurementFailed(
            f"The table of {table.device.name} was measured on {table.device.hardware} with "
            f"{table.device.runtime} {table.device.runtime_version}; this is another machine, runtime or setting, "
            "so nothing can be compared."
        )
    predictor = LatencyPredictor(table)
    predictions = [predictor.predict(architecture) for architecture in architectures]
    with StepProgress() as progress:
        measured = measure(architectures, table.workload, here, reference=table, progress=progress)
    rows = []
    for architecture, prediction, found in zip(architectures, predictions, measured, strict=True):
        off = found.latency_ms / prediction.latency_ms - 1
        rows.append(
            {
                "architecture_id": architecture.id,
                "predicted_ms": prediction.latency_ms,
                "lower_ms": prediction.lower_ms,
                "upper_ms": prediction.upper_ms,
                "measured_ms": found.latency_ms,
                "difference": off,
                "agrees": abs(off) <= LATENCY_TOLERANCE,
                "valid": found.valid,
                "reason": found.reason,
            }
        )
    return rows


def still_as_fast(table: LatencyTable, space: SearchSpace) -> str | None:
    """Return None if this machine is the table's and runs as it did when that was measured, else why not.

    Measures the space's fastest model beside the sentinel that every measurement carries.
    """
    from nas.latency.device import this_machine
    from nas.latency.measure import measure
    from nas.latency.predict import LatencyPredictor

    here = this_machine(threads=table.device.threads)
    if here.fingerprint != table.device.fingerprint:
        return "hardware, runtime or clock have changed"
    _, smallest = LatencyPredictor(table).lowest(space)
    try:
        found = measure([smallest], table.workload, here, reference=table)[0]
    except InvalidInput as error:  # another recipe: exported by another release
        return str(error)
    return None if found.valid else found.reason
