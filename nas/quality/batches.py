"""Batches: padding, and an order that is the same for every candidate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.quality.datasets.dataset import Split

SORTED_TOGETHER = 16
"""Batches whose examples are sorted by length together: enough to pad little, few enough to stay random."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Tokens (B, T) int64, padding mask (B, T) bool (True = real token), labels (B,) int64."""


def padded(split: Split, rows: NDArray[np.int64], input_length: int) -> Batch:
    """Return the examples `rows` cut to `input_length` tokens and padded to the longest of them."""
    lengths = np.minimum(split.lengths[rows], input_length)
    columns = np.arange(max(1, lengths.max()))
    mask = columns[None] < lengths[:, None]
    positions = np.where(mask, split.offsets[rows][:, None] + columns[None], 0)
    tokens = np.where(mask, split.tokens[positions], 0).astype(np.int64)
    return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(split.labels[rows])


def training_batches(split: Split, batch_size: int, steps: int, input_length: int, seed: int) -> Iterator[Batch]:
    """Yield `steps` batches; their order depends on nothing but the data, the seed and these sizes.

    Examples are shuffled anew for each pass, then sorted by length within groups of `SORTED_TOGETHER` batches, whose
    order is shuffled again: short texts stand with short ones and padding costs little.
    """
    rng = np.random.default_rng(seed)
    lengths = np.minimum(split.lengths, input_length)
    size = min(batch_size, len(split))
    given = 0
    while True:
        order = rng.permutation(len(split))
        for start in range(0, len(order) - size + 1, size * SORTED_TOGETHER):
            group = order[start : start + size * SORTED_TOGETHER]
            group = group[: len(group) // size * size]
            group = group[np.argsort(lengths[group], kind="stable")]
            for rows in rng.permutation(group.reshape(-1, size)):
                yield padded(split, rows, input_length)
                given += 1
                if given == steps:
                    return


def scoring_batches(split: Split, batch_size: int, input_length: int) -> Iterator[Batch]:
    """Yield every example once, sorted by length."""
    order = np.argsort(np.minimum(split.lengths, input_length), kind="stable")
    for start in range(0, len(order), batch_size):
        yield padded(split, order[start : start + batch_size], input_length)
