"""Own evaluators: a function of a person's own that says how good a candidate is, named by a job.

`docs/quality.md` shows one. Code is imported in evaluation processes alone, and only what their operator has allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.quality.evaluators.allowed import allowed_functions, check_allowed
from nas.quality.evaluators.loading import evaluator_version
from nas.quality.evaluators.scoring import score
from nas.quality.evaluators.spec import EvaluatorSpec

if TYPE_CHECKING:
    from nas.quality.evaluators.candidate import Candidate

__all__ = ["Candidate", "EvaluatorSpec", "allowed_functions", "check_allowed", "evaluator_version", "score"]


def __getattr__(name: str) -> Any:
    """Import `Candidate`, which needs torch, when somebody asks for it: who names an evaluator does not."""
    if name != "Candidate":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from nas.quality.evaluators.candidate import Candidate  # noqa: PLC0415

    return Candidate
