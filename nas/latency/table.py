"""LatencyTable: everything that was measured of a space on a device, as one document.

Times are integers in nanoseconds. What follows from the launches (figures, validity) stands in the document for who
reads it, and is checked against the launches whenever a document is read: it is never trusted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from nas.architecture import Architecture
from nas.documents import StrictModel, refuse_non_finite, validate
from nas.errors import InvalidInput
from nas.latency.describe import Description
from nas.latency.device import Device, Text
from nas.latency.journal import Scheduled
from nas.latency.measurement import PROTOCOL, Measurement, Nanoseconds, calm_level
from nas.latency.plan import phase_runs
from nas.sub_blocks import Phase
from nas.workload import Workload

Schema = Literal["pocketformer/latency-table/3"]
FASTEST_SENTINEL_NS = 10_000
SCHEMA: Schema = "pocketformer/latency-table/3"


class Entry(Measurement):
    """The measurement of one call: a sub-block run alone."""


class WholeModel(StrictModel):
    """The measurement of one whole model, from which the correction is fitted."""

    architecture: dict[str, Any]
    """As `Architecture.to_dict` gives it."""
    phases: Annotated[dict[Phase, Measurement], Field(min_length=1, max_length=2)]
    """The phases that run at the workload: one prefill, one step."""

    @field_validator("architecture")
    @classmethod
    def _is_an_architecture(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            return Architecture.from_dict(value, "").to_dict()
        except InvalidInput as error:  # the path to here is put in front of each field by who validates us
            raise InvalidInput(replace(p, field=p.field.lstrip(".")) for p in error.problems) from error

    @property
    def valid(self) -> bool:
        """Whether every phase is."""
        return all(phase.valid for phase in self.phases.values())

    @property
    def reason(self) -> str | None:
        """Why it is not."""
        return next((phase.reason for phase in self.phases.values() if not phase.valid), None)


class Sentinel(StrictModel):
    """The readings of the sentinel model in the order they were taken."""

    readings_ns: Annotated[tuple[Nanoseconds, ...], Field(min_length=1, max_length=100_000)]
    calm_ns: Nanoseconds
    """Its level in the calmest moments: a fiftieth of the readings is below."""

    @model_validator(mode="after")
    def _agrees_with_its_readings(self) -> Sentinel:
        if self.calm_ns != (expected := calm_level(self.readings_ns)):
            raise InvalidInput.of(
                "calm_ns",
                self.calm_ns,
                f"{expected}, which is what its readings come to",
                "send the record as it was measured, unedited",
            )
        return self


class Circumstances(StrictModel):
    """What the campaign was like."""

    cpu: Annotated[int, Field(ge=0)] | None
    """The CPU that the probe stayed on; None where it couldn't stay on one."""
    scheduled: Scheduled | None
    """How the probe was; None on a system without such classes."""
    duration_s: Annotated[float, Field(ge=0)]
    """Of the measuring, exports not included."""
    before: Description | None
    """What the device said of its clock, its heat and its load before the campaign."""
    after: Description | None


class LatencyTable(StrictModel):
    """The latencies of a space's calls of sub-blocks, and of a few whole models, on a device at a workload."""

    schema_: Annotated[Schema, Field(alias="schema")] = SCHEMA
    protocol: int
    device: Device
    recipe: Text
    """How a module became what ran."""
    workload: Workload
    space: Text
    """The name of the space that the entries cover."""
    created_at: AwareDatetime
    circumstances: Circumstances
    sentinel: Sentinel
    entries: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=300)], Entry], Field(min_length=1, max_length=100_000)
    ]
    """Key of a call (`nas.models.Call.key`) → its measurement."""
    whole_models: Annotated[tuple[WholeModel, ...], Field(max_length=1000)]

    @field_validator("protocol")
    @classmethod
    def _is_our_protocol(cls, value: int) -> int:
        if value != PROTOCOL:
            raise InvalidInput.of(
                "", value, f"{PROTOCOL}, the measuring protocol of this release", "measure the table anew"
            )
        return value

    @model_validator(mode="after")
    def _is_in_nanoseconds(self) -> LatencyTable:
        """The sentinel multiplies 50 million times: no device does that in 10 µs, so the unit is another one."""
        if self.sentinel.calm_ns < FASTEST_SENTINEL_NS:
            raise InvalidInput.of(
                "sentinel.calm_ns",
                self.sentinel.calm_ns,
                f"integer nanoseconds, at least {FASTEST_SENTINEL_NS}",
                "give every time of the table in nanoseconds: these look like micro- or milliseconds",
            )
        return self

    @model_validator(mode="after")
    def _names_each_model_once(self) -> LatencyTable:
        seen: set[str] = set()
        for index, model in enumerate(self.whole_models):
            identity = model.architecture["id"]
            if identity in seen:
                raise InvalidInput.of(
                    f"whole_models[{index}].architecture",
                    identity,
                    "each architecture once",
                    "remove the second record",
                )
            seen.add(identity)
            phases = phase_runs(model.architecture["family"], self.workload)
            if set(model.phases) != set(phases):
                raise InvalidInput.of(
                    f"whole_models[{index}].phases",
                    sorted(model.phases),
                    f"{sorted(phases)}, what runs at {self.workload.key}",
                    "send the record whole, as it was measured",
                )
        return self

    @classmethod
    def from_dict(cls, value: Any, field: str = "latency_table") -> LatencyTable:
        """Build from plain JSON values as `to_dict` gives them; raise `InvalidInput` naming each wrong field."""
        refuse_non_finite(value, field)
        if isinstance(value, dict) and value.get("schema", SCHEMA) != SCHEMA:
            raise InvalidInput.of(
                f"{field}.schema", value["schema"], SCHEMA, "use the release of pocketformer that wrote it"
            )
        return validate(cls, value, field)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def invalid_entries(self) -> tuple[str, ...]:
        """The keys of the entries that no prediction may use."""
        return tuple(key for key, entry in self.entries.items() if not entry.valid)

    @property
    def valid_models(self) -> tuple[tuple[Architecture, dict[Phase, Measurement]], ...]:
        """The whole models that the correction may be fitted on."""
        return tuple(
            (Architecture.from_dict(model.architecture), dict(model.phases))
            for model in self.whole_models
            if model.valid
        )
