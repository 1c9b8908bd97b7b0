"""A bundle that was unpacked: its documents, its model by its programs, and answers to texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture import Architecture
from nas.errors import InvalidInput
from nas.export.bundle_checks import Kind
from nas.export.bundle_report import BundleReport, ProgramRecord, read_report
from nas.export.config import Config, read_config
from nas.export.deployed import deployed
from nas.export.programs import Program
from nas.latency.runtimes import Precision
from nas.models import DecoderModel, EncoderDecoderModel, Model
from nas.models.generation import generate
from nas.quality.datasets.described import vocabulary_from
from nas.quality.datasets.vocabulary import END, PADDING

MOST_CLASSES = 5


@dataclass(frozen=True)
class Bundle:
    """The documents of a bundle in a folder."""

    folder: Path
    config: Config
    report: BundleReport

    @cached_property
    def architecture(self) -> Architecture:
        """The architecture that it was made for."""
        return Architecture.from_dict(self.config.architecture, "config.architecture")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The runtimes and precisions that it has programs for."""
        return tuple(dict.fromkeys((each.runtime, each.precision) for each in self.report.programs))

    def weights(self) -> bytes | None:
        """Return the weights as safetensors; None where the bundle has none."""
        path = self.folder / "model.safetensors"
        return path.read_bytes() if path.exists() else None

    def model(self, kind: Kind) -> Model:
        """Return the model as the programs of a runtime and precision compute it; `InvalidInput` for others."""
        if kind not in self.kinds:
            allowed = ", ".join(f"{name} {precision}" for name, precision in self.kinds)
            raise InvalidInput.of("runtime", " ".join(kind), allowed, "ask for what the bundle has")
        programs = [self.program(each) for each in self.report.programs if (each.runtime, each.precision) == kind]
        return deployed(self.architecture, self.config.workload, programs, kind[0])

    def program(self, record: ProgramRecord) -> Program:
        """Return a program that the report records."""
        return Program(
            path=self.folder / record.file,
            phase=record.phase,
            inputs={each.name: (each.type, each.shape) for each in record.inputs},
            outputs=record.outputs,
            size_bytes=record.size_bytes,
            difference=record.difference,
        )


@dataclass(frozen=True)
class Answering:
    """A model that takes text."""

    bundle: Bundle
    model: Model

    def answer(self, text: str) -> dict[str, float] | str:
        """Return the likeliest classes with their probabilities, or the text that the model writes.

        Of a text that is too long an encoder reads the beginning, a decoder the end. Raises `InvalidInput` for an
        empty text, and where the configuration does not say how text becomes tokens.
        """
        data, workload = self.bundle.config.dataset, self.bundle.config.workload
        if data is None or not data.vocabulary:
            raise InvalidInput.of("config.dataset", None, "a vocabulary", "this model was trained on no known data")
        tokens = vocabulary_from(data.vocabulary).encode(text).tolist()
        if not tokens:
            raise InvalidInput.of("text", text, "at least one token", "give a text that its vocabulary knows")
        cut = slice(-workload.input_length, None) if self.bundle.architecture.family == "decoder" else slice(None)
        read = torch.tensor([tokens[cut][: workload.input_length]])
        with torch.no_grad():
            if isinstance(self.model, DecoderModel | EncoderDecoderModel):
                return self._written(self.model, read, data.output_vocabulary or data.vocabulary)
            return _likeliest(self.model(read)[0], data.classes)

    def _written(self, model: DecoderModel | EncoderDecoderModel, read: Tensor, vocabulary: Any) -> str:
        count = max(1, self.bundle.config.workload.output_length)
        found = generate(model, read, max_new_tokens=count, end_token=END, start_token=PADDING)
        return vocabulary_from(vocabulary).decode(found.tokens[0].tolist())


def open_bundle(folder: str | Path, runtime: str | None = None, precision: Precision = "fp32") -> Answering:
    """Return the model of an unpacked bundle, computed by its programs: of the first runtime, unless one is named.

    Raises `InvalidInput` for a folder that is no bundle, for programs that it does not have, and for a runtime that is
    not installed.
    """
    bundle = read_bundle(Path(folder))
    return Answering(bundle, bundle.model((runtime or bundle.kinds[0][0], precision)))


def read_bundle(folder: Path) -> Bundle:
    """Read the documents of an unpacked bundle; raise `InvalidInput` where there are none."""
    texts = []
    for name in ("config.yaml", "report.json"):
        path = folder / name
        if not path.is_file():
            raise InvalidInput.of(
                "bundle", str(folder), f"a folder with {name}", "unpack the bundle, and name its folder"
            )
        texts.append(path.read_bytes())
    return Bundle(folder, read_config(texts[0]), read_report(texts[1]))


def _likeliest(logits: Tensor, classes: Sequence[str]) -> dict[str, float]:
    chances = logits.softmax(dim=-1)
    best = chances.topk(min(MOST_CLASSES, len(chances)))
    named = [classes[i] if i < len(classes) else str(i) for i in best.indices.tolist()]
    return dict(zip(named, best.values.tolist(), strict=True))
