"""Scoring a trained model on a split of its dataset."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from nas.quality.batches import scoring_batches
from nas.quality.datasets import Dataset

BATCH_SIZE = 128


def evaluate(model: nn.Module, dataset: Dataset, split: str, input_length: int) -> dict[str, float]:
    """Return `error_rate` (share of wrong answers) and `loss` (mean cross-entropy in nats) over the whole split.

    The same weights give the same figures in any process; texts are cut to `input_length` tokens.
    """
    data = dataset.split(split)
    wrong, loss = 0, 0.0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for tokens, mask, labels in scoring_batches(data, BATCH_SIZE, input_length):
            logits = model(tokens, mask)  # (B, outputs)
            wrong += int((logits.argmax(dim=-1) != labels).sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    model.train(was_training)
    return {"error_rate": wrong / len(data), "loss": loss / len(data)}
