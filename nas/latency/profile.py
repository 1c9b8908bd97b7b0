"""Profile: measure everything that a space needs on a device, and return it as a latency table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nas.architecture import Architecture
from nas.errors import InvalidInput, MeasurementFailed
from nas.latency.bench import PROTOCOL, Bench
from nas.latency.campaign import MOST_INVALID, run_campaign
from nas.latency.device import Device, this_machine
from nas.latency.plan import whole_models_of
from nas.latency.table import Circumstances, Entry, LatencyTable, Sentinel, WholeModel
from nas.models import SubBlock
from nas.models.space_blocks import sub_blocks_of_space
from nas.space import SearchSpace
from nas.workload import Workload

PATIENCE_S = 60.0

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, total); the phases are "export" and "measure"."""


def profile(
    space: SearchSpace,
    workload: Workload,
    *,
    device: Device | None = None,
    seed: int = 0,
    whole_models: int = 18,
    patience_s: float = PATIENCE_S,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure every sub-block of `space` at `workload`, and `whole_models` whole models, on `device`.

    The device is this machine unless given. Once every graph was launched often enough, those in doubt are launched
    again until none is or `patience_s` of measuring have passed (on a busy machine `OVERTIME` times that). Raises
    `MeasurementFailed` if more than `MOST_INVALID` of the sub-blocks, or a third of the whole models, stay invalid;
    `InvalidInput` if the device can't be reached from here or the space's models don't take so long an input.
    """
    device = device or this_machine()
    if space.family != "encoder":
        raise InvalidInput.of(
            "space",
            f"{space.name} (family {space.family})",
            "a space of family encoder: latency tables of decoders are not measured yet",
            "name a space of encoders; `nas space list` shows the family of each",
        )
    if workload.input_length > space.task_shape.max_length:
        raise InvalidInput.of(
            "workload.input_length",
            workload.input_length,
            f"at most {space.task_shape.max_length}, the longest input of space {space.name}",
            "shorten the input, or give the space a longer max_length",
        )
    tell = progress or (lambda *_: None)
    sub_blocks, models = sub_blocks_of_space(space), whole_models_of(space, whole_models, seed)
    load_before = _load()
    with tempfile.TemporaryDirectory(prefix="pocketformer-") as directory:
        bench = Bench(device, Path(directory))
        _export(bench, sub_blocks, models, workload, tell)
        campaign = run_campaign(
            bench,
            seed=seed,
            patience_s=patience_s,
            progress=lambda done, total: tell("measure", done, total),
        )
    load_after = _load()
    found = {name: measurement.model_dump() for name, measurement in campaign.measurements.items()}
    table = LatencyTable(
        protocol=PROTOCOL,
        device=device,
        recipe=bench.recipe,
        workload=workload,
        space=space.name,
        created_at=datetime.now(UTC).replace(microsecond=0),
        circumstances=Circumstances(
            cpu=bench.cpu,
            duration_s=round(campaign.duration_s, 1),
            load_average=(load_before, load_after) if load_before is not None and load_after is not None else None,
        ),
        sentinel=Sentinel(readings_ns=campaign.sentinel_readings_ns, calm_ns=campaign.calm_sentinel_ns),
        entries={block.key: Entry(**found[block.key]) for block in sub_blocks},
        whole_models=tuple(WholeModel(architecture=m.to_dict(), **found[m.id]) for m in models),
    )
    _refuse_disturbed(table)
    return table


def _export(
    bench: Bench,
    sub_blocks: Sequence[SubBlock],
    models: Sequence[Architecture],
    workload: Workload,
    tell: Progress,
) -> None:
    total = len(sub_blocks) + len(models)
    for index, sub_block in enumerate(sub_blocks, start=1):
        bench.add_sub_block(sub_block, workload)
        tell("export", index, total)
    for index, model in enumerate(models, start=len(sub_blocks) + 1):
        bench.add_model(model.id, model, workload)
        tell("export", index, total)


def _refuse_disturbed(table: LatencyTable) -> None:
    invalid_models = [m for m in table.whole_models if not m.valid]
    invalid = len(table.invalid_entries)
    if invalid > MOST_INVALID * len(table.entries) or len(invalid_models) > len(table.whole_models) / 3:
        reasons = [table.entries[key].reason for key in table.invalid_entries[:1]]
        reasons += [m.reason for m in invalid_models[:1]]
        raise MeasurementFailed(
            f"{invalid} of {len(table.entries)} sub-blocks and {len(invalid_models)} of "
            f"{len(table.whole_models)} whole models could not be measured well ({reasons[0]}). "
            "Close other programs that are using the processor and profile the device again."
        )


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
