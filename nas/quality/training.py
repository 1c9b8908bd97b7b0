"""Training one candidate for a fixed number of steps, reproducible to the last bit under a seed.

Steps, never seconds: at equal wall time large candidates are ranked below small ones whatever their quality. All
candidates see the same batches in the same order and are compared at the same point of the schedule: warm-up, stable,
decay to zero.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from nas.architecture import Architecture
from nas.documents import StrictModel
from nas.errors import InvalidInput, TrainingDiverged
from nas.models import EncoderModel, Model, build_model
from nas.quality.batches import training_batches
from nas.quality.datasets import Dataset
from nas.quality.score import evaluate

WARM_UP, DECAY = 0.1, 0.4
"""Shares of the steps; the rest between them is at the full rate."""
REFERENCE_WIDTH = 64
"""The hidden size at which hidden matrices take the base learning rate; wider ones take less."""
EMBEDDING_RATE, HEAD_RATE = 30.0, 10.0
"""Rates of token embedding and head over the base rate: each row is touched by few tokens of a short training."""
CLIP_NORM = 1.0
WEIGHT_DECAY = 0.01
HISTORY_POINTS = 50
NO_MATRICES = ("positions", "segments.weight", "short.weight")
"""Tables that every batch touches, and kernels of convolutions: at the base rate, without decay, as norms."""
FIXED_FAN_IN = ("key_mixtures.weight", "value_mixtures.weight", "blocks.0.project.weight")
"""Matrices that sum over tokens, or over a factorised embedding: as many terms however wide the model is."""


class TrainingPlan(StrictModel):
    """How candidates are trained (`task.training` of the job document)."""

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    """Base rate, of hidden matrices at width 64."""


@dataclass(frozen=True)
class TrainingResult:
    """What training gave."""

    metrics: dict[str, float]
    """`error_rate` and `loss` on the validation split."""
    history: tuple[tuple[int, float], ...]
    """(step, mean training loss since the last point), at most `HISTORY_POINTS`."""
    steps: int
    duration_s: float
    cpu_s: float
    state: dict[str, Tensor]
    """The weights: CPU tensors that nothing else holds."""
    label: str = "proxy"


def train(
    architecture: Architecture,
    dataset: Dataset,
    plan: TrainingPlan,
    *,
    input_length: int,
    seed: int,
    on_step: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Train a model of this architecture and score it on the validation split.

    With one thread, the same arguments give the same result to the last bit. `on_step(step, steps)` is called after
    every step. Raises `TrainingDiverged` at the first loss that is not finite.
    """
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    model = build_model(architecture, seed=seed).train()
    if not isinstance(model, EncoderModel) or architecture.head.type != "classification":
        raise InvalidInput.of(
            "architecture",
            f"{architecture.family}, {architecture.head.type}",
            "an encoder that classifies",
            f"the dataset {dataset.info.name} is one of classified sequences",
        )
    optimizer = optimizer_for(model, plan.learning_rate)
    rates = [group["lr"] for group in optimizer.param_groups]
    interval = max(1, math.ceil(plan.steps / HISTORY_POINTS))
    history: list[tuple[int, float]] = []
    since: list[float] = []
    with _deterministic():
        batches = training_batches(dataset.split("train"), plan.batch_size, plan.steps, input_length, seed)
        for step, (tokens, mask, labels) in enumerate(batches):
            factor = schedule(step, plan.steps)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss = functional.cross_entropy(model(tokens, mask), labels)
            since.append(float(loss.detach()))
            if not math.isfinite(since[-1]):
                raise TrainingDiverged(f"the loss is {since[-1]} at step {step + 1} of {plan.steps}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            if (step + 1) % interval == 0 or step + 1 == plan.steps:
                history.append((step + 1, sum(since) / len(since)))
                since.clear()
            if on_step is not None:
                on_step(step + 1, plan.steps)
        metrics = evaluate(model, dataset, "validation", input_length)
    if not math.isfinite(metrics["loss"]):
        raise TrainingDiverged(f"the validation loss is {metrics['loss']} after {plan.steps} steps")
    return TrainingResult(
        metrics=metrics,
        history=tuple(history),
        steps=plan.steps,
        duration_s=time.perf_counter() - started_s,
        cpu_s=time.process_time() - started_cpu_s,
        state={name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()},
    )


def schedule(step: int, steps: int) -> float:
    """Return the share of the full learning rate at a step: linear warm-up, stable, linear decay (WSD)."""
    warm_up, decay = max(1, round(steps * WARM_UP)), max(1, round(steps * DECAY))
    return min(1.0, (step + 1) / warm_up, (steps - step) / decay)


def optimizer_for(model: Model, learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW with rates by kind of parameter.

    The rate of hidden matrices falls with the width (Yang et al. 2022, arXiv 2203.03466, table 8: µP for Adam), so
    that one base rate suits narrow and wide candidates; norms, biases, convolution kernels and matrices that do not
    sum over the width keep the base rate. In an encoder–decoder each stack has its own width.
    """
    widths = {name: stack.hidden_size for name, stack in model.architecture.stacks}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor, decay = 1.0, 0.0
        width_factor = REFERENCE_WIDTH / widths.get(name.partition("_")[0], next(iter(widths.values())))
        if name.endswith("tokens.weight"):
            factor = EMBEDDING_RATE
        elif name.endswith("classes.weight"):
            factor = HEAD_RATE * width_factor
        elif parameter.ndim == 2 and not name.endswith(NO_MATRICES):
            factor, decay = 1.0 if name.endswith(FIXED_FAN_IN) else width_factor, WEIGHT_DECAY
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": learning_rate * factor, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()
        ],
        betas=(0.9, 0.99),
        fused=True,
    )


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use only algorithms that give the same sums every time, and restore the setting afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned_only)
