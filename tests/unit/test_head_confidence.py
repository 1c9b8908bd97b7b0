"""Head confidence, against attention weights worked out by hand."""

import random

import pytest
import torch

from nas.models import build_model
from nas.models.attention.dot_product import DotProductAttention
from nas.models.attention.grouped_query import GroupedQueryAttention
from nas.models.attention.local import LocalAttention
from nas.models.attention.site import Site
from nas.models.attention.softmax import SoftmaxAttention
from nas.quality.datasets import load_dataset
from nas.quality.head_confidence import SEQUENCES, head_confidence
from nas.quality.task_shapes import task_shape
from nas.quality.tasks import TASKS
from nas.space import SearchSpace
from nas.workload import Workload

WORKLOAD = Workload(input_length=24)


def by_hand(module, x, mask, window=None):
    """Softmax over q·k of every pair, one head at a time."""
    q, k, _ = module.project(x)
    if module.rotary is not None:
        places = torch.arange(x.shape[1])
        q, k = module.rotary(q, places), module.rotary(k, places)
    weights = []
    for head in range(q.shape[1]):
        keys = k[:, head * k.shape[1] // q.shape[1]]
        scores = q[:, head] @ keys.transpose(1, 2) / q.shape[-1] ** 0.5
        i, j = torch.meshgrid(torch.arange(x.shape[1]), torch.arange(x.shape[1]), indexing="ij")
        seen = torch.ones_like(scores, dtype=torch.bool)
        if module.causal:
            seen &= j <= i
        if window is not None:
            seen &= (i - j).abs() < window
        if mask is not None:
            seen &= mask[:, None, :] | ((i == j) if window is not None else torch.zeros_like(i, dtype=torch.bool))
        weights.append(torch.softmax(scores.masked_fill(~seen, -torch.inf), dim=-1))
    return torch.stack(weights, dim=1)


CASES = [
    (SoftmaxAttention, {"heads": 2}, None),
    (GroupedQueryAttention, {"heads": 4, "key_value_heads": 2}, None),
    (LocalAttention, {"heads": 2, "window": 3}, 3),
    (LocalAttention, {"heads": 2, "window": 8}, 8),
]


@pytest.mark.parametrize(("kind", "choices", "window"), CASES)
@pytest.mark.parametrize("causal", [False, True])
def test_the_weights_of_an_attention_are_those_worked_out_by_hand(kind, choices, window, causal):
    torch.manual_seed(0)
    site = Site(hidden_size=16, causal=causal, rotary=True)
    module = kind(site, **choices).eval()
    x = torch.randn(3, 11, 16)
    mask = None if causal else torch.arange(11) < torch.tensor([11, 7, 4])[:, None]
    with torch.no_grad():
        found, wanted = module.weights(x, mask), by_hand(module, x, mask, window)
        real = torch.ones(3, 11, dtype=torch.bool) if mask is None else mask
    assert torch.allclose(found.transpose(1, 2)[real], wanted.transpose(1, 2)[real], atol=1e-5)


def space():
    dataset = load_dataset("language-identification")
    shape = task_shape(dataset.info, WORKLOAD)
    return dataset, SearchSpace.bundled("text-encoder").for_task(shape)


def test_the_confidence_is_the_mean_largest_weight_over_heads_and_real_tokens():
    dataset, every = space()
    rng = random.Random(1)
    for architecture in (every.sample(rng) for _ in range(4)):
        model = build_model(architecture, seed=3).eval()
        modules = [module for module in model.modules() if isinstance(module, DotProductAttention)]
        seen = []
        for module in modules:
            module.register_forward_pre_hook(lambda module, given, seen=seen: seen.append((module, *given)))
        task = TASKS[dataset.info.task]
        batch = next(task.training_batches(dataset.split("train"), WORKLOAD, SEQUENCES, 1, 3))
        with torch.no_grad():
            task.loss(model, batch)
            means = [
                by_hand(m, x, mask, getattr(m, "window", None)).amax(-1).transpose(1, 2)[mask].mean()
                for m, x, mask in seen
            ]
        found = head_confidence(architecture, dataset, WORKLOAD, 3)
        if modules:
            assert found == pytest.approx(float(sum(means) / len(means)), abs=1e-5)
            assert 1 / 24 < found < 1
        else:
            assert found is None


def test_a_model_without_such_heads_has_no_confidence():
    dataset, every = space()
    document = every.to_document()
    document["encoder"]["layer"]["attention"] = {"linear": {"heads": [2]}}
    architecture = SearchSpace.from_document(document).for_task(every.task_shape).sample(random.Random(0))
    assert head_confidence(architecture, dataset, WORKLOAD, 0) is None
