"""What was checked of a bundle before it was offered, as the document `report.json` in it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nas.documents import StrictModel, parse_json, validate
from nas.export.config import Sha256
from nas.latency.runtimes import Precision
from nas.sub_blocks.calls import Phase

SCHEMA = "pocketformer/bundle/1"
Share = Annotated[float, Field(ge=0)]


class TensorRecord(StrictModel):
    """An input of a program."""

    name: str
    type: str
    """As numpy calls it."""
    shape: tuple[int, ...]


class ProgramRecord(StrictModel):
    """One phase of the model as a file of the bundle."""

    file: Annotated[str, Field(pattern=r"^programs/[a-z]+/[a-z0-9-]+/model(\.[a-z]+)?\.[a-z]+$")]
    runtime: str
    runtime_version: str
    precision: Precision
    phase: Phase
    inputs: tuple[TensorRecord, ...]
    """In the order in which ExecuTorch takes them."""
    outputs: tuple[str, ...]
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    difference: Share
    """Between its outputs and torch's, at most, over the greatest of torch's: on random texts of several lengths."""
    allowed: Share
    """More than that, and the program would not be here."""


class LeftOut(StrictModel):
    """Programs that are not in the bundle, and why."""

    runtime: str
    precision: Precision
    reason: str


class QualityBy(StrictModel):
    """What the programs of one runtime and precision score."""

    runtime: str
    precision: Precision
    metrics: dict[str, float]
    lost: dict[str, float]
    """By metric: how much worse than torch on the same examples; below zero where it is better."""


class QualityCheck(StrictModel):
    """Quality on examples of the validation split, the same ones for torch and every program."""

    split: Literal["validation"] = "validation"
    unit: Literal["texts", "windows"]
    examples: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1)]
    """So many does the split have; of fewer the first (of a language model) or a random sample."""
    torch: dict[str, float]
    programs: tuple[QualityBy, ...]


class WrittenBy(StrictModel):
    """What the programs of one runtime and precision write."""

    runtime: str
    precision: Precision
    same: Annotated[int, Field(ge=0)]
    """Texts that are token by token what torch writes."""


class WrittenCheck(StrictModel):
    """Texts written with cached decoding, by likeliest token."""

    texts: Annotated[int, Field(ge=1)]
    tokens: Annotated[int, Field(ge=1)]
    """At most, of each."""
    programs: tuple[WrittenBy, ...]


class TransformersCheck(StrictModel):
    """The same model in the form of the `transformers` library, in the folder `transformers`."""

    model_class: str
    difference: Share
    """Between its logits and ours, at most, over the greatest of ours."""


class LatencyHere(StrictModel):
    """A promised latency, measured on the machine that made the bundle."""

    device: str
    latency_ms: float | None = None
    """None where it could not be measured."""
    spread: float | None = None
    """How far the launches that count lie apart, as a fraction."""
    valid: bool = False
    reason: str | None
    """Why the measurement is in doubt, or failed."""
    within: bool | None = None
    """Whether it is within the interval that was promised."""


class BundleReport(StrictModel):
    """The whole document, validated."""

    schema_: Annotated[Literal["pocketformer/bundle/1"], Field(alias="schema")] = "pocketformer/bundle/1"
    programs: tuple[ProgramRecord, ...]
    left_out: tuple[LeftOut, ...] = ()
    quality: QualityCheck | None = None
    quality_note: str | None = None
    """Why there is none."""
    written: WrittenCheck | None = None
    transformers: TransformersCheck | None = None
    transformers_note: str | None = None
    """Why it is not there."""
    latency: tuple[LatencyHere, ...] = ()
    software: dict[str, str]

    def to_json(self) -> str:
        """Return the document as text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def read_report(text: str | bytes) -> BundleReport:
    """Parse `report.json`; raise `InvalidInput` with one problem a wrong field."""
    document = parse_json(text, "report")
    return validate(BundleReport, document, "report")
