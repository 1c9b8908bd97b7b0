"""Training on a graphics card, as far as it can be tried without one: mixed precision, and where tensors are."""

import random
from contextlib import suppress

import pytest
import torch

from nas.models import build_model
from nas.models.generation import generate
from nas.quality.datasets import load_dataset
from nas.quality.hardware import Hardware, beside
from nas.quality.plan import TrainingPlan
from nas.quality.task_shapes import task_shape
from nas.quality.tasks import TASKS
from nas.quality.training import train
from nas.space import SearchSpace
from nas.workload import Workload

SUBJECTS = {
    "language-identification": ("text-encoder", Workload(input_length=32)),
    "python-docs": ("causal-decoder", Workload(input_length=24, output_length=8)),
    "cmudict": ("seq2seq", Workload(input_length=12, output_length=12)),
}
CPU = torch.device("cpu")


def subject(name):
    space, workload = SUBJECTS[name]
    dataset = load_dataset(name)
    return (
        dataset,
        SearchSpace.bundled(space).for_task(task_shape(dataset.info, workload)),
        workload,
    )


def test_without_a_graphics_card_training_is_in_float32_on_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Hardware.here() == Hardware(CPU, mixed=False)
    assert Hardware.here().name == "cpu, float32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Hardware.here() == Hardware(torch.device("cuda"), mixed=True)


def test_determinism_is_asked_for_while_training_and_the_settings_before_come_back():
    before = torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    with suppress(ArithmeticError), Hardware.here().deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        raise ArithmeticError
    assert torch.are_deterministic_algorithms_enabled() == before
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_mixed_precision_comes_close_to_float32_and_leaves_weights_in_float32(monkeypatch):
    workload, dataset = Workload(input_length=16), load_dataset("language-identification")
    space = SearchSpace.bundled("smoke").for_task(task_shape(dataset.info, workload))
    architecture, plan = space.sample(random.Random(0)), TrainingPlan(steps=30, batch_size=8)
    exact = train(architecture, dataset, plan, workload=workload, seed=0)
    monkeypatch.setattr(Hardware, "here", classmethod(lambda _: Hardware(CPU, mixed=True)))
    mixed = train(architecture, dataset, plan, workload=workload, seed=0)
    assert (exact.hardware, mixed.hardware) == ("cpu, float32", "cpu, bfloat16 mixed")
    assert {tensor.dtype for tensor in mixed.state.values()} == {torch.float32}
    assert mixed.history != exact.history
    assert mixed.metrics["loss"] == pytest.approx(exact.metrics["loss"], abs=0.05)
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("seed", range(4))
def test_no_tensor_of_a_model_or_a_task_stays_behind_on_the_processor(name, seed):
    dataset, space, workload = subject(name)
    architecture = space.spread(random.Random(seed), kinds=64)
    model = build_model(space.architecture(architecture), seed=0).eval()
    task = TASKS[dataset.info.task]
    batch = next(task.training_batches(dataset.split("train"), workload, 2, 1, 0))
    # A device of shapes without data: it refuses a tensor of another one as a card would
    there = model.to("meta")
    loss = task.loss(there, beside(there, *batch))
    assert loss.device.type == "meta"
    loss.backward()
    if name == "cmudict":
        (tokens,) = beside(there, batch[0])
        found = generate(there, tokens, max_new_tokens=1, end_token=1)
        assert {t.device.type for t in (found.tokens, found.lengths, found.scores)} == {"meta"}
