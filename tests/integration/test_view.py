"""What is told of a job rests on figures that are kept between answers: they are those that would be read anew."""

from __future__ import annotations

import random

import pytest
from api_examples import RecordingWorker, job_document

from nas.jobs import evaluated, view
from nas.jobs.catalogue import submit
from nas.jobs.evaluated import Evaluated, evaluated_trials
from nas.jobs.view import view_of
from nas.store.records import TrialState
from nas.store.store import Store


@pytest.fixture
def worker(store: Store) -> RecordingWorker:
    job, _ = submit(store, job_document(), None)
    return RecordingWorker(store, job)


def afresh(store: Store, worker: RecordingWorker) -> view.View:
    """Return the view that a process would have that has just started."""
    view._views.clear()
    evaluated._kept.clear()
    return view_of(store, worker.job)


def told(seen: view.View) -> tuple[object, ...]:
    return seen.front, seen.knee, seen.hypervolume, seen.evaluated


def test_a_view_follows_its_job_as_if_it_were_read_anew(store: Store, worker: RecordingWorker) -> None:
    rng = random.Random(1)
    assert told(view_of(store, worker.job)) == ((), None, None, 0)
    for _ in range(12):
        match rng.choice(["complete", "fail", "skip", "start"]):
            case "complete":
                worker.complete(round(rng.random(), 2))
            case "fail":
                worker.fail(worker.start(), "it broke")
            case "skip":
                worker.skip_as_duplicate_of(worker.complete(0.9))
            case _:
                worker.start()
        kept = told(view_of(store, worker.job))
        known, views = dict(evaluated._kept), dict(view._views)
        assert told(afresh(store, worker)) == kept
        evaluated._kept.update(known)
        view._views.update(views)


def error_rates(store: Store, worker: RecordingWorker) -> Evaluated:
    return evaluated_trials(store, worker.job, store.last_sequence(worker.job.id), ["error_rate"])


def test_trials_stand_in_the_order_of_their_numbers_however_they_end(store: Store, worker: RecordingWorker) -> None:
    first = worker.start()
    worker.complete(0.5)
    assert error_rates(store, worker).numbers.tolist() == [1]
    worker.finish_started(first, 0.25)
    seen = error_rates(store, worker)
    assert seen.numbers.tolist() == [0, 1]
    assert seen.of(["error_rate"])[:, 0].tolist() == [0.25, 0.5]


def test_after_many_events_at_once_everything_is_read_anew(
    store: Store, worker: RecordingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluated, "AT_ONCE", 3)
    view_of(store, worker.job)
    for error_rate in (0.8, 0.6, 0.4, 0.2):
        worker.complete(error_rate)
    kept = told(view_of(store, worker.job))
    assert kept == told(afresh(store, worker))
    assert kept[-1] == 4


def test_the_trials_of_a_view_are_read_when_somebody_asks(store: Store, worker: RecordingWorker) -> None:
    worker.complete(0.5)
    seen = view_of(store, worker.job)
    worker.start()
    assert [trial.state for trial in seen.trials] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_metric_that_no_trial_has_keeps_no_limit(store: Store, worker: RecordingWorker) -> None:
    worker.complete(0.5)
    seen = evaluated_trials(store, worker.job, store.last_sequence(worker.job.id), ["error_rate", "not-there"])
    assert len(seen) == 1
    assert seen.of(["not-there"])[0, 0] != seen.of(["not-there"])[0, 0]
