"""Head confidence: how decided the heads of an untrained model are, for no training at all.

The mean, over heads and tokens, of the largest share that a head gives to one token (Serianni and Kalita 2023,
arXiv 2306.00288, section 3.2, where it ranks encoders best of those that cost nothing). Beside it, a score has to
prove that its training was worth while.
"""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models import build_model
from nas.models.attention.dot_product import DotProductAttention
from nas.quality.datasets import Dataset
from nas.quality.tasks import TASKS
from nas.workload import Workload

SEQUENCES = 16


def head_confidence(architecture: Architecture, dataset: Dataset, workload: Workload, seed: int) -> float | None:
    """Return the confidence, 0 to 1, of the model as `seed` builds it, over the first `SEQUENCES` of its training.

    None where no layer has heads that weigh tokens by a softmax: convolutions, linear and low-rank attention.
    """
    model = build_model(architecture, seed=seed).eval()
    task = TASKS[dataset.info.task]
    found: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(module, DotProductAttention)
        x, mask = given[0], given[1] if len(given) > 1 else None
        largest = module.weights(x, mask).amax(dim=-1)  # (B, H, T)
        real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        found.append(largest.transpose(1, 2)[real].mean())

    with ExitStack() as stack, torch.no_grad():
        for module in model.modules():
            if isinstance(module, DotProductAttention):
                stack.callback(module.register_forward_pre_hook(look).remove)
        batch = next(task.training_batches(dataset.split("train"), workload, SEQUENCES, 1, seed))
        task.loss(model, batch)
    return float(torch.stack(found).mean()) if found else None
