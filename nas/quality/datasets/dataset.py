"""Dataset: labelled token sequences in three splits, and the facts about them that a person wants to know."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput
from nas.quality.datasets.byte_vocabulary import encode

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """One text and the index of its class."""

    text: str
    label: int


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
    task: Literal["sequence-classification"]
    outputs: int
    classes: tuple[str, ...]
    vocabulary_size: int
    examples: dict[str, int]
    """Number of examples by split."""
    metrics: tuple[str, ...]
    majority_error_rate: float
    """Error rate on validation of always answering the most frequent class of train."""
    length_percentiles: dict[str, int]
    """Tokens in a training example at the 50th, 90th, 99th and 100th percentile."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"classes": list(self.classes), "metrics": list(self.metrics)}


@dataclass(frozen=True)
class Split:
    """N token sequences behind one another, and their labels."""

    tokens: NDArray[np.int16]
    """All sequences end to end, shape (sum of lengths,)."""
    offsets: NDArray[np.int64]
    """Where each begins and the last ends, shape (N + 1,)."""
    labels: NDArray[np.int64]
    """Class indices, shape (N,)."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each sequence, shape (N,)."""
        return np.diff(self.offsets)

    def sequence(self, index: int) -> NDArray[np.int16]:
        """Return the tokens of one example, shape (length,)."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Split:
        """Encode examples, keeping their order; the arrays can't be written to."""
        sequences = [encode(example.text) for example in examples]
        split = cls(
            tokens=np.concatenate([np.empty(0, dtype=np.int16), *sequences]),
            offsets=np.cumsum([0, *map(len, sequences)], dtype=np.int64),
            labels=np.array([example.label for example in examples], dtype=np.int64),
        )
        for array in (split.tokens, split.offsets, split.labels):
            array.flags.writeable = False
        return split


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory."""

    info: DatasetInfo
    splits: Mapping[SplitName, Split]

    def split(self, name: str) -> Split:
        """Return one split; raise `InvalidInput` naming the known ones."""
        for known in SPLITS:
            if name == known:
                return self.splits[known]
        raise InvalidInput.of("split", name, ", ".join(SPLITS), "name one of these splits")


def content_sha256(splits: Mapping[SplitName, Sequence[Example]], classes: Sequence[str]) -> str:
    """Return the SHA-256 of the content: one line `split TAB class TAB text` an example, in order."""
    digest = hashlib.sha256()
    for name in SPLITS:
        for example in splits[name]:
            digest.update(f"{name}\t{classes[example.label]}\t{example.text}\n".encode())
    return digest.hexdigest()


def majority_error_rate(train: Sequence[Example], validation: Sequence[Example]) -> float:
    """Return the error rate on `validation` of always answering the most frequent class of `train`."""
    (majority, _), *_ = Counter(example.label for example in train).most_common(1)
    return sum(example.label != majority for example in validation) / len(validation)


def length_percentiles(split: Split) -> dict[str, int]:
    """Return tokens an example at four percentiles."""
    return {str(p): int(np.percentile(split.lengths, p, method="lower")) for p in (50, 90, 99, 100)}
