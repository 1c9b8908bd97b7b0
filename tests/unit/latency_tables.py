"""Latency tables made up to order: what each call takes, and how whole models follow from it, is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from small_spaces import workload_of

from nas.architecture import Architecture
from nas.latency.correction import CALL_BYTES, Correction, Totals
from nas.latency.device import Device
from nas.latency.measurement import PROTOCOL, Launch, Measurement
from nas.latency.plan import kept_bytes_of_call, phase_runs, weight_bytes_of_call, whole_models_of
from nas.latency.table import LatencyTable
from nas.space import SearchSpace
from nas.sub_blocks.calls import Call, Phase, calls
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

CALM_NS = 1_000_000
DEVICE = Device(
    name="made-up",
    hardware="a processor of our own",
    cores=2,
    runtime="onnxruntime",
    runtime_version="1.0",
    threads=1,
    system="none",
)


def launches(latencies_ns: Sequence[int], **changes: Any) -> list[Launch]:
    fields = {
        "iterations": 50,
        "interrupted": 0,
        "stolen": 0.0,
        "late_early_ratio": 1.0,
        "difference": 1e-6,
        "sentinel_ns": CALM_NS,
    }
    return [Launch(graph="g", latency_ns=ns, **(fields | changes)) for ns in latencies_ns]


def measurement(latency_ns: int) -> Measurement:
    return Measurement.of(launches([latency_ns] * 5), CALM_NS)


def by_key(call: Call) -> int:
    """A latency that differs between calls in no simple way."""
    return 10_000 + sum(map(ord, call.key)) % 977 * 37


def totals_of(
    architecture: Architecture, workload: Workload, phase: Phase, latency_ns: Callable[[Call], int]
) -> Totals:
    """Add up a phase call by call."""
    run = calls(architecture, workload, phase)
    once = calls(architecture, workload, phase, repeats=False)
    kept = sum(map(kept_bytes_of_call, run))
    return Totals(
        sum_ns=float(sum(map(latency_ns, run))),
        calls=float(len(run)),
        weight_bytes=float(sum(weight_bytes_of_call(call, "fp32") for call in run)),
        working_bytes=float(sum(weight_bytes_of_call(call, "fp32") for call in once) + kept),
    )


def latency_ns_of(
    architecture: Architecture,
    workload: Workload,
    truth: Mapping[Phase, Correction],
    latency_ns: Callable[[Call], int] = by_key,
) -> float:
    """Return what one inference takes if the corrections are the truth: each phase as often as the workload says."""
    total = 0.0
    for phase, runs in phase_runs(architecture.family, workload).items():
        s, n, m, w = totals_of(architecture, workload, phase, latency_ns)
        fitted = truth[phase]
        ramp = (math.log(w + CALL_BYTES * n) - fitted.lower_knee) / (fitted.upper_knee - fitted.lower_knee)
        beyond = (fitted.slowdown * s + fitted.fetch_ns * n + fitted.byte_ns * m) * min(1.0, max(0.0, ramp))
        total += runs * (fitted.overhead_ns + fitted.call_ns * n + s + beyond)
    return total


def truth_of(space: SearchSpace, workload: Workload, models: Sequence[Architecture]) -> dict[Phase, Correction]:
    """Return corrections that a space can show: their knees lie among the sizes of its models."""
    result: dict[Phase, Correction] = {}
    for phase in phase_runs(space.family, workload):
        sizes = [math.log(totals_of(model, workload, phase, by_key).working_set) for model in models]
        low, high = min(sizes), max(sizes)
        result[phase] = Correction(
            overhead_ns=6_000.0 if phase == "prefill" else 9_000.0,
            call_ns=-400.0,
            slowdown=0.2 if phase == "prefill" else 0.05,
            fetch_ns=300.0,
            byte_ns=0.0 if phase == "prefill" else 10_000 / math.exp(high),
            lower_knee=low + 0.3 * (high - low),
            upper_knee=low + 0.8 * (high - low) + 1e-3,
        )
    return result


def made_up_table(
    space: SearchSpace,
    latency_ns: Callable[[Call], int] = by_key,
    truth: Mapping[Phase, Correction] | None = None,
    *,
    workload: Workload | None = None,
    whole_models: int = 40,
) -> LatencyTable:
    """Return a table of the space in which every model takes exactly what `truth` makes of its calls."""
    workload = workload or workload_of(space)
    models = whole_models_of(space, workload, whole_models, seed=0)
    truth = truth or truth_of(space, workload, models)

    def whole(architecture: Architecture, phase: Phase) -> int:
        one = truth[phase].apply(totals_of(architecture, workload, phase, latency_ns))
        return round(float(one))

    return LatencyTable.from_dict(
        {
            "protocol": PROTOCOL,
            "device": DEVICE.model_dump(mode="json"),
            "recipe": "made up",
            "workload": workload.model_dump(),
            "space": space.name,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
            "circumstances": {"cpu": None, "scheduled": None, "duration_s": 1.0, "before": None, "after": None},
            "sentinel": {"readings_ns": [CALM_NS] * 10, "calm_ns": CALM_NS},
            "entries": {
                call.key: measurement(latency_ns(call)).model_dump(mode="json")
                for call in calls_of_space(space, workload)
            },
            "whole_models": [
                {
                    "architecture": model.to_dict(),
                    "phases": {
                        phase: measurement(whole(model, phase)).model_dump(mode="json")
                        for phase in phase_runs(space.family, workload)
                    },
                }
                for model in models
            ],
        }
    )
