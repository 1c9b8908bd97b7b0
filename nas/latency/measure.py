"""Measure: the latency of whole models, now, on the device itself."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nas.architecture import Architecture
from nas.errors import DeviceLost, InvalidInput
from nas.latency.bench import Bench
from nas.latency.campaign import off_level, run_campaign
from nas.latency.device import Device
from nas.latency.graphs import Source, WholePass
from nas.latency.measurement import PROTOCOL
from nas.latency.plan import phase_runs
from nas.latency.reach import check_device
from nas.latency.runtimes import runtime
from nas.latency.table import LatencyTable
from nas.latency.transports import transport_at
from nas.sub_blocks.calls import Phase
from nas.workload import Workload

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Measured:
    """What was measured of one model."""

    architecture_id: str
    latency_ms: float
    """One inference of the workload: a prefill and its steps, each as in a latency table."""
    phases: dict[Phase, float]
    """The milliseconds of one prefill and of one step."""
    spread: float
    """How far the launches that count lie apart, as a fraction; of the phase where it is the most."""
    valid: bool
    reason: str | None
    """Why it is not valid."""
    sentinel_ratio: float
    """The sentinel's calm level now, against the reference table's; 1.0 where none was given."""


def measure(
    architectures: Sequence[Architecture],
    workload: Workload,
    device: Device,
    *,
    reference: LatencyTable | None = None,
    seed: int = 0,
    patience_s: float = PATIENCE_S,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Measured]:
    """Measure whole models at a workload, in the order given, in the way that a table's whole models are measured.

    With a `reference` table the machine must also run as fast as it did then (to 5 %, by the sentinel): while it does
    not, or launches disagree, they are repeated after a pause until `patience_s` have passed; what is in doubt then
    comes back with `valid` False and the reason. `progress` is called with (phase, done, total), the phases being
    "export", "send" and "measure". Raises `InvalidInput` if the device is not what it was or the reference is of
    another one, `MeasurementFailed` if the probe fails.
    """
    if not architectures:
        return []
    tell = progress or (lambda *_: None)
    if reference is not None:
        _refuse_other(reference, device)
    sources: dict[str, Source] = {}
    for architecture in architectures:
        for phase in phase_runs(architecture.family, workload):
            whole = WholePass(architecture, workload, phase)
            sources[whole.key] = whole
    with (
        tempfile.TemporaryDirectory(prefix="pocketformer-") as directory,
        transport_at(device.address, f"measure-{secrets.token_hex(8)}") as transport,
    ):
        try:
            check_device(device, transport)
            bench = Bench(device, transport, sources, Path(directory), progress=tell)
            campaign = run_campaign(
                bench,
                seed=seed,
                patience_s=patience_s,
                reference_sentinel_ns=reference.sentinel.calm_ns if reference else None,
                progress=lambda done, total: tell("measure", done, total),
            )
        finally:
            with suppress(DeviceLost):  # said already, by what led here
                transport.clean_up()
    calm_ns = campaign.calm_sentinel_ns
    off = None
    if reference is not None and off_level(calm_ns, reference.sentinel.calm_ns):
        off = (
            f"the machine does not run as it did when the table was measured: the sentinel takes "
            f"{calm_ns / 1e6:.3f} ms, then {reference.sentinel.calm_ns / 1e6:.3f} ms"
        )
    result = []
    for architecture in architectures:
        runs = phase_runs(architecture.family, workload)
        found = {phase: campaign.measurements[WholePass(architecture, workload, phase).key] for phase in runs}
        reasons = [off, *(each.reason for each in found.values())]
        result.append(
            Measured(
                architecture_id=architecture.id,
                latency_ms=sum(runs[phase] * each.latency_ns for phase, each in found.items()) / 1e6,
                phases={phase: each.latency_ns / 1e6 for phase, each in found.items()},
                spread=max(each.spread for each in found.values()),
                valid=not any(reasons),
                reason="; ".join(filter(None, reasons)) or None,
                sentinel_ratio=calm_ns / reference.sentinel.calm_ns if reference else 1.0,
            )
        )
    return result


def _refuse_other(reference: LatencyTable, device: Device) -> None:
    """Raise `InvalidInput` unless the table's numbers and ours are measured alike."""
    for name, theirs, ours in (
        ("device.fingerprint", reference.device.fingerprint, device.fingerprint),
        ("recipe", reference.recipe, runtime(device.runtime).recipe(device.precision)),
        ("protocol", reference.protocol, PROTOCOL),
    ):
        if theirs != ours:
            raise InvalidInput.of(
                f"reference.{name}", theirs, str(ours), "profile the device anew and compare with that table"
            )
