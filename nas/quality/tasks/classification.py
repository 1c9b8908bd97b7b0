"""Sequence classification: one class for a whole text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.models import Model
from nas.quality.datasets.dataset import DatasetInfo, Split, TaskName
from nas.quality.hardware import beside
from nas.quality.tasks.task import Batch, scoring_rows, training_rows
from nas.workload import Workload


class SequenceClassification:
    """Batches are tokens (B, T) int64, a mask (B, T) True at real tokens, and labels (B,) int64."""

    name: TaskName = "sequence-classification"

    def training_batches(
        self, split: Split, workload: Workload, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Iterator[Batch]:
        """See `Task`; texts are cut to the workload's input length."""
        lengths = np.minimum(split.inputs.lengths, workload.input_length)
        for rows in islice(training_rows(lengths, batch_size, steps, seed), start, None):
            yield padded(split, rows, workload.input_length)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """See `Task`."""
        tokens, mask, labels = batch
        return functional.cross_entropy(model(tokens, mask), labels)

    def evaluate(
        self,
        model: Model,
        info: DatasetInfo,  # noqa: ARG002  (other tasks need it)
        split: Split,
        workload: Workload,
    ) -> dict[str, float]:
        """Return `error_rate` (share of wrong answers) and `loss` (mean cross-entropy in nats)."""
        wrong, loss = 0, 0.0
        for rows in scoring_rows(np.minimum(split.inputs.lengths, workload.input_length)):
            tokens, mask, labels = beside(model, *padded(split, rows, workload.input_length))
            logits = model(tokens, mask)  # (B, outputs)
            wrong += int((logits.argmax(dim=-1) != labels).sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        return {"error_rate": wrong / len(split), "loss": loss / len(split)}


def padded(split: Split, rows: NDArray[np.int64], input_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the examples `rows` cut to `input_length` tokens and padded to the longest of them."""
    assert split.labels is not None
    tokens, mask = split.inputs.padded(rows, input_length)
    return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(split.labels[rows])
