"""Before a job's own evaluator scores anybody: it is allowed here, and it can be imported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from concurrent.futures import BrokenExecutor, Executor, wait

from nas.errors import EvaluatorFailed
from nas.quality.evaluators import evaluator_version

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often it is asked whether to stop while the evaluator is imported."""


def check_evaluator(
    function: str, allowed: Collection[str], executor: Executor, should_stop: Callable[[], str | None]
) -> str | None:
    """Return why to stop at once, or None where the evaluator may and can be used.

    The database is not trusted to hold allowed ones alone. What is imported is so in an evaluation process: this one
    may be a server's. Raises `EvaluatorFailed`.
    """
    if function not in allowed:
        raise EvaluatorFailed(
            f"the job names the evaluator {function}, which this worker does not allow (it allows: "
            f"{', '.join(sorted(allowed)) or 'none'}): if you trust that code, start the worker with "
            f"`--evaluator {function}` and submit the job again"
        )
    imported = executor.submit(evaluator_version, function)
    while not wait([imported], timeout=POLL_S).done:
        if stop := should_stop():
            return stop
    try:
        log.info("evaluator %s", imported.result())
    except BrokenExecutor as error:
        raise EvaluatorFailed(f"importing the evaluator {function} ended its process: {error}") from error
    return None
