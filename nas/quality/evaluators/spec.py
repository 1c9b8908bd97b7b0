"""EvaluatorSpec: what a job says about its evaluator (`task.evaluator` of the job document)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nas.costs import COST_NAMES
from nas.documents import StrictModel
from nas.errors import InvalidInput, Problem
from nas.quality.evaluators.allowed import check_function
from nas.quality.metrics import METRICS, Metric

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class DeclaredMetric(StrictModel):
    """What one of the numbers means that an evaluator returns."""

    direction: Literal["minimize", "maximize"]
    worst: float
    """Of a useless model: the corner that hypervolume is measured from."""
    best: float
    """Of a perfect model."""

    @model_validator(mode="after")
    def _best_is_better(self) -> DeclaredMetric:
        better = self.best < self.worst if self.direction == "minimize" else self.best > self.worst
        if not better:
            side = "below" if self.direction == "minimize" else "above"
            raise InvalidInput.of(
                "best", self.best, f"a number {side} worst ({self.worst:g}) to {self.direction}", "exchange the two"
            )
        return self


class EvaluatorSpec(StrictModel):
    """A function of one's own, and the metrics that it returns: all of them, and no others."""

    function: str
    """`package.module:function`; `docs/quality.md` states its signature."""
    metrics: Annotated[dict[str, DeclaredMetric], Field(min_length=1, max_length=16)]

    @field_validator("function")
    @classmethod
    def _function_is_one(cls, value: str) -> str:
        return check_function(value)

    @field_validator("metrics")
    @classmethod
    def _names_are_free(cls, value: dict[str, DeclaredMetric]) -> dict[str, DeclaredMetric]:
        problems = [problem for name, metric in value.items() if (problem := _problem_of(name, metric))]
        if problems:
            raise InvalidInput(problems)
        return value

    def as_metrics(self) -> dict[str, Metric]:
        """Return the declared metrics by name, as those of the tasks are described."""
        return {
            name: replace(
                METRICS.get(name, Metric(name, declared.direction, declared.worst, "", name.replace("_", " "))),
                worst=declared.worst,
            )
            for name, declared in self.metrics.items()
        }


def _problem_of(name: str, metric: DeclaredMetric) -> Problem | None:
    if not _NAME.fullmatch(name):
        allowed = "lower-case letters, digits and _, a letter first, at most 64 characters"
        return Problem("", name, allowed, "write it like `calibration_error`")
    if name in COST_NAMES:
        return Problem("", name, f"a name that no cost has ({', '.join(COST_NAMES)})", "give the metric another name")
    known = METRICS.get(name)
    if known is not None and metric.direction != known.direction:
        # It is shown under the label of the metric that people know by this name
        return Problem(f"{name}.direction", metric.direction, known.direction, "or give the metric another name")
    return None
