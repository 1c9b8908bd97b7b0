"""What a score asks for and what it answers: costs and predicted latency of one architecture."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.problem import Answer
from nas.sub_blocks.calls import Phase
from nas.workload import Workload


class ScoreRequest(BaseModel):
    """One architecture, at a workload, on some devices."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    architecture: dict[str, Any] = Field(description="As a trial or a configuration gives it.")
    workload: Workload
    devices: list[str] = Field(default=[], max_length=16, description="Names of devices with a fitting table.")


class SubBlockLatency(Answer):
    """One row of a prediction."""

    sub_block: str
    latency_ms: float


class PredictedLatency(Answer):
    """Predicted latency on one device, with a 90 % interval."""

    latency_ms: float
    lower_ms: float
    upper_ms: float
    phases_ms: dict[Phase, float] = Field(
        description="One `prefill`, which reads the input, and where a step writes each token, one `step`: "
        "`latency_ms` is the prefill and as many steps as tokens are written.",
        examples=[{"prefill": 1.9, "step": 0.31}],
    )
    table_version: int
    breakdown: list[SubBlockLatency] = Field(
        description="In order of execution, those of a step times the steps, `overhead` last; adds up to `latency_ms`."
    )


class Score(Answer):
    """Exact costs, and predicted latency by device."""

    architecture_id: str
    parameters: int
    parameters_without_embeddings: int
    macs: int = Field(description="Multiply-adds, what fvcore calls flops.")
    flops: int = Field(description="2 × MACs.")
    macs_prefill: int | None = Field(default=None, description="MACs of reading the input. Not of an encoder.")
    macs_step: int | None = Field(default=None, description="MACs of writing one token. Not of an encoder.")
    size_mb: float = Field(description="Weights in fp32, in 10^6 bytes.")
    size_int8_mb: float = Field(description="Weights with matrices in 8 bits, in 10^6 bytes.")
    kv_cache_mb: float | None = Field(default=None, description="Caches between steps, in 10^6 bytes.")
    peak_activation_mb: float = Field(description="Most activations held at a time, in 10^6 bytes.")
    latency: dict[str, PredictedLatency]
