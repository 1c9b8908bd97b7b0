"""The configuration document: one page, from which the model rebuilds. JSON and YAML are the same document."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import Field

import nas
from nas.architecture import Architecture
from nas.documents import StrictModel, parse_document, validate
from nas.quality.datasets import Reference
from nas.quality.datasets.dataset import TaskName
from nas.quality.datasets.own.document import PinnedData
from nas.quality.plan import TrainingPlan
from nas.workload import Workload

SCHEMA = "pocketformer/config/1"


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0)]


class CostRecord(StrictModel):
    """The exact costs as recorded; MACs at the document's workload. Those that a release did not know are absent."""

    parameters: Annotated[int, Field(ge=1)]
    parameters_without_embeddings: Annotated[int, Field(ge=0)]
    macs: Annotated[int, Field(ge=1)]
    macs_prefill: Annotated[int, Field(ge=0)] | None = None
    macs_step: Annotated[int, Field(ge=0)] | None = None
    size_mb: Positive
    size_int8_mb: Positive | None = None
    kv_cache_mb: Annotated[float, Field(ge=0)] | None = None
    peak_activation_mb: Positive | None = None


class EvaluatorRecord(StrictModel):
    """The function that scored the model, and which version of it that was."""

    function: str
    distribution: str | None = None
    """The installed package that it belongs to; none where its module was just a file."""
    version: str | None = None
    sha256: Sha256 | None = None
    """Of the source file of its module."""


class QualityRecord(StrictModel):
    """What the task reported: on which split, after which training, and every metric by name."""

    metric: str
    label: Literal["proxy", "trained", "tested"]
    split: Literal["train", "validation", "test"]
    metrics: dict[str, float]
    evaluator: EvaluatorRecord | None = None
    """Only of a job that named one of its own."""


class LatencyRecord(StrictModel):
    """The latency promised on one device, and the version of the table that it comes from."""

    latency_ms: Positive
    lower_ms: Positive
    upper_ms: Positive
    table_version: Annotated[int, Field(ge=1)]
    fingerprint: str


class DatasetRecord(StrictModel):
    """The exact data: equal content has equal SHA-256."""

    name: str
    version: str
    sha256: Sha256
    task: TaskName | None = None
    classes: tuple[str, ...] = ()
    """What each output of a classifier stands for."""
    vocabulary: dict[str, Any] | None = None
    """How text becomes the tokens that the model reads (`nas.quality.datasets.described.vocabulary_from`)."""
    output_vocabulary: dict[str, Any] | None = None
    """How the tokens that a sequence-to-sequence model writes become text."""
    own: PinnedData | None = None
    """Of a person's own data: the document and the file that it was prepared from."""

    @property
    def reference(self) -> Reference:
        """What `nas.quality.datasets.load` takes."""
        return self.name if self.own is None else self.own.model_dump(mode="json", exclude_none=True)


class TrainingRecord(StrictModel):
    """How the weights were made: with the same plan, seed and data they come out the same."""

    plan: TrainingPlan
    seed: int
    input_length: Annotated[int, Field(ge=1)]
    output_length: Annotated[int, Field(ge=0)] = 0

    @property
    def workload(self) -> Workload:
        """The lengths that the model was trained and scored at."""
        return Workload(input_length=self.input_length, output_length=self.output_length)


class WeightsRecord(StrictModel):
    """Where the weights are, and how to tell that they are the right ones."""

    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1)]
    href: str | None = None


class Provenance(StrictModel):
    """Where the configuration comes from, and the releases that trained it."""

    job: str
    trial: Annotated[int, Field(ge=0)]
    search_space: str
    pocketformer: str | None = None
    torch: str | None = None
    python: str | None = None


class Config(StrictModel):
    """The whole document, validated; `architecture` is checked by `Architecture` itself."""

    schema_: Annotated[Literal["pocketformer/config/1"], Field(alias="schema")]
    architecture: dict[str, Any]
    workload: Workload
    costs: CostRecord
    quality: QualityRecord | None = None
    latency: Annotated[dict[str, LatencyRecord], Field(default_factory=dict)]
    dataset: DatasetRecord | None = None
    training: TrainingRecord | None = None
    weights: WeightsRecord | None = None
    provenance: Provenance | None = None


def software() -> dict[str, str]:
    """Return the releases that weights made by this process come from."""
    return {
        "pocketformer": nas.__version__,
        "torch": version("torch"),
        "python": platform.python_version(),
    }


def config_document(architecture: Architecture, workload: Workload, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as plain values; `parts` are the fields of `Config` after `workload`."""
    document = {
        "schema": SCHEMA,
        "architecture": architecture.to_dict(),
        "workload": workload.model_dump(mode="json"),
        **{name: part for name, part in parts.items() if part},
    }
    validate(Config, document, "config")
    return document


def read_config(text: str | bytes) -> Config:
    """Parse a configuration from YAML or JSON text; raise `InvalidInput` with one problem a wrong field.

    The architecture's id is recomputed and compared, so that an edited document does not pass for the original.
    """
    document = parse_document(text, "config")
    config = validate(Config, document, "config")
    Architecture.from_dict(config.architecture, "config.architecture")
    return config
