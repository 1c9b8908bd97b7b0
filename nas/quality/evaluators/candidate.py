"""Candidate: what an own evaluator is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from nas.architecture import Architecture
from nas.models import Model, build_model
from nas.quality.datasets import Dataset, Split
from nas.quality.datasets.splits import SplitName
from nas.quality.plan import TrainingPlan
from nas.quality.score import score_weights
from nas.quality.training import TrainingResult, Trunk
from nas.workload import Workload


@dataclass
class Candidate:
    """One architecture to be judged, with the data and the training that the job gives it."""

    architecture: Architecture
    dataset: Dataset
    """With the splits `train` and that of `split`: a search never sees test."""
    plan: TrainingPlan
    """`steps` are those that this score stands at the end of: with promotion, the rung's."""
    workload: Workload
    seed: int
    first_rung: int | None = None
    """Steps of the first score that any candidate of the job gets; None without promotion."""
    checkpoint: Path | None = None
    """Where the training goes on from, and leaves how far it is."""
    split: SplitName = "validation"
    """What the score stands on; `test` only once the search is over, when what it found was trained in full."""
    trained: TrainingResult | None = field(default=None, init=False)
    """What `train` gave; None before it was called."""

    def __post_init__(self) -> None:
        self._whole = self.dataset
        splits: dict[SplitName, Split] = {
            name: split for name, split in self.dataset.splits.items() if name in ("train", self.split)
        }
        self.dataset = Dataset(self.dataset.info, splits)

    @property
    def examples(self) -> Split:
        """The examples that the score is to stand on."""
        return self.dataset.split(self.split)

    def build(self) -> Model:
        """Return a new, untrained model; always with the same weights, which follow from `seed`."""
        return build_model(self.architecture, seed=self.seed)

    def train(self, on_step: Callable[[int, int], None] | None = None) -> TrainingResult:
        """Train as a job without an evaluator does; return weights, history and the dataset's metrics of `examples`.

        Goes on where an earlier rung or a killed process left the training; the result is the same to the last bit.
        `on_step(step, steps)` is called after every step. A second call returns what the first one did. Raises
        `TrainingDiverged` at the first loss that is not finite.
        """
        if self.trained is None:
            trunk = Trunk(
                self.architecture,
                self._whole,
                self.plan,
                workload=self.workload,
                seed=self.seed,
                first_rung=self.first_rung,
                checkpoint=self.checkpoint,
                for_steps=self.plan.steps,
            )
            self.trained = self._scored(trunk.score_at(self.plan.steps, on_step))
        return self.trained

    def on_test(self, dataset: Dataset) -> Candidate:
        """Return this candidate to be scored on the test split of the whole dataset; nothing is trained again."""
        other = replace(self, dataset=dataset, split="test")
        if self.trained is not None:
            other.trained = other._scored(self.trained)
        return other

    def _scored(self, result: TrainingResult) -> TrainingResult:
        """Return the result with the metrics of `split`; training gives those of validation."""
        if self.split == "validation":
            return result
        metrics = score_weights(self.architecture, result.state, self._whole, self.split, self.workload)
        return replace(result, metrics=metrics)
