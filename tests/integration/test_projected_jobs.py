"""Jobs that rank by projected metrics, from their submission to what is finished, recalled and taken away."""

import json

import pytest
from api_examples import job_document

from nas.errors import InvalidInput
from nas.export.config import read_config
from nas.export.rebuild import rebuild
from nas.jobs.catalogue import submit
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.fidelity_report import fidelity_of
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.quality.datasets import dataset_info
from nas.store.records import JobState, TrialState

TASK = {
    "dataset": "language-identification",
    "metric": "projected_error_rate",
    "training": {"steps": 12, "batch_size": 8},
}
PROJECTED = {"projected_error_rate", "projected_loss"}
JOB = {"task": TASK, "objectives": ["projected_error_rate", "macs"], "constraints": [], "budget": {"trials": 6}}

pytestmark = pytest.mark.usefixtures("cache")


def ended(store, **changes):
    job, _ = submit(store, job_document(**JOB | changes))
    job = Worker(store, processes=2).run_job(job.id)
    assert job.state is JobState.SUCCEEDED, job.reason
    return job


def rebuilt_rows(store, job, trial):
    config = read_config(json.dumps(config_of(store, job, trial, None)))
    rebuilt = rebuild(config, weights=weights_of(store, job, trial)[0], measure_latency=False)
    assert rebuilt.agrees, rebuilt.to_dict()
    return config, {row.name.partition(" ")[0]: row for row in rebuilt.rows}


def test_a_job_ranks_by_what_its_candidates_are_expected_to_come_to(store):
    job = ended(store)
    chance = dataset_info("language-identification").chance["error_rate"]
    assert job.reference["point"]["projected_error_rate"] == chance
    trials = store.trials(job.id, state=TrialState.COMPLETE)
    assert len(trials) == 6
    for trial in trials:
        assert trial.metrics.keys() >= PROJECTED | {"error_rate", "loss"}
        assert trial.training["steps_taken"] == 12 + 2  # the decay of a score after six
    view = view_of(store, job)
    assert set(view.front) <= {trial.number for trial in trials}
    config, rows = rebuilt_rows(store, job, next(t for t in trials if t.number == view.front[0]))
    assert config.quality.metric == "projected_error_rate"
    assert rows["error_rate"].agrees
    assert "projected_error_rate" not in rows  # no weights could keep it


def test_after_a_training_in_full_nothing_more_is_to_come(store):
    job = ended(store, promotion={"rungs": 2, "cohort": 3}, finish={"seeds": 2, "sample": 2, "members": 1})
    records = store.retrainings(job.id)
    rungs = {trial.number: trial.training["rungs"] for trial in store.trials(job.id) if trial.training}
    for record in records:
        *before, last = (score["metrics"] for score in record.scores)
        assert {last[name] == last[name.removeprefix("projected_")] for name in PROJECTED} == {True}
        tested = record.test_metrics
        assert {tested[name] == tested[name.removeprefix("projected_")] for name in PROJECTED} == {True}
        if record.key.seed == 0:  # the search's
            for rung, metrics in zip(rungs[record.key.trial], before, strict=False):
                assert metrics == {name: rung["metrics"][name] for name in metrics}
                assert metrics.keys() >= PROJECTED
    report = fidelity_of(store, job)
    assert report["status"] == "checked"
    assert 0 < report["promotion"]["saved"] < 1
    number = records[0].key.trial
    config, rows = rebuilt_rows(store, job, next(t for t in store.trials(job.id) if t.number == number))
    assert config.quality.label == "tested"
    assert rows["projected_error_rate"].agrees


def test_a_score_is_recalled_where_it_was_projected_as_well(store):
    plain = {
        "task": {**TASK, "metric": "error_rate"},
        "objectives": ["error_rate", "macs"],
        "sampler": "random",
        "memory": True,
    }
    first = ended(store, **plain)
    second, third = ended(store, sampler="random", memory=True), ended(store, **plain, name="again")

    def scored(job):
        return {t.architecture_id: t for t in store.trials(job.id, state=TrialState.COMPLETE)}

    assert scored(first).keys() == scored(second).keys() == scored(third).keys()
    assert not any("recalled" in trial.training for trial in scored(second).values())
    assert all("recalled" in trial.training for trial in scored(third).values())
    for architecture, trial in scored(second).items():
        assert trial.metrics["error_rate"] == scored(first)[architecture].metrics["error_rate"]
    again = ended(store, sampler="random", memory=True, name="projected again")
    assert {a: t.metrics for a, t in scored(again).items()} == {a: t.metrics for a, t in scored(second).items()}
    assert all(trial.training["recalled"]["job"] == second.id for trial in scored(again).values())


def test_a_limit_alone_asks_for_projections(store):
    limit = "projected_loss <= 0.5"
    plain = {"task": {**TASK, "metric": "error_rate"}, "objectives": ["error_rate", "macs"]}
    job = ended(store, **plain, constraints=[limit])
    trials = store.trials(job.id, state=TrialState.COMPLETE)
    assert all(trial.metrics["projected_loss"] > 0.5 for trial in trials)
    assert list(view_of(store, job).front) == []  # nobody keeps it


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"task": {**TASK, "metric": "projected_accuracy"}}, "task.metric", "projected_error_rate"),
        ({"promotion": {"rungs": 2, "reduction": 1.5}}, "promotion.reduction", "at least 2"),
        ({"objectives": ["projected_macs", "macs"]}, "objectives[0]", "projected_error_rate"),
    ],
)
def test_what_can_not_be_projected_is_refused_with_its_field(store, changes, field, allowed):
    with pytest.raises(InvalidInput) as refused:
        submit(store, job_document(**JOB | changes))
    problem = next(p for p in refused.value.problems if p.field == field)
    assert allowed in problem.allowed
