"""Sequence to sequence: a text is read, another is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.models import EncoderDecoderModel, Model
from nas.models.generation import generate
from nas.quality.datasets.dataset import DatasetInfo, Split, TaskName
from nas.quality.datasets.vocabulary import END, PADDING
from nas.quality.hardware import beside
from nas.quality.tasks.task import IGNORED, Batch, scoring_rows, training_rows
from nas.workload import Workload


class SequenceToSequence:
    """Batches are sources (B, S) int64 and their mask, what was written before each token (B, T), and the tokens.

    What is written begins with the padding token and ends with the end token; at padding the answer is `IGNORED`.
    """

    name: TaskName = "sequence-to-sequence"

    def training_batches(
        self, split: Split, workload: Workload, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Iterator[Batch]:
        """See `Task`; both sides are cut to the workload's lengths."""
        assert split.targets is not None
        lengths = np.minimum(split.inputs.lengths, workload.input_length)
        lengths = lengths + np.minimum(split.targets.lengths, workload.output_length)
        for rows in islice(training_rows(lengths, batch_size, steps, seed), start, None):
            yield _padded(split, rows, workload)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """See `Task`."""
        return self._cross_entropy(model, batch, "mean")

    def _cross_entropy(self, model: Model, batch: Batch, reduction: str) -> Tensor:
        sources, mask, written, following = batch
        logits = model(sources, written, mask, following != IGNORED)  # (B, T, outputs)
        return functional.cross_entropy(
            logits.flatten(0, 1), following.flatten(), ignore_index=IGNORED, reduction=reduction
        )

    def evaluate(self, model: Model, info: DatasetInfo, split: Split, workload: Workload) -> dict[str, float]:
        """Return the dataset's error rate of tokens, `exact_error_rate` and `loss` (nats a token, given those before).

        The error rate of tokens is the least number of tokens to insert, delete or replace in what is written token
        by likeliest token, over the tokens that were to be written (so it may exceed 1); `exact_error_rate` is the
        share of outputs with any such error. What is to be written is never cut.
        """
        assert isinstance(model, EncoderDecoderModel)
        assert split.targets is not None
        nats, errors, inexact = 0.0, 0, 0
        for rows in scoring_rows(np.minimum(split.inputs.lengths, workload.input_length)):
            batch = beside(model, *_padded(split, rows, workload))
            nats += float(self._cross_entropy(model, batch, "sum"))
            found = generate(
                model, batch[0], batch[1], max_new_tokens=workload.output_length, end_token=END, start_token=PADDING
            )
            for row, tokens in zip(rows, found.tokens.tolist(), strict=True):
                distance = edit_distance(_until_end(tokens), _until_end(split.targets[int(row)].tolist()))
                errors += distance
                inexact += distance > 0
        wanted = int(split.targets.lengths.sum()) - len(split)  # without the end tokens
        answers = int(np.minimum(split.targets.lengths, workload.output_length).sum())
        name = next(name for name in info.metrics if name not in ("exact_error_rate", "loss"))
        return {name: errors / wanted, "exact_error_rate": inexact / len(split), "loss": nats / answers}


def edit_distance(found: Sequence[int], wanted: Sequence[int]) -> int:
    """Return the least number of insertions, deletions and replacements that make one of the other (Levenshtein)."""
    row = list(range(len(wanted) + 1))
    for i, token in enumerate(found, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(wanted, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
    return row[-1]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END)] if END in tokens else tokens


def _padded(split: Split, rows: NDArray[np.int64], workload: Workload) -> Batch:
    assert split.targets is not None
    sources, mask = split.inputs.padded(rows, workload.input_length)
    targets, real = split.targets.padded(rows, workload.output_length)
    written = np.concatenate([np.full((len(rows), 1), PADDING), targets[:, :-1]], axis=1)
    following = np.where(real, targets, IGNORED)
    return torch.from_numpy(sources), torch.from_numpy(mask), torch.from_numpy(written), torch.from_numpy(following)
