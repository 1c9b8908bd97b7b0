"""Answers about devices and their latency tables."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.schemas.problem import Answer
from nas.latency.runtimes import Precision


class TableErrors(Answer):
    """How far predictions were from whole models that the prediction had not seen."""

    mean_absolute_percent: float
    within_7_percent: float = Field(ge=0, le=1, description="Share of the models within ±7 %.")
    within_15_percent: float = Field(ge=0, le=1, description="Share of the models within ±15 %.")
    bias_percent: float = Field(description="Mean signed error; above 0 the prediction is too slow.")
    interval_percent: float = Field(description="Half the width of the 90 % interval, mean over the whole models.")
    whole_models: int = Field(description="How many models these figures come from.")


class TableSummary(Answer):
    """One version of a device's latency table."""

    device: str
    version: int = Field(ge=1)
    space: str
    workload: str = Field(examples=["batch=1,input_length=64,output_length=0"])
    created_at: datetime
    fingerprint: str = Field(description="Of the device when it was measured; other fingerprints do not compare.")
    protocol: int = Field(description="Version of the measuring procedure.")
    entries: int = Field(description="Calls of sub-blocks that were measured.")
    invalid_entries: int = Field(description="Entries that never settled; they are kept, and never used.")
    whole_models: int
    errors: TableErrors


class HeldOutModel(Answer):
    """A whole model, and what the table says of it when the correction is fitted on all the others."""

    architecture_id: str
    measured_ms: float
    predicted_ms: float
    lower_ms: float = Field(description="Of the 90 % interval that the table states.")
    upper_ms: float
    error_percent: float = Field(description="Above 0 the prediction is too slow.")
    inside: bool = Field(description="Whether the measurement lies in the interval.")


class SpaceCoverage(Answer):
    """Whether a table holds every sub-block of a search space, at the sizes that it was measured for."""

    search_space: str
    bundled: bool
    calls: int = Field(description="Different calls of sub-blocks that the space needs.")
    missing: int = Field(description="Those without a valid entry; jobs on the space take the table at 0.")
    example: str | None = Field(description="One that is missing.")
    measure: str | None = Field(description="The command that measures what is missing; null where nothing is.")


class TableReport(Answer):
    """How far one version of a latency table can be trusted, and what for."""

    table: TableSummary
    usable: bool = Field(description="Whether jobs can take it; a table of an earlier protocol they can't.")
    newest: bool = Field(description="Whether no later table was measured for the same space and workload.")
    recipe: str | None = Field(description="How a module became what was measured.")
    duration_s: float | None = Field(description="Of the measuring.")
    vocabulary_size: int | None = Field(description="Of the models that it was measured with.")
    outputs: int | None
    models: list[HeldOutModel] = Field(description="The fastest first.")
    inside: float | None = Field(description="Share of these models in their intervals, 0 to 1; 0.9 is stated.")
    coverage: list[SpaceCoverage] = Field(description="Of every search space of the family.")
    warnings: list[str] = Field(description="What to know before relying on it, in sentences.")
    measure: str | None = Field(description="The command that measures it anew.")
    verify: str | None = Field(description="The command that measures models which it has never seen.")


class TableList(Answer):
    """The latency tables of one device, newest last."""

    latency_tables: list[TableSummary]


class DeviceSummary(Answer):
    """A device: hardware, runtime, threads, precision and clock, with its latency tables."""

    name: str
    address: str = Field(
        description="How the machine that profiled it reaches it; the fingerprint does not count it.",
        examples=["local", "ssh://pi@raspberrypi.local", "adb://0123456789"],
    )
    hardware: str
    cores: int
    memory_mb: int | None
    runtime: str = Field(examples=["onnxruntime", "executorch", "torch"])
    runtime_version: str
    threads: int
    precision: Precision = Field(description="`int8-dynamic`: weights of matrix products as 8-bit integers.")
    clock: str
    system: str
    fingerprint: str = Field(description="SHA-256 of what changes a latency; name and address are not among it.")
    tables: list[TableSummary]


class DeviceList(Answer):
    """Every device that the service knows."""

    devices: list[DeviceSummary]
