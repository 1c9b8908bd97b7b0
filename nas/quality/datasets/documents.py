"""Documents for a language model: split whole, and no paragraph stands in two splits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nas.errors import InvalidInput
from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split, content_sha256, unigram_loss
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.splits import SPLITS, SplitName, comparison_key, split_of
from nas.quality.datasets.vocabulary import END, Vocabulary


@dataclass(frozen=True)
class Document:
    """Paragraphs that belong together."""

    key: str
    """What they are about: documents of one key stand in one split."""
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where data comes from, for its facts."""

    name: str
    title: str
    version: str
    licence: str
    source: str


def parts_of(documents: Iterable[Document]) -> dict[SplitName, list[str]]:
    """Return the texts of each split, in the order given.

    The split is chosen by a hash of the document's key. A paragraph that stands in several splits, under
    `comparison_key`, is kept in the most held-out of them (test before validation before train), and once.
    """
    every = [(split_of(document.key), document) for document in documents]
    held_out: dict[str, int] = {}
    for split, document in every:
        for paragraph in document.paragraphs:
            key = comparison_key(paragraph)
            held_out[key] = max(held_out.get(key, 0), SPLITS.index(split))
    parts: dict[SplitName, list[str]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for split, document in every:
        kept = []
        for paragraph in document.paragraphs:
            key = comparison_key(paragraph)
            if key and key not in seen and SPLITS[held_out[key]] == split:
                seen.add(key)
                kept.append(paragraph)
        if kept:
            parts[split].append("\n\n".join(kept))
    return parts


def document_dataset(documents: Iterable[Document], vocabulary: Vocabulary, origin: Origin) -> Dataset:
    """Return a dataset for language models; raise `InvalidInput` where a split would be empty."""
    parts = parts_of(documents)
    for name, part in parts.items():
        if not part:
            raise InvalidInput.of(
                "documents", f"none in {name}", "enough documents for three splits", "give more or smaller documents"
            )
    splits = {
        name: Split(
            Sequences.of(np.append(vocabulary.encode(text), END) for text in part),
            text_bytes=sum(len(text.encode()) for text in part),
        )
        for name, part in parts.items()
    }
    train, validation = splits["train"], splits["validation"]
    loss = unigram_loss(train.inputs, validation.inputs, vocabulary.size)
    assert validation.text_bytes
    info = DatasetInfo(
        name=origin.name,
        title=origin.title,
        version=origin.version,
        sha256=content_sha256(f"{name}\t{text}" for name, part in parts.items() for text in part),
        licence=origin.licence,
        source=origin.source,
        task="language-model",
        outputs=vocabulary.size,
        classes=(),
        vocabulary=vocabulary.describe(),
        output_vocabulary=None,
        vocabulary_size=vocabulary.size,
        examples={name: len(split) for name, split in splits.items()},
        metrics=("bits_per_byte", "loss"),
        chance={
            "bits_per_byte": loss * len(validation.inputs.tokens) / math.log(2) / validation.text_bytes,
            "loss": loss,
        },
        length_percentiles=train.inputs.percentiles(),
    )
    return Dataset(info, splits)
