"""Rebuilding a model from its configuration alone, and holding it against what the configuration promises."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from nas.addresses import is_loopback
from nas.architecture import Architecture
from nas.costs import costs_of
from nas.costs.counting import whole_model_macs
from nas.errors import InvalidInput, PocketformerError
from nas.export.config import Config
from nas.export.weights import load_weights, sha256_of
from nas.latency.device import this_machine
from nas.latency.measure import Measured, measure
from nas.latency.table import LatencyTable
from nas.models import build_model
from nas.quality.datasets import load
from nas.quality.datasets.own.prepared import is_prepared
from nas.quality.score import evaluate
from nas.sub_blocks import phases
from nas.workload import Workload

QUALITY_TOLERANCE = 1e-6
LATENCY_TOLERANCE = 0.15
"""How far the measured latency may be from the predicted one, relative to it."""
DOWNLOAD_LIMIT_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Row:
    """One promise and what became of it."""

    name: str
    unit: str
    recorded: float | int | str
    rebuilt: float | int | str | None
    tolerance: str
    agrees: bool | None
    """None where it could not be compared, for the reason in `note`."""
    note: str = ""


@dataclass(frozen=True)
class Rebuilt:
    """Recorded and rebuilt, side by side."""

    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        """Whether every row was compared and agrees."""
        return all(row.agrees is True for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {"agrees": self.agrees, "rows": [asdict(row) for row in self.rows]}


def fetch_weights(config: Config) -> bytes:
    """Download the weights that a configuration points to, and check their size and SHA-256.

    Raises `InvalidInput` where the configuration has no usable address or the bytes are not the promised ones, and
    `PocketformerError` where the address does not answer.
    """
    record = config.weights
    if record is None or record.href is None:
        raise InvalidInput.of("weights.href", None, "an http or https address", "give the file instead: --weights FILE")
    if not record.href.startswith(("http://", "https://")):
        raise InvalidInput.of("weights.href", record.href, "an http or https address", "correct the address")
    if record.size_bytes > DOWNLOAD_LIMIT_BYTES:
        raise InvalidInput.of(
            "weights.size_bytes", record.size_bytes, f"at most {DOWNLOAD_LIMIT_BYTES}", "check the configuration"
        )
    content = bytearray()
    try:
        direct = is_loopback(httpx.URL(record.href).host)
        with httpx.stream("GET", record.href, timeout=30, trust_env=not direct) as response:
            if response.status_code != httpx.codes.OK:
                raise PocketformerError(
                    f"{record.href} answered {response.status_code}: is the service that made the configuration "
                    f"running there? Otherwise give the weights as a file: --weights FILE"
                )
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > record.size_bytes:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PocketformerError(
            f"the weights at {record.href} can't be fetched ({error}): start the service that made the "
            f"configuration, or give the weights as a file: --weights FILE"
        ) from error
    check_weights(config, bytes(content))
    return bytes(content)


def check_weights(config: Config, content: bytes) -> None:
    """Raise `InvalidInput` unless the bytes are those whose SHA-256 the configuration records."""
    if config.weights is not None and sha256_of(content) != config.weights.sha256:
        raise InvalidInput.of(
            "weights",
            f"{len(content)} bytes with sha256 {sha256_of(content)[:12]}…",
            f"{config.weights.size_bytes} bytes with sha256 {config.weights.sha256[:12]}…",
            "these are other weights: download them from the trial of this configuration",
        )


def rebuild(
    config: Config,
    *,
    weights: bytes | None,
    measure_latency: bool = True,
    reference: LatencyTable | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Rebuilt:
    """Build the model anew and compare id, parameters, MACs, quality and latency with the recorded ones.

    Quality is evaluated with `weights` on the recorded split of the recorded data; latency is measured here and
    now, for a device of the configuration that is this machine. What can't be compared says why.
    """
    tell = progress or (lambda *_: None)
    architecture = Architecture.from_dict({k: v for k, v in config.architecture.items() if k != "id"})
    model = build_model(architecture)
    parameters = sum(p.numel() for p in model.parameters())
    tell("costs", 0, 1)
    rows = [
        _exact("architecture", "", str(config.architecture.get("id", "")), architecture.id),
        _exact("parameters", "", config.costs.parameters, parameters),
        _exact("macs", "", config.costs.macs, _counted(architecture, config.workload)),
    ]
    costs = costs_of(architecture, config.workload)
    for name in ("size_mb", "size_int8_mb", "kv_cache_mb", "peak_activation_mb"):
        recorded = getattr(config.costs, name)
        if recorded is not None:
            rows.append(_exact(name, "MB", recorded, getattr(costs, name)))
    tell("quality", 0, 1)
    rows += _quality_rows(config, model, weights)
    if measure_latency:
        rows += _latency_rows(config, architecture, reference, tell)
    return Rebuilt(tuple(rows))


def _counted(architecture: Architecture, workload: Workload) -> int:
    """Return the multiply-adds of the workload as fvcore counts them on the whole model."""
    prefill, *steps = (whole_model_macs(architecture, workload, phase) for phase in phases(architecture.family))
    return prefill + workload.output_length * sum(steps)


def _exact(name: str, unit: str, recorded: Any, rebuilt: Any) -> Row:
    return Row(name, unit, recorded, rebuilt, "equal", recorded == rebuilt)


def _quality_rows(config: Config, model: Any, weights: bytes | None) -> list[Row]:
    quality, data, training = config.quality, config.dataset, config.training
    if quality is None or data is None or training is None:
        return []
    note = "no weights were given" if weights is None else ""
    metrics: dict[str, float] = {}
    if quality.evaluator is not None:
        note = f"scored by {quality.evaluator.function}, which rebuilding does not run"
    elif data.own is not None and not is_prepared(data.own):
        note = f"the data of {data.name} is not prepared on this machine: submit the job here, with the same file"
    elif weights is not None:
        dataset = load(data.reference)
        if dataset.info.sha256 != data.sha256:
            note = (
                f"the data here is another version ({dataset.info.version}, recorded {data.version}): "
                f"install the release of the package that carries it"
            )
        else:
            load_weights(model, weights)
            metrics = evaluate(model, dataset, quality.split, training.workload)
    rows = []
    for name, recorded in quality.metrics.items():
        rebuilt = metrics.get(name)
        agrees = None if rebuilt is None else abs(rebuilt - recorded) <= QUALITY_TOLERANCE
        label = f"{quality.label}, {quality.split}"
        rows.append(Row(f"{name} ({label})", "", recorded, rebuilt, f"± {QUALITY_TOLERANCE:g}", agrees, note))
    return rows


def _latency_rows(
    config: Config,
    architecture: Architecture,
    reference: LatencyTable | None,
    tell: Callable[[str, int, int], None],
) -> list[Row]:
    here = this_machine()
    rows = []
    for device, promise in config.latency.items():
        name, tolerance = f"latency_ms@{device}", f"± {LATENCY_TOLERANCE:.0%}"
        if promise.fingerprint != here.fingerprint:
            note = "the device of this latency is another machine, runtime or setting than here"
            rows.append(Row(name, "ms", promise.latency_ms, None, tolerance, None, note))
            continue
        started = time.monotonic()
        result = measure(
            [architecture],
            config.workload,
            here,
            reference=reference,
            progress=lambda phase, done, total: tell(f"latency: {phase}", done, total),
        )[0]
        agrees = abs(result.latency_ms - promise.latency_ms) <= LATENCY_TOLERANCE * promise.latency_ms
        note = _latency_note(result, time.monotonic() - started)
        rows.append(Row(name, "ms", promise.latency_ms, result.latency_ms, tolerance, agrees, note))
    return rows


def _latency_note(result: Measured, duration_s: float) -> str:
    if result.valid:
        return f"predicted, and measured now: spread {result.spread:.1%} over {duration_s:.0f} s"
    return f"predicted, and measured now; the measurement was disturbed: {result.reason}"
