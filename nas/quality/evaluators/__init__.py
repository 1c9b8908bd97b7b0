"""Own evaluators: a function of a person's own that says how good a candidate is, named by a job.

`docs/quality.md` shows one. Code is imported in evaluation processes alone, and only what their operator has allowed.
"""

from __future__ import annotations

from nas.quality.evaluators.allowed import allowed_functions, check_allowed
from nas.quality.evaluators.candidate import Candidate
from nas.quality.evaluators.loading import evaluator_version
from nas.quality.evaluators.scoring import score
from nas.quality.evaluators.spec import EvaluatorSpec

__all__ = ["Candidate", "EvaluatorSpec", "allowed_functions", "check_allowed", "evaluator_version", "score"]
