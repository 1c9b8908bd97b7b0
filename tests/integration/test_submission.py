"""Submitting a job: what is pinned, what a retry gets, and which limits are refused before anything is written."""

import pytest

from nas.costs import Bounds, reach
from nas.errors import Conflict, InvalidInput
from nas.jobs.catalogue import reach_of, submit
from nas.jobs.context import JobContext
from nas.jobs.inventory import add_device, add_table
from nas.space import SearchSpace
from nas.workload import Workload
from tests.integration.api_examples import device_document, job_document, latency_table


def test_a_retry_with_the_same_key_gets_the_first_job_and_another_job_a_conflict(store):
    first, created = submit(store, job_document(), "key")
    assert created
    assert submit(store, job_document(), "key") == (first, False)
    with pytest.raises(Conflict, match=first.id):
        submit(store, job_document(seed=1), "key")
    assert len(store.jobs()[0]) == 1


def test_a_retry_finds_a_job_of_a_release_whose_documents_had_fewer_fields(store):
    given = {name: value for name, value in job_document().items() if name != "memory"}
    kept = submit(store, given)[0].document
    older = {name: value for name, value in kept["spec"].items() if name not in ("memory", "start")}
    earlier, _ = store.add_job("older", {**kept, "spec": older}, "key")
    assert submit(store, given, "key") == (earlier, False)
    with pytest.raises(Conflict, match=earlier.id):
        submit(store, {**given, "memory": False}, "key")


def test_a_job_pins_its_space_its_data_and_every_default(store):
    job, _ = submit(store, job_document())
    assert job.document["search_space"] == SearchSpace.bundled("smoke").to_document()
    assert job.document["task_shape"] == {
        "vocabulary_size": 259,
        "outputs": 35,
        "max_length": 16,
        "max_output_length": 0,
        "task": "classification",
    }
    assert len(job.document["dataset"]["sha256"]) == 64
    assert job.document["spec"]["task"]["training"]["learning_rate"] == 3e-3


@pytest.mark.parametrize(
    ("metric", "operator", "side"),
    [("parameters", "<=", 0), ("parameters", ">=", 1), ("macs", "<=", 0), ("size_mb", ">=", 1)],
)
def test_a_limit_that_nothing_meets_is_refused_with_a_value_that_can_be_met(store, metric, operator, side):
    document = job_document()
    job, _ = submit(store, document)  # so that the shape of the task is known
    space = SearchSpace.bundled("smoke").for_task(
        type(SearchSpace.bundled("smoke").task_shape)(**job.document["task_shape"])
    )
    extreme = reach(space, metric, Workload(input_length=16))[side][0]
    beyond = extreme * 0.9 if operator == "<=" else extreme * 1.1
    with pytest.raises(InvalidInput) as caught:
        submit(store, {**document, "constraints": [f"{metric} {operator} {beyond}"]})
    (problem,) = caught.value.problems
    assert problem.field == "constraints[0]"
    suggested = problem.next_step.split("change the limit to ")[1].split(", or")[0]
    assert submit(store, {**document, "constraints": [suggested]})[1]


def test_every_wrong_name_is_told_at_once_and_nothing_is_written(store):
    document = job_document(
        search_space="huge", task={"dataset": "imagenet", "metric": "error_rate"}, devices=["toaster"]
    )
    with pytest.raises(InvalidInput) as caught:
        submit(store, document)
    assert {p.field for p in caught.value.problems} == {"search_space", "task.dataset", "devices[0]"}
    assert store.jobs() == ([], None)


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"trials": 0}, "budget.trials"),
        ({"trials": -3}, "budget.trials"),
        ({}, "budget.trials"),
        ({"trials": 5, "hours": 0}, "budget.hours"),
        ({"trials": 2.5}, "budget.trials"),
        ({"trials": "many"}, "budget.trials"),
        ({"trials": True}, "budget.trials"),
    ],
)
def test_a_wrong_budget_is_refused_by_field(store, budget, field):
    with pytest.raises(InvalidInput) as caught:
        submit(store, job_document(budget=budget))
    assert caught.value.problems[0].field == field


def test_a_missing_budget_is_refused_by_field(store):
    document = job_document()
    del document["budget"]
    with pytest.raises(InvalidInput) as caught:
        submit(store, document)
    assert caught.value.problems[0].field == "budget"


def test_a_bound_of_latency_is_an_objective_and_a_limit_like_the_latency_itself(store):
    workload = Workload(input_length=16)
    space = SearchSpace.bundled("smoke")
    space = space.for_task(type(space.task_shape)(259, 35, 16))
    add_device(store, device_document())
    add_table(store, "bench-board", latency_table("bench-board", space, workload))
    upper = "latency_upper_ms@bench-board"
    document = job_document(devices=["bench-board"], objectives=["error_rate", upper], constraints=[])
    job, _ = submit(store, document)
    context = JobContext.load(store, job.document)
    values = [context.costs(a)[upper] for a in context.space.enumerate()]
    assert reach_of(context, Bounds(context.space, context.spec.workload), upper) == (min(values), max(values))
    with pytest.raises(InvalidInput, match=r"constraints\[0\]"):
        submit(store, {**document, "constraints": [f"{upper} <= {min(values) / 2}"]})


def test_limits_that_can_each_be_met_but_not_together_are_refused_with_what_can_be(store):
    document = job_document(constraints=["parameters <= 7000", "macs >= 1e5"])
    with pytest.raises(InvalidInput) as caught:
        submit(store, document)
    (problem,) = caught.value.problems
    assert problem.field == "constraints[1]"
    assert "together with parameters <= 7000" in problem.allowed
    nearest = float(problem.next_step.split(">= ")[1].split(",")[0])
    context = _context(store)
    every = [context.costs(a) for a in context.space.enumerate()]
    assert any(c["macs"] >= 1e5 for c in every)
    assert any(c["parameters"] <= 7000 for c in every)
    assert nearest == max(c["macs"] for c in every if c["parameters"] <= 7000)
    submit(store, job_document(constraints=["parameters <= 7000", f"macs >= {nearest:.0f}"]))
    assert len(store.jobs()[0]) == 2


def _context(store):
    job, _ = submit(store, job_document(constraints=[]))
    return JobContext.load(store, job.document)


def test_a_space_of_models_that_do_another_task_is_refused_with_those_that_do_this_one(store):
    for name in ("causal-decoder", "seq2seq"):
        with pytest.raises(InvalidInput) as caught:
            submit(store, job_document(search_space=name))
        (problem,) = caught.value.problems
        assert problem.field == "search_space"
        assert "text-encoder" in problem.allowed
    assert store.jobs() == ([], None)


def test_a_limit_on_a_cost_that_encoders_do_not_have_is_refused_with_those_they_have(store):
    for metric in ("kv_cache_mb", "macs_step"):
        with pytest.raises(InvalidInput) as caught:
            submit(store, job_document(constraints=[f"{metric} <= 1"]))
        assert caught.value.problems[0].field == "constraints[0]"
        assert "peak_activation_mb" in caught.value.problems[0].allowed


def test_new_costs_are_limits_and_objectives_like_the_old(store):
    limits = ["size_int8_mb <= 0.02", "peak_activation_mb <= 0.03"]
    job, _ = submit(store, job_document(objectives=["error_rate", "peak_activation_mb"], constraints=limits))
    context = JobContext.load(store, job.document)
    assert {"size_int8_mb", "peak_activation_mb"} <= set(context.costs(next(context.space.enumerate())))
