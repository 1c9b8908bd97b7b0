"""A sample of a split, for what would take too long on all of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.quality.datasets.dataset import Split
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.vocabulary import Vocabulary
from nas.workload import Workload


def sample_of(split: Split, examples: int, workload: Workload, vocabulary: Vocabulary, seed: int = 0) -> Split:
    """Return so many examples of a split, drawn without repetition; the split itself where it has no more.

    Of a language model they are its first windows, of the workload's lengths, as its scores are taken on: a window of
    another place begins in the middle of what the one before it ends with.
    """
    if split.labels is None and split.targets is None:
        return _beginning(split, examples * (workload.input_length + workload.output_length), vocabulary)
    if len(split) <= examples:
        return split
    rows = np.sort(np.random.default_rng(seed).choice(len(split), examples, replace=False))
    return Split(
        _chosen(split.inputs, rows),
        None if split.labels is None else split.labels[rows],
        None if split.targets is None else _chosen(split.targets, rows),
    )


def _chosen(sequences: Sequences, rows: NDArray[np.int64]) -> Sequences:
    return Sequences.of(sequences[int(row)] for row in rows)


def _beginning(split: Split, tokens: int, vocabulary: Vocabulary) -> Split:
    if len(split.inputs.tokens) <= tokens:
        return split
    offsets = split.inputs.offsets
    ends = np.minimum(offsets[1 : int(np.searchsorted(offsets, tokens)) + 1], tokens)
    inputs = Sequences.of(split.inputs.tokens[first:end] for first, end in zip(offsets, ends, strict=False))
    text_bytes = sum(len(vocabulary.decode(inputs[i].tolist()).encode()) for i in range(len(inputs)))
    return Split(inputs, text_bytes=text_bytes)
