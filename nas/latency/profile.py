"""Profile: measure everything that a space needs on a device, and return it as a latency table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from nas.architecture import Architecture
from nas.errors import DeviceLost, InvalidInput, MeasurementFailed
from nas.latency.bench import Bench
from nas.latency.campaign import MOST_INVALID, Campaign, run_campaign
from nas.latency.correction import LEAST_MODELS
from nas.latency.describe import describe
from nas.latency.device import Device, this_machine
from nas.latency.graphs import Source, WholePass
from nas.latency.journal import Journal
from nas.latency.measurement import PROTOCOL, WRONG_OUTPUT
from nas.latency.plan import phase_runs, whole_models_of
from nas.latency.reach import check_device
from nas.latency.runtimes import runtime
from nas.latency.table import Circumstances, Entry, LatencyTable, Sentinel, WholeModel
from nas.latency.transports import transport_at
from nas.latency.workplace import key_of, remove, workplace
from nas.space import SearchSpace
from nas.sub_blocks.calls import Call
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

PATIENCE_S = 150.0
WHOLE_MODELS = 40

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, total); the phases are "export", "send" and "measure"."""


def profile(  # noqa: PLR0913  (each is an option of `nas device profile`)
    space: SearchSpace,
    workload: Workload,
    *,
    device: Device | None = None,
    seed: int = 0,
    whole_models: int = WHOLE_MODELS,
    patience_s: float = PATIENCE_S,
    afresh: bool = False,
    raw: Path | None = None,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure every call of `space` at `workload`, and `whole_models` whole models, on `device`.

    The device is this machine unless given. An earlier run of the same that was interrupted is gone on with, unless
    `afresh`. Once every graph was launched often enough, those in doubt are launched again until none is or
    `patience_s` of measuring have passed (on a busy machine `OVERTIME` times that). `raw` is a file that gets every
    launch with its iterations, one JSON line each. Raises `MeasurementFailed` if more than `MOST_INVALID` of the
    calls, or a third of the whole models, stay invalid, `DeviceLost` if the device vanishes (what was measured is
    kept), `InvalidInput` if the device is not what it was or the space's models don't take the workload, `Conflict`
    while another process does the same.
    """
    device = device or this_machine()
    refuse_workload(space, workload)
    if whole_models <= LEAST_MODELS:
        raise InvalidInput.of(
            "whole_models",
            whole_models,
            f"at least {LEAST_MODELS + 1}",
            "measure more: the correction is fitted on them",
        )
    tell = progress or (lambda *_: None)
    identity = {
        "protocol": PROTOCOL,
        "device": device.fingerprint,
        "address": device.address,
        "recipe": runtime(device.runtime).recipe(device.precision),
        "workload": workload.key,
        "space": space.to_document(),
        "seed": seed,
        "whole_models": whole_models,
    }
    key = key_of(identity)
    with workplace(key) as directory, transport_at(device.address, key) as transport:
        before = check_device(device, transport)
        journal_path = directory / "journal.jsonl"
        if afresh:
            journal_path.unlink(missing_ok=True)
        models = whole_models_of(space, workload, whole_models, seed)
        wanted = calls_of_space(space, workload)
        sources = _sources(wanted, models, workload)
        try:
            bench = Bench(device, transport, sources, directory, journal=Journal(journal_path), progress=tell)
            campaign = run_campaign(
                bench, seed=seed, patience_s=patience_s, progress=lambda done, total: tell("measure", done, total)
            )
            after = describe(transport)
        except DeviceLost as error:
            raise DeviceLost(f"{error} They are kept: profile the device again to go on with them.") from error
        circumstances = Circumstances(
            cpu=bench.journal.cpu,
            scheduled=bench.journal.scheduled,
            duration_s=round(campaign.duration_s, 1),
            before=before,
            after=after,
        )
        table = _table(space, workload, device, campaign, circumstances, wanted, models)
        if raw is not None:
            shutil.copyfile(journal_path, raw)
        with suppress(DeviceLost):  # nothing more is wanted of it; what it leaves there, the next run of the same finds
            transport.clean_up()
        _refuse_disturbed(table, journal_path)
        remove(directory)
    return table


def refuse_workload(space: SearchSpace, workload: Workload) -> None:
    """Raise `InvalidInput` unless the space's models read and write so much."""
    shape = space.task_shape
    if workload.input_length > shape.max_length:
        raise InvalidInput.of(
            "workload.input_length",
            workload.input_length,
            f"at most {shape.max_length}, the longest input of space {space.name}",
            "shorten the input, or give the space a longer max_length",
        )
    most = {
        "encoder": 0,
        "decoder": shape.max_length - workload.input_length,
        "encoder-decoder": shape.max_output_length,
    }[space.family]
    if workload.output_length > most:
        raise InvalidInput.of(
            "workload.output_length",
            workload.output_length,
            f"at most {most} in space {space.name} (family {space.family}) after an input of {workload.input_length}",
            "shorten the output" if most else "leave it out",
        )


def _sources(wanted: Sequence[Call], models: Sequence[Architecture], workload: Workload) -> dict[str, Source]:
    sources: dict[str, Source] = {call.key: call for call in wanted}
    for model in models:
        for phase in phase_runs(model.family, workload):
            whole = WholePass(model, workload, phase)
            sources[whole.key] = whole
    return sources


def _table(
    space: SearchSpace,
    workload: Workload,
    device: Device,
    campaign: Campaign,
    circumstances: Circumstances,
    wanted: Sequence[Call],
    models: Sequence[Architecture],
) -> LatencyTable:
    found = {name: measurement.model_dump() for name, measurement in campaign.measurements.items()}
    phases = phase_runs(space.family, workload)
    return LatencyTable(
        protocol=PROTOCOL,
        device=device,
        recipe=runtime(device.runtime).recipe(device.precision),
        workload=workload,
        space=space.name,
        created_at=datetime.now(UTC).replace(microsecond=0),
        circumstances=circumstances,
        sentinel=Sentinel(readings_ns=campaign.sentinel_readings_ns, calm_ns=campaign.calm_sentinel_ns),
        entries={call.key: Entry(**found[call.key]) for call in wanted},
        whole_models=tuple(
            WholeModel(
                architecture=model.to_dict(),
                phases={phase: campaign.measurements[WholePass(model, workload, phase).key] for phase in phases},
            )
            for model in models
        ),
    )


def _refuse_disturbed(table: LatencyTable, journal: Path) -> None:
    invalid_models = [m for m in table.whole_models if not m.valid]
    invalid = len(table.invalid_entries)
    too_few = len(table.whole_models) - len(invalid_models) <= LEAST_MODELS and invalid_models
    if invalid > MOST_INVALID * len(table.entries) or len(invalid_models) > len(table.whole_models) / 3 or too_few:
        reasons = [table.entries[key].reason for key in table.invalid_entries[:1]]
        reasons += [m.reason for m in invalid_models[:1]]
        journal.unlink()  # what was measured in such a storm is no start for the next try
        if reasons[0] and reasons[0].startswith(WRONG_OUTPUT):
            raise MeasurementFailed(
                f"{table.device.runtime} {table.device.runtime_version} at {table.device.precision} does not compute "
                f"what torch does: of {invalid} of {len(table.entries)} sub-blocks and {len(invalid_models)} of "
                f"{len(table.whole_models)} whole models the first says: {reasons[0]}."
            )
        raise MeasurementFailed(
            f"The machine is too noisy: {invalid} of {len(table.entries)} sub-blocks and {len(invalid_models)} of "
            f"{len(table.whole_models)} whole models could not be measured well ({reasons[0]}). "
            "Close other programs that are using the processor and profile the device again."
        )
