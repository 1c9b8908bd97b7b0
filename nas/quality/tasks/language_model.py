"""Causal language model: the next token, at every token of a text."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.models import Model
from nas.quality.datasets.dataset import DatasetInfo, Split, TaskName
from nas.quality.datasets.vocabulary import END
from nas.quality.hardware import beside
from nas.quality.tasks.task import IGNORED, SCORING_BATCH, Batch
from nas.workload import Workload

WINDOWS_A_PASS = 1 << 18
"""Some hundred steps more than any search takes, in a few megabytes whatever the length of the text."""


class LanguageModel:
    """Batches are windows (B, T) int64 of the text and the tokens (B, T) int64 that follow at each place.

    T is the workload's input and output length together: as much as the deployed model has before it at last.
    """

    name: TaskName = "language-model"

    def training_batches(
        self, split: Split, workload: Workload, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Iterator[Batch]:
        """See `Task`; each pass cuts the text at other places, and takes its windows in another order.

        Of a text of more than `WINDOWS_A_PASS` windows a pass takes so many, drawn without repetition.
        """
        text, length = split.inputs.tokens, min(_length(workload), len(split.inputs.tokens) - 1)
        rng = np.random.default_rng(seed)
        given, left = 0, np.empty(0, dtype=np.int64)
        while given < steps:
            while len(left) < batch_size:
                first = int(rng.integers(min(length, len(text) - length)))
                left = np.concatenate([left, _shuffled_starts(first, len(text) - length, length, rng)])
            starts, left = left[:batch_size], left[batch_size:]
            given += 1
            if given > start:
                yield _windows(text, starts, length)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """See `Task`."""
        tokens, following = batch
        return functional.cross_entropy(model(tokens).flatten(0, 1), following.flatten(), ignore_index=IGNORED)

    def evaluate(
        self,
        model: Model,
        info: DatasetInfo,  # noqa: ARG002  (other tasks need it)
        split: Split,
        workload: Workload,
    ) -> dict[str, float]:
        """Return `loss` (nats a token, the ends of documents counted) and `bits_per_byte` of the text in UTF-8.

        Every token is predicted once, in windows that do not overlap: the first of each from the token before it
        alone, so figures at other lengths do not compare.
        """
        assert split.text_bytes is not None
        text, length = np.concatenate([[END], split.inputs.tokens]), _length(workload)
        starts = np.arange(0, len(text) - 1, length)
        nats = 0.0
        for first in range(0, len(starts), SCORING_BATCH):
            tokens, following = beside(model, *_windows(text, starts[first : first + SCORING_BATCH], length))
            logits = model(tokens).flatten(0, 1)
            nats += float(functional.cross_entropy(logits, following.flatten(), ignore_index=IGNORED, reduction="sum"))
        return {"bits_per_byte": nats / math.log(2) / split.text_bytes, "loss": nats / (len(text) - 1)}


def _length(workload: Workload) -> int:
    return workload.input_length + workload.output_length


def _shuffled_starts(first: int, end: int, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return where the windows of one pass start, every `length` tokens from `first` on, in random order."""
    count = -(-(end - first) // length)
    if count <= WINDOWS_A_PASS:
        return rng.permutation(np.arange(first, end, length))
    return first + length * rng.choice(count, WINDOWS_A_PASS, replace=False)


def _windows(text: NDArray[np.integer], starts: NDArray[np.int64], length: int) -> Batch:
    """Return (B, `length`) tokens from each start on and those that follow; behind the text's end none is asked for."""
    places = starts[:, None] + np.arange(length + 1)[None]
    inside = places < len(text)
    window = np.where(inside, text[np.minimum(places, len(text) - 1)].astype(np.int64), IGNORED)
    return torch.from_numpy(np.maximum(window[:, :-1], 0)), torch.from_numpy(window[:, 1:].copy())
