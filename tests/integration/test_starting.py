"""Jobs that start from architectures that a person has, and from what earlier jobs have found."""

import random

import pytest

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.errors import InvalidInput
from nas.jobs.catalogue import submit
from nas.jobs.delivery import config_of
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.space import SearchSpace
from nas.store.records import JobState, TrialState
from nas.workload import Workload
from tests.integration.api_examples import RecordingWorker, job_document

pytestmark = pytest.mark.usefixtures("cache")


def submitted(store, start, **changes):
    return submit(store, job_document(start=start, **changes))[0]


def jobs_in(store):
    return list(store.jobs(limit=10)[0])


def started_from(job):
    return [document["id"] for document in job.document.get("start", [])]


def evaluated(store, job):
    return [t.architecture_id for t in store.trials(job.id) if t.state is not TrialState.SKIPPED]


@pytest.fixture
def present(store):
    """Architectures of the space within the limits, in no particular order."""
    return RecordingWorker(store, submit(store, job_document())[0]).feasible


def test_given_architectures_come_first_in_the_order_given(store, present):
    chosen = [present[5], present[2], present[5], present[9]]
    job = submitted(store, {"architectures": [a.to_dict() for a in chosen]}, budget={"trials": 5})
    expected = [present[5].id, present[2].id, present[9].id]
    assert started_from(job) == expected
    Worker(store, processes=1).run_job(job.id)
    assert evaluated(store, job)[:3] == expected
    assert len(set(evaluated(store, job))) == 5
    assert [t.sampler.get("why") for t in store.trials(job.id)][:3] == [{"by": "start"}] * 3


def test_what_a_job_starts_from_is_not_proposed_again_after_a_stop(store, present):
    job = submitted(store, {"architectures": [a.to_dict() for a in present[:4]]}, budget={"trials": 2})
    assert Worker(store, processes=2).run_job(job.id).state is JobState.SUCCEEDED
    assert evaluated(store, job) == [a.id for a in present[:2]]


def test_a_downloaded_configuration_is_an_architecture_too(store):
    first = RecordingWorker(store, submit(store, job_document())[0])
    first.complete(0.4, weights=True)
    config = config_of(store, first.job, store.trial(first.job.id, 0), "http://127.0.0.1:8000")
    assert started_from(submitted(store, {"architectures": [config]})) == [first.feasible[0].id]


def test_an_architecture_for_other_lengths_is_taken_as_it_would_be_for_these(store, present):
    shape = present[0].task_shape
    other = SearchSpace.bundled("smoke").for_task(shape.__class__(300, 7, 99))
    longer = present[0].for_task(other.task_shape)
    assert longer in other
    assert longer.id != present[0].id
    assert started_from(submitted(store, {"architectures": [longer.to_dict()]})) == [present[0].id]


def test_a_job_starts_from_the_front_of_an_earlier_one_and_trains_none_of_it_again(store):
    earlier = submit(store, job_document(budget={"trials": 6}))[0]
    Worker(store, processes=1).run_job(earlier.id)
    front = {store.trial(earlier.id, n).architecture_id for n in view_of(store, earlier).front}
    later = submitted(store, {"jobs": [earlier.id]}, memory=True, seed=9, budget={"trials": len(front) + 2})
    assert set(started_from(later)) == front
    Worker(store, processes=1).run_job(later.id)
    assert set(evaluated(store, later)[: len(front)]) == front
    assert store.recalled_count(later.id) >= len(front)
    volumes = [view_of(store, store.job(job.id)).hypervolume for job in (earlier, later)]
    assert volumes[1] >= volumes[0]


@pytest.mark.long
def test_a_second_jobs_front_after_ten_evaluations_is_at_least_the_first_ones_after_thirty(store):
    first = submit(store, job_document(budget={"trials": 30}, sampler="cost-aware"))[0]
    Worker(store, processes=2).run_job(first.id)
    second = submitted(store, {"jobs": [first.id]}, memory=True, seed=3, sampler="cost-aware", budget={"trials": 10})
    Worker(store, processes=2).run_job(second.id)
    before, after = (view_of(store, store.job(job.id)) for job in (first, second))
    assert after.hypervolume >= before.hypervolume
    assert store.recalled_count(second.id) >= min(10, len(before.front))


def outside(space):
    rng = random.Random(0)
    return SearchSpace.bundled("text-encoder").for_task(space.task_shape).sample(rng).to_dict()


@pytest.mark.parametrize(
    ("start", "field", "words"),
    [
        ({"architectures": [{"family": "encoder"}]}, "start.architectures[0].", ""),
        ({"architectures": ["a-1"]}, "start.architectures[0]", ""),
        ({"architectures": [{"architecture": {}}]}, "start.architectures[0].architecture", ""),
        ({"jobs": ["j-none"]}, "start.jobs[0]", "nas jobs list"),
        ({"jobs": "j-none"}, "start.jobs", ""),
        ({"models": []}, "start.models", ""),
    ],
)
def test_what_is_no_start_is_refused_with_its_field_and_nothing_is_written(store, start, field, words):
    with pytest.raises(InvalidInput) as refused:
        submitted(store, start)
    assert any(problem.field.startswith(field) for problem in refused.value.problems)
    assert words in str(refused.value)
    assert jobs_in(store) == []


def test_an_architecture_outside_the_space_or_over_a_limit_is_refused(store, present):
    space = RecordingWorker(store, submit(store, job_document())[0]).context.space
    before = len(jobs_in(store))
    with pytest.raises(InvalidInput, match="an architecture of the space smoke"):
        submitted(store, {"architectures": [outside(space)]})
    largest = max(space.enumerate(), key=lambda a: costs_of(a, Workload(input_length=16)).parameters)
    with pytest.raises(InvalidInput, match="parameters <= 24000: it has"):
        submitted(store, {"architectures": [present[0].to_dict(), largest.to_dict()]})
    assert len(jobs_in(store)) == before


def test_a_job_whose_front_has_nothing_to_offer_is_refused(store):
    empty = submit(store, job_document())[0]
    with pytest.raises(InvalidInput, match=r"whose front \(of 0\) has a member in the space smoke"):
        submitted(store, {"jobs": [empty.id]})


def test_stacks_stay_as_they_are_in_another_task_shape(present):
    shape = present[0].task_shape.__class__(300, 7, 99)
    other = present[0].for_task(shape)
    assert other.task_shape == shape
    assert other.encoder == present[0].encoder
    assert Architecture.from_dict(other.to_dict()) == other
    assert other.for_task(present[0].task_shape) == present[0]
