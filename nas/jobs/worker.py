"""The worker: claims jobs under a lease, runs their search, and records every step before acting on the next."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from nas.architecture import Architecture
from nas.errors import LeaseLost, NotFound, PocketformerError, StoreUnavailable
from nas.jobs.assignments import assignment_of
from nas.jobs.catalogue import reference_of
from nas.jobs.compute import Compute, ThisMachine
from nas.jobs.context import JobContext
from nas.jobs.evaluation import Assignment, evaluate, remove_old_trunks, trunk_file
from nas.jobs.evaluator_check import check_evaluator
from nas.jobs.finishing import Finishing
from nas.jobs.memory import Memory
from nas.jobs.own_data import dataset_of
from nas.quality.datasets.own.prepared import remove_old_prepared
from nas.search.evaluation import Evaluation
from nas.search.loop import SearchLoop
from nas.search.plateau import Plateau
from nas.search.promotion import Cohorts, Ladder
from nas.search.proposer import Proposal, Proposer, RecordedTrial, Verdict
from nas.store.job_rows import finished_reason
from nas.store.records import (
    JobRecord,
    JobState,
    NewTrial,
    SkipReason,
    TrialOutcome,
    TrialRecord,
    TrialState,
)
from nas.store.store import Store

log = logging.getLogger(__name__)

CANCELLED, PAUSED = "cancelled", "paused"
STOPPED, LOST = "the worker was stopped", "another worker holds the job"


class Worker:
    """Runs one job at a time, several of its candidates at once."""

    def __init__(
        self,
        store: Store,
        *,
        processes: int | None = None,
        lease_s: float = 15.0,
        name: str | None = None,
        evaluators: Collection[str] = (),
        compute: Compute | None = None,
    ) -> None:
        """`evaluators` are the functions, each `package.module:function`, that jobs may name as their own.

        Candidates are evaluated on `compute`, or else on so many `processes` of this machine.
        """
        self._store, self._lease_s = store, lease_s
        self._evaluators = frozenset(evaluators)
        self._compute = compute or ThisMachine(processes or max(1, os.cpu_count() or 1))
        self.processes = self._compute.parallel
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._stop = threading.Event()

    def run(self, stop: threading.Event, poll_s: float = 0.5) -> None:
        """Claim and run jobs until `stop` is set; a job under way is then released for the next worker."""
        log.info("worker %s waits for jobs, %d evaluations at a time", self.name, self.processes)
        remove_old_trunks()
        remove_old_prepared()
        while not stop.is_set():
            try:
                found = self._compute.is_ready() and self.run_once(stop)
            except StoreUnavailable as error:
                log.warning("%s", error)
                found = False
            except Exception:  # a worker that ended unseen would leave every later job waiting
                log.exception("worker %s met an error outside a job", self.name)
                found = False
            if not found:
                stop.wait(poll_s)

    def run_once(self, stop: threading.Event | None = None) -> bool:
        """Claim one job and run it to its end; return False if there is none."""
        job = self._store.claim_job(self.name, self._lease_s)
        if job is None:
            return False
        self._run(job, stop or threading.Event())
        return True

    def run_job(self, job_id: str, stop: threading.Event | None = None) -> JobRecord:
        """Claim and run this job; return it as it ended. Raises `LeaseLost` if another worker has it."""
        job = self._store.claim_job_by_id(job_id, self.name, self._lease_s)
        if job is None:
            raise LeaseLost(f"The job {job_id} is held by another worker, is paused or has ended.")
        self._run(job, stop or threading.Event())
        return self._store.job(job_id)

    def _run(self, job: JobRecord, stop: threading.Event) -> None:
        log.info("job %s (%s) claimed with token %d", job.id, job.name, job.lease_token)
        executor = self._compute.executor()
        lease = _Lease(self._store, job, self._lease_s, stop)
        lease.start()
        try:
            context = JobContext.load(self._store, job.document)
            if job.search_ended is None:
                job = self._end_search(job, context, self._search(job, context, executor, lease), lease)
            if job.search_ended is not None and not job.state.is_final:
                self._finish(job, context, executor, lease)
        except LeaseLost as error:
            log.warning("job %s: %s", job.id, error)
        except StoreUnavailable:
            raise  # the lease runs out and the job is claimed again
        except Exception as error:  # a job that can't go on must say so, not stay running for ever
            if isinstance(error, NotFound) and not self._is_there(job.id):
                log.warning("job %s was deleted", job.id)
                return
            log.exception("job %s failed", job.id)
            known = isinstance(error, PocketformerError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            try:
                self._fail(job, text)
            except LeaseLost as lost:
                log.warning("job %s: %s", job.id, lost)
        finally:
            lease.end()
            executor.shutdown(wait=False, cancel_futures=True)

    def _is_there(self, job_id: str) -> bool:
        try:
            self._store.job(job_id)
        except NotFound:
            return False
        return True

    def _fail(self, job: JobRecord, error: str) -> None:
        """End a job that can't go on; what its search came to stands, if it was over."""
        ended = self._store.job(job.id).search_ended
        if ended is None:
            self._store.finish_job(job.id, job.lease_token, JobState.FAILED, error)
        else:
            reason = finished_reason(ended, f"failed: {error}")
            self._store.finish_job(job.id, job.lease_token, JobState(ended["state"]), reason)

    def _search(self, job: JobRecord, context: JobContext, executor: Executor, lease: _Lease) -> str:
        spec = context.spec
        info = dataset_of(self._store, job.document).info
        if stop := self._check(context, executor, lease):
            return stop
        reference = job.reference
        if reference is None:
            reference = reference_of(context, info)
            self._store.set_reference(job.id, job.lease_token, reference)
        proposer = Proposer(
            context.space,
            context.objectives,
            context.constraints,
            context.costs,
            spec.sampler,
            context.sampler_setting(reference["point"]),
            context.start,
        )
        ladder = spec.ladder

        def assignment(architecture: Architecture, rung: int) -> Assignment:
            return assignment_of(context, architecture.to_dict(), ladder, rung)

        memory = Memory(self._store, job, spec)

        def discard(architecture: Architecture) -> None:
            trunk_file(assignment(architecture, 0)).unlink(missing_ok=True)

        def submit(number: int, rung: int, architecture: Architecture) -> Future[Evaluation]:
            if (known := memory.recall(architecture, rung)) is not None:
                log.info("trial %d: %s after %d steps is known", number, architecture.id, ladder.steps[rung])
                if rung == ladder.last:
                    discard(architecture)  # what this job trained of it on the rungs below
                return _done(known)
            log.info("trial %d: evaluating %s over %d steps", number, architecture.id, ladder.steps[rung])
            return executor.submit(evaluate, assignment(architecture, rung))

        cohorts = Cohorts(ladder, context.objectives, context.constraints)
        recorder = _Recorder(self._store, job, ladder, discard)

        deadline = None
        if spec.budget.hours is not None and job.started_at is not None:
            spent_s = time.time() - job.started_at.timestamp() - job.idle_s
            # From here on the hours pass whatever is done to the clock
            deadline = time.monotonic() + spec.budget.hours * 3600 - spent_s
        plateau = Plateau(spec.budget.plateau, context.objectives, context.constraints, reference)
        loop = SearchLoop(proposer, cohorts, submit, recorder, self.processes, lease.stop_reason, deadline, plateau)
        loop.resume([_recorded(trial) for trial in self._store.trials(job.id)])
        return loop.run(spec.budget.trials)

    def _check(self, context: JobContext, executor: Executor, lease: _Lease) -> str | None:
        """Make sure that the job's evaluator, if it names one, may and can be used; return why to stop, or None."""
        evaluator = context.spec.task.evaluator
        if evaluator is None:
            return None
        return check_evaluator(evaluator.function, self._evaluators, executor, lease.stop_reason)

    def _end_search(self, job: JobRecord, context: JobContext, reason: str, lease: _Lease) -> JobRecord:
        """Record how the search ended; a job that asks to be finished goes on, and is returned so."""
        if self._is_interrupted(job, reason, lease):
            return job
        state = JobState.CANCELLED if reason == CANCELLED else JobState.SUCCEEDED
        if state is JobState.SUCCEEDED and not self._store.counts(job.id).complete:
            failed = self._store.trials(job.id, limit=1, state=TrialState.FAILED)
            state = JobState.FAILED
            reason = f"no candidate was evaluated: {failed[0].error if failed else reason}"
        log.info("the search of job %s %s: %s", job.id, state, reason)
        if state is JobState.SUCCEEDED and context.spec.finish is not None:
            return self._store.end_search(job.id, job.lease_token, reason, context.spec.finish.model_dump(mode="json"))
        return self._store.finish_job(job.id, job.lease_token, state, reason)

    def _is_interrupted(self, job: JobRecord, reason: str | None, lease: _Lease) -> bool:
        """Return whether a job stopped without having ended, and give it out of hand then. Raises `LeaseLost`."""
        if reason == LOST:
            raise LeaseLost
        if reason == STOPPED:
            lease.end()  # a beat after the release would take the job again, for nobody
            self._store.release_job(job.id, job.lease_token)
        elif reason == PAUSED:
            state = self._store.pause_job(job.id, job.lease_token).state
            log.info(
                "job %s %s", job.id, "paused" if state is JobState.PAUSED else "goes on: nobody asks to pause it now"
            )
        return reason in (STOPPED, PAUSED)

    def _finish(self, job: JobRecord, context: JobContext, executor: Executor, lease: _Lease) -> None:
        """Train in full what the job's plan says, and end the job as its search ended."""
        dataset_of(self._store, job.document)

        def submit(assignment: Assignment) -> Future[Evaluation]:
            return executor.submit(evaluate, assignment)

        finishing = Finishing(self._store, job, context, submit, self.processes, lease.stop_reason)
        stopped = self._check(context, executor, lease) or finishing.run()
        if self._is_interrupted(job, stopped, lease):
            return
        assert job.search_ended is not None
        reason = finished_reason(job.search_ended, stopped or finishing.outcome())
        self._store.finish_job(job.id, job.lease_token, JobState(job.search_ended["state"]), reason)
        log.info("job %s ended: %s", job.id, reason)


class _Recorder:
    """Writes the loop's steps under the job's lease."""

    def __init__(self, store: Store, job: JobRecord, ladder: Ladder, discard: Callable[[Architecture], None]) -> None:
        """`discard` removes what a training that was to go on has left."""
        self._store, self._job, self._ladder, self._discard = store, job, ladder, discard

    def proposed(self, proposal: Proposal) -> None:
        skipped = proposal.verdict != "evaluate"
        self._store.add_trial(
            self._job.id,
            self._job.lease_token,
            NewTrial(
                number=proposal.number,
                state=TrialState.SKIPPED if skipped else TrialState.RUNNING,
                architecture=proposal.architecture.to_dict(),
                architecture_id=proposal.architecture.id,
                metrics=dict(proposal.costs),
                violations=dict(proposal.violations),
                skip_reason=SkipReason(proposal.verdict) if skipped else None,
                same_as=proposal.same_as,
                sampler=dict(proposal.sampler_state),
            ),
        )

    def evaluated(self, number: int, evaluation: Evaluation, metrics: Mapping[str, float] | None) -> None:
        before = self._store.trial(self._job.id, number)
        state = TrialState.FAILED if metrics is None else TrialState.COMPLETE
        if metrics is None:
            training = {**(before.training or {}), **(evaluation.training or {})} or None
        else:
            training = self._training(before, evaluation, metrics)
        duration_s = (before.duration_s or 0.0) + evaluation.duration_s
        outcome = TrialOutcome(
            state,
            dict(metrics or before.metrics),
            training,
            evaluation.error,
            duration_s,
            recalled=_is_recalled(training),
        )
        self._store.finish_trial(self._job.id, self._job.lease_token, number, outcome, evaluation.weights)
        log.info("trial %d %s after %.1f s", number, state, duration_s)

    def scored(self, number: int, rung: int, evaluation: Evaluation, metrics: Mapping[str, float]) -> None:
        before = self._store.trial(self._job.id, number)
        training = self._training(before, evaluation, metrics)
        duration_s = (before.duration_s or 0.0) + evaluation.duration_s
        self._store.score_trial(self._job.id, self._job.lease_token, number, dict(metrics), training, duration_s)
        log.info("trial %d scored after %d steps", number, self._ladder.steps[rung])

    def stopped(self, number: int, reason: str) -> None:
        before = self._store.trial(self._job.id, number)
        training = {**(before.training or {}), "stopped": reason}
        outcome = TrialOutcome(
            TrialState.STOPPED,
            before.metrics,
            training,
            None,
            before.duration_s or 0.0,
            recalled=_is_recalled(training),
        )
        self._store.finish_trial(self._job.id, self._job.lease_token, number, outcome, None)
        self._discard(Architecture.from_dict(before.architecture))

    def _training(self, before: TrialRecord, evaluation: Evaluation, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Return what is kept of a training: the newest, and the scores on all rungs up to it."""
        now = dict(evaluation.training or {})
        score = {"steps": now.get("steps"), "metrics": dict(metrics)}
        if "recalled" in now:
            score["recalled"] = now["recalled"]
        rungs = [*(before.training or {}).get("rungs", []), score]
        earlier = before.training or {}
        for spent in ("cpu_s", "steps_taken"):
            now[spent] = now.get(spent, 0) + earlier.get(spent, 0)
        return {**now, "rungs": rungs} if self._ladder.last else now


def _is_recalled(training: Mapping[str, Any] | None) -> bool:
    """Return whether no step was trained for a trial, since its scores were known."""
    return training is not None and "recalled" in training and not training.get("steps_taken")


class _Lease:
    """Keeps a job's lease alive in a thread of its own, and knows why the search must stop."""

    def __init__(self, store: Store, job: JobRecord, lease_s: float, stop: threading.Event) -> None:
        self._store, self._job, self._lease_s, self._stop = store, job, lease_s, stop
        self._reason: str | None = _request(job)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{job.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def stop_reason(self) -> str | None:
        return self._reason or (STOPPED if self._stop.is_set() else None)

    def _beat(self) -> None:
        # Often enough to survive two lost beats, and for a cancellation to be seen within a second or so
        while not self._ended.wait(min(1.0, self._lease_s / 3)):
            try:
                job = self._store.heartbeat(self._job.id, self._job.lease_token, self._lease_s)
            except (LeaseLost, NotFound):  # the second where the job was deleted
                self._reason = LOST
                return
            except StoreUnavailable as error:
                log.warning("heartbeat of job %s: %s", self._job.id, error)
                continue
            self._reason = _request(job)


def _request(job: JobRecord) -> str | None:
    """Return what a person asks for of a job that runs."""
    if job.cancel_requested:
        return CANCELLED
    return PAUSED if job.pause_requested else None


def _done(evaluation: Evaluation) -> Future[Evaluation]:
    """Return an evaluation that has ended already."""
    future: Future[Evaluation] = Future()
    future.set_result(evaluation)
    return future


def _recorded(trial: TrialRecord) -> RecordedTrial:
    """Return a stored trial as the search wants it back."""
    verdict: Verdict = "evaluate"
    if trial.skip_reason is not None:
        verdict = "duplicate" if trial.skip_reason is SkipReason.DUPLICATE else "over_limit"
    proposal = Proposal(
        trial.number,
        Architecture.from_dict(trial.architecture),
        trial.metrics,
        verdict,
        trial.violations,
        trial.same_as,
        trial.sampler,
    )
    rungs = (trial.training or {}).get("rungs", [])
    scores = tuple(rung["metrics"] for rung in rungs)
    if not scores and trial.state is TrialState.COMPLETE:  # of a job without promotion
        scores = (trial.metrics,)
    return RecordedTrial(proposal, trial.state is not TrialState.RUNNING, scores[0] if scores else None, scores)
