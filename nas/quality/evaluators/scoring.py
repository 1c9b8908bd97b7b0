"""Asking an evaluator about one candidate, and taking nothing from it but what was declared."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from nas.errors import EvaluatorFailed, shown
from nas.quality.evaluators.loading import load_evaluator
from nas.quality.evaluators.spec import EvaluatorSpec

if TYPE_CHECKING:
    from nas.quality.evaluators.candidate import Candidate


def score(spec: EvaluatorSpec, candidate: Candidate) -> dict[str, float]:
    """Return the declared metrics of a candidate.

    Raises `EvaluatorFailed` naming the metric and its value where one is missing, not declared, no number or not
    finite, and whatever the function itself raises, `SystemExit` among it.
    """
    return checked_metrics(load_evaluator(spec.function).function(candidate), spec.metrics)


def checked_metrics(returned: Any, declared: Collection[str]) -> dict[str, float]:
    """Return what an evaluator returned as floats, in the order declared; raises as `score`."""
    if not isinstance(returned, Mapping):
        raise EvaluatorFailed(
            f"the evaluator returned {shown(returned)}; allowed: a mapping with a number for each of "
            f"{', '.join(declared)}"
        )
    wrong = [f"{name} is missing" for name in declared if name not in returned]
    wrong += [
        f"{shown(name)} ({shown(value)}) is not declared in task.evaluator.metrics"
        for name, value in returned.items()
        if name not in declared
    ]
    wrong += [
        f"{name} is {shown(returned[name])}, not a finite number"
        for name in declared
        if name in returned and not _is_finite(returned[name])
    ]
    if wrong:
        raise EvaluatorFailed(f"of what the evaluator returned, {'; '.join(wrong)}")
    return {name: float(returned[name]) for name in declared}


def _is_finite(value: Any) -> bool:
    # A bool is a number to Python; of a score it is a mistake
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
