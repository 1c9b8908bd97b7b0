"""Measure: the latency of whole models, now, on the device itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.architecture import Architecture
from nas.errors import InvalidInput
from nas.latency.bench import PROTOCOL, Bench
from nas.latency.campaign import off_level, run_campaign
from nas.latency.device import Device
from nas.latency.table import LatencyTable
from nas.workload import Workload

PATIENCE_S = 45.0


@dataclass(frozen=True)
class Measured:
    """What was measured of one model."""

    architecture_id: str
    latency_ms: float
    """The median of the three fastest launches, as in a latency table."""
    spread: float
    """How far these three lie apart, as a fraction."""
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
    "export" and "measure". Raises `InvalidInput` if the device can't be reached from here or the reference is of
    another device, `MeasurementFailed` if the probe fails.
    """
    if not architectures:
        return []
    tell = progress or (lambda *_: None)
    different = list({architecture.id: architecture for architecture in architectures}.values())
    with tempfile.TemporaryDirectory(prefix="pocketformer-") as directory:
        bench = Bench(device, Path(directory))
        if reference is not None:
            _refuse_other(reference, device, bench.recipe)
        for index, architecture in enumerate(different, start=1):
            bench.add_model(architecture.id, architecture, workload)
            tell("export", index, len(different))
        campaign = run_campaign(
            bench,
            seed=seed,
            patience_s=patience_s,
            reference_sentinel_ns=reference.sentinel.calm_ns if reference else None,
            progress=lambda done, total: tell("measure", done, total),
        )
    calm_ns = campaign.calm_sentinel_ns
    off = None
    if reference is not None and off_level(calm_ns, reference.sentinel.calm_ns):
        off = (
            f"the machine does not run as it did when the table was measured: the sentinel takes "
            f"{calm_ns / 1e6:.3f} ms, then {reference.sentinel.calm_ns / 1e6:.3f} ms"
        )
    result = []
    for architecture in architectures:
        found = campaign.measurements[architecture.id]
        result.append(
            Measured(
                architecture_id=architecture.id,
                latency_ms=found.median_ns / 1e6,
                spread=found.spread,
                valid=found.valid and off is None,
                reason="; ".join(filter(None, (off, found.reason))) or None,
                sentinel_ratio=calm_ns / reference.sentinel.calm_ns if reference else 1.0,
            )
        )
    return result


def _refuse_other(reference: LatencyTable, device: Device, recipe: str) -> None:
    """Raise `InvalidInput` unless the table's numbers and ours are measured alike."""
    for name, theirs, ours in (
        ("device.fingerprint", reference.device.fingerprint, device.fingerprint),
        ("recipe", reference.recipe, recipe),
        ("protocol", reference.protocol, PROTOCOL),
    ):
        if theirs != ours:
            raise InvalidInput.of(
                f"reference.{name}", theirs, str(ours), "profile the device anew and compare with that table"
            )
