"""Training one candidate for a fixed number of steps, reproducible to the last bit under a seed.

Steps, never seconds: at equal wall time large candidates are ranked below small ones whatever their quality. All
candidates see the same batches in the same order and are compared at the same point of the schedule: warm-up, stable,
decay to zero (Hu et al. 2024, arXiv 2404.06395, section 4: WSD). What is at the full rate is the *trunk*; each score
branches off it with a decay of its own, so that a candidate that is trained on goes on where its trunk stands.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.errors import InvalidInput, TrainingDiverged
from nas.models import Model, build_model
from nas.quality.datasets import Dataset
from nas.quality.hardware import Hardware, beside
from nas.quality.optimizer import optimizer_for
from nas.quality.plan import TrainingPlan
from nas.quality.score import evaluate
from nas.quality.task_shapes import FAMILIES, task_shape
from nas.quality.tasks import TASKS
from nas.quality.tasks.task import read_ahead
from nas.workload import Workload

log = logging.getLogger(__name__)

WARM_UP, DECAY = 0.1, 0.4
"""Shares of the steps; the rest between them is at the full rate. The warm-up is that of the first rung."""
CLIP_NORM = 1.0
HISTORY_POINTS = 50
CHECKPOINT_S = 30.0
"""A killed training loses no more than so long."""


@dataclass(frozen=True)
class TrainingResult:
    """What training gave."""

    metrics: dict[str, float]
    """Every metric of the dataset, on the validation split."""
    history: tuple[tuple[int, float], ...]
    """(step, mean training loss since the last point), at most `HISTORY_POINTS` and as many again."""
    steps: int
    """Of the schedule that the score stands at the end of."""
    steps_taken: int
    """What this call trained: less than `steps` where an earlier one had got somewhere."""
    duration_s: float
    cpu_s: float
    state: dict[str, Tensor]
    """The weights: CPU tensors that nothing else holds."""
    hardware: str
    """What it was trained on, and in which precision."""
    label: str = "proxy"


def train(
    architecture: Architecture,
    dataset: Dataset,
    plan: TrainingPlan,
    *,
    workload: Workload,
    seed: int,
    on_step: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Train a model of this architecture at the workload's lengths and score it on the validation split.

    With one thread, the same arguments give the same result to the last bit. `on_step(step, steps)` is called after
    every step. Raises `TrainingDiverged` at the first loss that is not finite, `InvalidInput` for an architecture
    that does not do the dataset's task.
    """
    return Trunk(architecture, dataset, plan, workload=workload, seed=seed).score_at(plan.steps, on_step)


class Trunk:
    """The training of one candidate at the full rate, from which the scores branch off.

    With `checkpoint`, a file, it goes on from what an earlier process left there and leaves there how far it is: every
    `CHECKPOINT_S` and where a score branches off. Whether it does changes no bit of any score.
    """

    def __init__(
        self,
        architecture: Architecture,
        dataset: Dataset,
        plan: TrainingPlan,
        *,
        workload: Workload,
        seed: int,
        first_rung: int | None = None,
        checkpoint: Path | None = None,
        for_steps: int | None = None,
    ) -> None:
        """`first_rung` are the steps of the first score that any candidate gets: the warm-up is a share of them.

        `for_steps` are those of the score that is wanted: a checkpoint beyond it, of a job that went further, is left
        out. Raises `InvalidInput` for an architecture that does not do the dataset's task.
        """
        self._task = TASKS[dataset.info.task]
        check_fits(architecture, dataset, workload)
        self._architecture, self._dataset, self._plan = architecture, dataset, plan
        self._workload, self._seed, self._checkpoint = workload, seed, checkpoint
        self._first_rung = plan.steps if first_rung is None else first_rung
        self._for_steps = plan.steps if for_steps is None else for_steps
        self._hardware = Hardware.here()
        self._begin()
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._saved_at = time.monotonic()
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    def _begin(self) -> None:
        """Stand at step 0."""
        # Built on the processor, so that a seed gives the same initial weights everywhere
        self._model = build_model(self._architecture, seed=self._seed).train().to(self._hardware.device)
        self._optimizer = optimizer_for(self._model, self._plan.learning_rate)
        self._losses: list[float] = []

    @property
    def step(self) -> int:
        """Steps taken at the full rate."""
        return len(self._losses)

    def score_at(self, steps: int, on_step: Callable[[int, int], None] | None = None) -> TrainingResult:
        """Train on to where the decay of a schedule of so many steps begins, decay aside, and score.

        Raises `ValueError` if the trunk is beyond that point already, and as `train`.
        """
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        before, start = self.step, decay_start(steps)
        if before > start:
            raise ValueError(f"the trunk is at step {before}, a schedule of {steps} steps decays from {start} on")
        with self._hardware.deterministic():
            self._run(self._model, self._optimizer, self._losses, start, steps, on_step, keep=True)
            if self._checkpoint is not None and self.step > before:
                self._save(self._checkpoint)
            # The trunk stays as it is for a later score; what is scored last needs no copy, but nobody knows which is
            model = copy.deepcopy(self._model)
            optimizer = optimizer_for(model, self._plan.learning_rate)
            optimizer.load_state_dict(copy.deepcopy(self._optimizer.state_dict()))
            losses = list(self._losses)
            self._run(model, optimizer, losses, steps, steps, on_step, keep=False)
            metrics = evaluate(model, self._dataset, "validation", self._workload)
        if not math.isfinite(metrics["loss"]):
            raise TrainingDiverged(f"the validation loss is {metrics['loss']} after {steps} steps")
        return TrainingResult(
            metrics=metrics,
            history=history_of(losses),
            steps=steps,
            steps_taken=steps - before,
            duration_s=time.perf_counter() - started_s,
            cpu_s=time.process_time() - started_cpu_s,
            state={name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()},
            hardware=self._hardware.name,
        )

    def _run(
        self,
        model: Model,
        optimizer: torch.optim.Optimizer,
        losses: list[float],
        until: int,
        steps: int,
        on_step: Callable[[int, int], None] | None,
        *,
        keep: bool,
    ) -> None:
        """Take the steps from `len(losses)` to `until` of a schedule of `steps`, and append their losses."""
        if len(losses) >= until:
            return
        split, plan = self._dataset.split("train"), self._plan
        batches = self._task.training_batches(
            split, self._workload, plan.batch_size, until, self._seed, start=len(losses)
        )
        for batch in read_ahead(batches):
            step = len(losses)
            factor = schedule(step, steps, self._first_rung)
            for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            with self._hardware.forward():
                loss = self._task.loss(model, beside(model, *batch))
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingDiverged(f"the loss is {value} at step {step + 1} of {steps}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            losses.append(value)
            if keep and self._checkpoint is not None and time.monotonic() - self._saved_at > CHECKPOINT_S:
                self._save(self._checkpoint)
            if on_step is not None:
                on_step(step + 1, steps)

    # Checkpoints -------------------------------------------------------------------------------------------

    def _save(self, path: Path) -> None:
        """Write weights, the optimizer's state and the losses; a kill in mid-writing leaves the file before.

        A checkpoint only saves time: where the disk takes none, the training goes on without it.
        """
        tensors = {f"model/{name}": tensor.contiguous() for name, tensor in self._model.state_dict().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": tensor.contiguous() for name, tensor in state.items()}
        tensors["losses"] = torch.tensor(self._losses, dtype=torch.float64)
        # Machines that share the folder may have processes of one number
        part = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                save_file(tensors, part, metadata={"identity": self._identity})
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except (SafetensorError, OSError) as error:
            log.warning("the checkpoint %s can't be written, the training goes on without: %s", path, error)
        self._saved_at = time.monotonic()

    def _resume(self, path: Path) -> None:
        """Go on from a checkpoint; one that can't be read, or is of another training, is left out, and said so."""
        try:
            with safe_open(path, "pt") as file:
                if (file.metadata() or {}).get("identity") != self._identity:
                    raise ValueError("it is of another training")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            if len(tensors["losses"]) > decay_start(self._for_steps):
                raise ValueError(f"it is beyond a score after {self._for_steps} steps")
            self._model.load_state_dict(_part_of(tensors, "model/"))
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _part_of(tensors, "optimizer/").items():
                index, _, field = name.partition("/")
                state.setdefault(int(index), {})[field] = tensor
            groups = self._optimizer.state_dict()["param_groups"]
            self._optimizer.load_state_dict({"state": state, "param_groups": groups})
            self._losses = tensors["losses"].tolist()
        except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
            log.warning("the checkpoint %s is not used: %s", path, error)
            self._begin()

    @property
    def _identity(self) -> str:
        """What the bits of the trunk depend on."""
        value: dict[str, Any] = {
            "architecture": self._architecture.id,
            "dataset": self._dataset.info.sha256,
            "batch_size": self._plan.batch_size,
            "learning_rate": self._plan.learning_rate,
            "warm_up": warm_up_steps(self._first_rung),
            "workload": self._workload.key,
            "seed": self._seed,
            "torch": str(torch.__version__),
            "hardware": self._hardware.name,
        }
        return json.dumps(value, sort_keys=True)


def history_of(losses: list[float]) -> tuple[tuple[int, float], ...]:
    """Return (step, mean loss since the last point) at most `HISTORY_POINTS` times, the last step among them."""
    interval = max(1, math.ceil(len(losses) / HISTORY_POINTS))
    ends = [*range(interval, len(losses), interval), len(losses)]
    return tuple(
        (end, sum(losses[start:end]) / (end - start)) for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )


def decay_start(steps: int) -> int:
    """Return the step, from 0, at which the decay of a schedule of so many steps begins."""
    return steps - max(1, round(steps * DECAY))


def warm_up_steps(first_rung: int) -> int:
    """Return the steps of the warm-up."""
    return max(1, round(first_rung * WARM_UP))


def schedule(step: int, steps: int, first_rung: int | None = None) -> float:
    """Return the share of the full learning rate at a step: linear warm-up, stable, linear decay (WSD)."""
    decay = steps - decay_start(steps)
    return min(1.0, (step + 1) / warm_up_steps(first_rung or steps), (steps - step) / decay)


def _part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def check_fits(architecture: Architecture, dataset: Dataset, workload: Workload) -> None:
    """Raise `InvalidInput` unless an architecture does a dataset's task at the workload's lengths."""
    info, offered = dataset.info, architecture.task_shape
    wanted, family = task_shape(info, workload), FAMILIES[info.task]
    if architecture.family != family or offered.task != wanted.task:
        raise InvalidInput.of(
            "architecture",
            f"{architecture.family}, {offered.task}",
            f"{family}, {wanted.task}",
            f"the dataset {info.name} is one for {info.task}",
        )
    for field in ("vocabulary_size", "outputs", "max_length", "max_output_length"):
        given, needed = getattr(offered, field), getattr(wanted, field)
        if given < needed or (given != needed and field == "outputs"):
            raise InvalidInput.of(
                f"architecture.{field}",
                given,
                f"{needed} for the dataset {info.name} at {workload.key}",
                "build the architecture from a space that was made for the task (`for_task`)",
            )
