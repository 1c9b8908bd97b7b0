"""Scoring a trained model on a split of its dataset."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.architecture import Architecture
from nas.models import Model, build_model
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


def score_weights(
    architecture: Architecture, state: dict[str, Tensor], dataset: Dataset, split: str, workload: Workload
) -> dict[str, float]:
    """As `evaluate`, of the model with these weights."""
    model = build_model(architecture)
    model.load_state_dict(state)
    return evaluate(model, dataset, split, workload)
