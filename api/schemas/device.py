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
