"""Scoring a trained model on a split of its dataset."""

from __future__ import annotations

import torch

from nas.models import Model
from nas.quality.datasets import Dataset
from nas.quality.tasks import TASKS
from nas.workload import Workload


def evaluate(model: Model, dataset: Dataset, split: str, workload: Workload) -> dict[str, float]:
    """Return every metric of the dataset over a whole split, at the lengths of a workload.

    The same weights give the same figures in any process.
    """
    was_training = model.training
    model.eval()
    with torch.no_grad():
        metrics = TASKS[dataset.info.task].evaluate(model, dataset.info, dataset.split(split), workload)
    model.train(was_training)
    return metrics
