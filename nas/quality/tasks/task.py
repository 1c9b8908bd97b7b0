"""Task: what a model is trained for, and how its answers are judged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nas.models import Model
from nas.quality.datasets.dataset import DatasetInfo, Split, TaskName
from nas.workload import Workload

Batch = tuple[Tensor, ...]
"""What a task's model reads and the answers to it; which tensors these are is the task's own affair."""
IGNORED = -100
"""The answer at padding, which no loss counts (as `torch.nn.functional.cross_entropy` has it)."""
SORTED_TOGETHER = 16
"""Batches whose examples are sorted by length together: enough to pad little, few enough to stay random."""
SCORING_BATCH = 128
READ_AHEAD = 16
"""Batches made at a time. One made alone, after a step has filled the processor's caches with other code and data,
takes several times as long: 3 % of a small model's step."""
READ_AHEAD_BYTES = 1 << 20
"""Batches that are larger are made alone: there it saves nothing, and takes memory."""


class Task(Protocol):
    """What every task offers. Its methods keep no state: the same arguments, the same result."""

    name: TaskName

    def training_batches(
        self, split: Split, workload: Workload, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Iterator[Batch]:
        """Yield the batches from number `start` to `steps`, counted from 0.

        Their order depends on nothing but the data, the seed and these sizes; a longer training begins with the
        batches of a shorter one.
        """

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of a batch in nats an answer, a scalar to differentiate."""

    def evaluate(self, model: Model, info: DatasetInfo, split: Split, workload: Workload) -> dict[str, float]:
        """Return every metric of `info` over the whole split, with a model in evaluation mode.

        The same weights give the same figures in any process.
        """


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the same batches, made `READ_AHEAD` at a time where they are small."""
    for batch in batches:
        small = sum(tensor.nbytes for tensor in batch) <= READ_AHEAD_BYTES
        yield from chain([batch], list(islice(batches, READ_AHEAD - 1)) if small else [])


def training_rows(lengths: NDArray[np.int64], batch_size: int, steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows (B,) of `steps` batches of examples that are so long, (N,).

    Examples are shuffled anew for each pass, then sorted by length within groups of `SORTED_TOGETHER` batches, whose
    order is shuffled again: short texts stand with short ones and padding costs little.
    """
    rng = np.random.default_rng(seed)
    size = min(batch_size, len(lengths))
    given = 0
    while True:
        order = rng.permutation(len(lengths))
        for start in range(0, len(order) - size + 1, size * SORTED_TOGETHER):
            group = order[start : start + size * SORTED_TOGETHER]
            group = group[: len(group) // size * size]
            group = group[np.argsort(lengths[group], kind="stable")]
            for rows in rng.permutation(group.reshape(-1, size)):
                yield rows
                given += 1
                if given == steps:
                    return


def scoring_rows(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of every example once, sorted by length."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), SCORING_BATCH):
        yield order[start : start + SCORING_BATCH]
