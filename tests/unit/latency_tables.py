"""Latency tables made up to order: what each sub-block takes, and how whole models follow from it, is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from nas.architecture import Architecture
from nas.latency.bench import PROTOCOL
from nas.latency.correction import Correction
from nas.latency.device import Device
from nas.latency.measurement import Launch, Measurement
from nas.latency.plan import model_weight_bytes, whole_models_of
from nas.latency.table import LatencyTable
from nas.models import SubBlock, sub_blocks
from nas.models.space_blocks import sub_blocks_of_space
from nas.space import SearchSpace
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
TRUE = Correction(overhead_ns=5_000, slowdown=0.25, lower_knee=9.0, upper_knee=10.5)


def launches(latencies_ns: Sequence[int], **changes: Any) -> list[Launch]:
    fields = {
        "iterations": 50,
        "interrupted": 0,
        "late_early_ratio": 1.0,
        "difference": 1e-6,
        "sentinel_ns": CALM_NS,
    }
    return [Launch(graph="g", latency_ns=ns, **(fields | changes)) for ns in latencies_ns]


def measurement(latency_ns: int) -> Measurement:
    return Measurement.of(launches([latency_ns] * 5), CALM_NS)


def by_parameters(sub_block: SubBlock) -> int:
    """A latency that differs between sub-blocks in no simple way."""
    return 10_000 + sum(map(ord, sub_block.key)) % 977 * 37


def made_up_table(
    space: SearchSpace, latency_ns: Callable[[SubBlock], int] = by_parameters, truth: Correction = TRUE
) -> LatencyTable:
    """Return a table of the space in which every model takes exactly what `truth` makes of its sub-blocks."""

    def whole(architecture: Architecture) -> int:
        total = sum(map(latency_ns, sub_blocks(architecture)))
        return round(truth.apply(total, model_weight_bytes(architecture)))

    return LatencyTable.from_dict(
        {
            "protocol": PROTOCOL,
            "device": DEVICE.model_dump(mode="json"),
            "recipe": "made up",
            "workload": Workload(input_length=64).model_dump(),
            "space": space.name,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
            "circumstances": {"cpu": None, "duration_s": 1.0, "load_average": None},
            "sentinel": {"readings_ns": [CALM_NS] * 10, "calm_ns": CALM_NS},
            "entries": {
                block.key: measurement(latency_ns(block)).model_dump(mode="json")
                for block in sub_blocks_of_space(space)
            },
            "whole_models": [
                {"architecture": model.to_dict(), **measurement(whole(model)).model_dump(mode="json")}
                for model in whole_models_of(space, 18, seed=0)
            ],
        }
    )
