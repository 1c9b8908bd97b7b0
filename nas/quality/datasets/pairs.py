"""Pairs for sequence-to-sequence: what is read, and what is to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split, content_sha256, unigram_loss
from nas.quality.datasets.documents import Origin
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.splits import SPLITS, split_of
from nas.quality.datasets.vocabulary import END, Vocabulary


@dataclass(frozen=True)
class Pair:
    """One example."""

    key: str
    """What it is about: pairs of one key stand in one split."""
    source: str
    target: str


def pair_dataset(
    pairs: Sequence[Pair], read: Vocabulary, written: Vocabulary, origin: Origin, *, error_rate: str
) -> Dataset:
    """Return a dataset of pairs; `error_rate` names the rate of wrong tokens in what is written."""
    parts = {name: [pair for pair in pairs if split_of(pair.key) == name] for name in SPLITS}
    splits = {
        name: Split(
            Sequences.of(read.encode(pair.source) for pair in part),
            targets=Sequences.of(np.append(written.encode(pair.target), END) for pair in part),
        )
        for name, part in parts.items()
    }
    train, validation = splits["train"], splits["validation"]
    assert train.targets is not None
    assert validation.targets is not None
    info = DatasetInfo(
        name=origin.name,
        title=origin.title,
        version=origin.version,
        sha256=content_sha256(f"{n}\t{pair.target}\t{pair.source}" for n, part in parts.items() for pair in part),
        licence=origin.licence,
        source=origin.source,
        task="sequence-to-sequence",
        outputs=written.size,
        classes=(),
        vocabulary=read.describe(),
        output_vocabulary=written.describe(),
        vocabulary_size=read.size,
        examples={name: len(split) for name, split in splits.items()},
        metrics=(error_rate, "exact_error_rate", "loss"),
        chance={
            error_rate: 1.0,  # of writing nothing
            "exact_error_rate": 1.0,
            "loss": unigram_loss(train.targets, validation.targets, written.size),
        },
        length_percentiles=train.inputs.percentiles(),
        output_length_percentiles=train.targets.percentiles(),
    )
    return Dataset(info, splits)
