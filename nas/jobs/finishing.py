"""Finishing a job: its plan of full trainings, carried out by a worker, every score recorded before the next step."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from nas.jobs.assignments import assignment_of
from nas.jobs.context import JobContext
from nas.jobs.evaluation import Assignment
from nas.jobs.finish_plan import FinishPlan, finish_progress, plan_of, planned
from nas.jobs.view import view_of
from nas.search.evaluation import Evaluation
from nas.search.evaluations import Climb, Evaluations
from nas.store.records import JobRecord, RetrainingKey, RetrainingOutcome, RetrainingState
from nas.store.store import Store

log = logging.getLogger(__name__)


class Finishing:
    """Trains in full what a job's plan says, several at a time, from where earlier workers got to."""

    def __init__(
        self,
        store: Store,
        job: JobRecord,
        context: JobContext,
        submit: Callable[[Assignment], Future[Evaluation]],
        parallel: int,
        should_stop: Callable[[], str | None],
    ) -> None:
        """`submit` starts an evaluation; `should_stop` says why to stop at once, or None."""
        self._store, self._job, self._context, self._should_stop = store, job, context, should_stop
        view = view_of(store, job)
        plan = plan_of(job, view)
        assert plan is not None
        self._plan: FinishPlan = plan
        trials = store.trials_numbered(job.id, {key.trial for key in plan.keys})
        self._architectures = {trial.number: trial.architecture for trial in trials}
        self._running = Evaluations[RetrainingKey](lambda climb: submit(self._assignment(climb)), parallel)
        there = planned(plan, view)
        self._waiting: deque[Climb[RetrainingKey]] = deque()
        for key in plan.keys:
            record = there.get(key)
            if record is None or record.state is RetrainingState.FAILED:
                self._waiting.append(Climb(key, 0))
            elif record.state is RetrainingState.RUNNING:
                self._waiting.append(Climb(key, len(record.scores)))

    def run(self) -> str | None:
        """Go on until everything is trained; return why it stopped before, or None."""
        while self._waiting or len(self._running):
            if stop := self._should_stop():
                self._running.cancel()
                return stop
            if self._waiting and self._running.may_start(self._waiting[0].subject):
                climb = self._waiting.popleft()
                if climb.rung == 0:
                    self._store.start_retraining(self._job.id, self._job.lease_token, climb.subject)
                self._running.start(climb)
                continue
            ended, again = self._running.collect()
            self._waiting.extendleft(reversed(again))
            for climb, result in ended:
                self._keep(climb, result)
        return None

    def outcome(self) -> str:
        """Return in words what the plan's trainings came to."""
        progress = finish_progress(self._job, view_of(self._store, self._job))
        assert progress is not None
        failed = f", {progress['failed']} failed" if progress["failed"] else ""
        return f"{progress['complete']} of {progress['trainings']} trainings in full{failed}"

    def _keep(self, climb: Climb[RetrainingKey], result: Evaluation) -> None:
        """Record what an evaluation gave; one that has not come to its last rung goes on before another begins."""
        key, ladder = climb.subject, self._plan.ladder
        job_id, token = self._job.id, self._job.lease_token
        training = None if result.training is None else dict(result.training)
        if result.metrics is not None and training is not None and climb.rung < ladder.last:
            score = {"steps": ladder.steps[climb.rung], "metrics": dict(result.metrics)}
            self._store.score_retraining(job_id, token, key, score, training, result.duration_s)
            self._waiting.appendleft(Climb(key, climb.rung + 1))
            return
        outcome = RetrainingOutcome(
            result.duration_s,
            training,
            None if result.metrics is None else dict(result.metrics),
            None if result.test_metrics is None else dict(result.test_metrics),
            result.weights,
            result.error,
        )
        record = self._store.end_retraining(job_id, token, key, outcome)
        log.info("trial %d, seed %d: %s after %d steps", key.trial, key.seed, record.state, key.steps)

    def _assignment(self, climb: Climb[RetrainingKey]) -> Assignment:
        architecture = self._architectures[climb.subject.trial]
        return assignment_of(
            self._context, architecture, self._plan.ladder, climb.rung, seed=climb.subject.seed, in_full=True
        )
