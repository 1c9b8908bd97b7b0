"""Dataset: token sequences in three splits, and the facts about them that a person wants to know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.splits import SplitName

TaskName = Literal["sequence-classification", "language-model", "sequence-to-sequence"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset is, where it is from, and what a model that ignores its input would score."""

    name: str
    title: str
    version: str
    """Names the source's release and the rules of parsing; `sha256` says whether the content is the same."""
    sha256: str
    """Of the parsed content, splits and labels included: equal data, equal hash, on any machine."""
    licence: str
    source: str
    task: TaskName
    outputs: int
    """Classes, or the size of the vocabulary that is written."""
    classes: tuple[str, ...]
    """Only of a classification."""
    vocabulary: dict[str, Any]
    """Of the input, as `Vocabulary.describe` gives it."""
    output_vocabulary: dict[str, Any] | None
    """Of what a sequence-to-sequence model writes."""
    vocabulary_size: int
    examples: dict[str, int]
    """Number of examples by split: texts to classify, documents, or pairs."""
    metrics: tuple[str, ...]
    """The first is the one that is usually asked for."""
    chance: dict[str, float]
    """Each metric on validation of a model that ignores its input and knows the frequencies of train."""
    length_percentiles: dict[str, int]
    """Tokens in a training example at the 50th, 90th, 99th and 100th percentile."""
    output_length_percentiles: dict[str, int] | None = None
    """The same of what a sequence-to-sequence model writes, its end token included."""
    notes: tuple[str, ...] = ()
    """What else a reader has to know: what was left out, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("classes", "metrics", "notes")}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DatasetInfo:
        """Return what `to_dict` was called on."""
        return cls(**{**value, **{name: tuple(value[name]) for name in ("classes", "metrics", "notes")}})


@dataclass(frozen=True)
class Split:
    """N examples: what a model reads, and what it is to answer."""

    inputs: Sequences
    labels: NDArray[np.int64] | None = None
    """Class indices (N,), of a classification."""
    targets: Sequences | None = None
    """What is to be written, each with its end token, of sequence-to-sequence."""
    text_bytes: int | None = None
    """Bytes of UTF-8 of all documents, of a language model."""

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory."""

    info: DatasetInfo
    splits: Mapping[SplitName, Split]

    def split(self, name: str) -> Split:
        """Return one split; raise `InvalidInput` naming the known ones."""
        for known, split in self.splits.items():
            if name == known:
                return split
        raise InvalidInput.of("split", name, ", ".join(self.splits), "name one of these splits")


def content_sha256(lines: Iterable[str]) -> str:
    """Return the SHA-256 of the content, given line by line: split, answer and text of each example, in order."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def majority_error_rate(train: NDArray[np.int64], validation: NDArray[np.int64]) -> float:
    """Return the error rate on `validation` of always answering the most frequent class of `train`."""
    majority = int(np.bincount(train).argmax())
    return float(np.mean(validation != majority))


def unigram_loss(train: Sequences, validation: Sequences, size: int) -> float:
    """Return the nats a token of `validation` that the frequencies of `train` cost, each counted once more."""
    counts = np.bincount(train.tokens, minlength=size) + 1
    return float(-np.mean(np.log(counts / counts.sum())[validation.tokens]))
