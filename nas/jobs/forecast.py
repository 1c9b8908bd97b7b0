"""What another hour of a job's search would bring."""

from __future__ import annotations

from typing import Any

from nas.jobs.view import View, hypervolume_of
from nas.search.forecast import LEAST_EVALUATIONS, foretold_gain
from nas.store.records import JobRecord, TrialState

HOURS = 1.0
RECENT = 20
"""Evaluations whose pace is taken to go on."""


def forecast_of(job: JobRecord, view: View) -> dict[str, Any] | None:
    """Return how many evaluations an hour more would take in, and what they would add to the hypervolume.

    None where there is no hypervolume, or too few evaluations to tell from.
    """
    evaluated = [t for t in view.trials if t.state is TrialState.COMPLETE]
    ends = sorted(t.finished_at for t in evaluated if t.finished_at is not None)[-RECENT:]
    if view.hypervolume is None or len(evaluated) < LEAST_EVALUATIONS:
        return None
    pace_s = (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)
    if pace_s <= 0:
        return None
    more = round(HOURS * 3600 / pace_s)

    def volume(count: int) -> float:
        eligible = [t for t in evaluated[:count] if all(c.violation(t.metrics) == 0 for c in view.constraints)]
        return hypervolume_of(eligible, view.objectives, job.reference) or 0.0

    quarter, half = volume(len(evaluated) // 4), volume(len(evaluated) // 2)
    gain = foretold_gain(quarter, half, view.hypervolume, len(evaluated), more)
    return {"hours": HOURS, "evaluations": more, "hypervolume": view.hypervolume, "gain": gain}
