"""The fidelity report, its figures worked out independently, of trainings recorded through the store."""

import random
import statistics

import numpy as np
import pytest
from api_examples import RecordingWorker, job_document
from scipy.stats import kendalltau, spearmanr

from nas.jobs.catalogue import submit
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.fidelity_report import fidelity_of
from nas.jobs.report import describe_job, describe_trial
from nas.jobs.view import view_of
from nas.store.records import JobState, RetrainingKey, RetrainingOutcome

FULL = 40
REFERENCE = {"point": {"error_rate": 1.0, "parameters": 24000.0}, "ideal": {"error_rate": 0.0, "parameters": 0.0}}


class Job:
    """A job with as many complete trials as error rates, in the order of their parameters."""

    def __init__(self, store, errors, **changes):
        document = job_document(budget={"trials": len(errors)}, **changes)
        self.worker = RecordingWorker(store, submit(store, document)[0])
        chosen = sorted(self.worker.feasible[: len(errors)], key=lambda a: self.worker.context.costs(a)["parameters"])
        self.worker.feasible[: len(errors)] = chosen
        self.store, self.id, self.errors = store, self.worker.job.id, errors
        store.set_reference(self.id, self.worker.job.lease_token, REFERENCE)
        for error in errors:
            self.worker.complete(error, weights=True)

    @property
    def record(self):
        return self.store.job(self.id)

    def costs(self, name="parameters"):
        return [trial.metrics[name] for trial in self.store.trials(self.id)]

    def retrain(self, trial, seed, short, full, test=None, **more):
        self.worker.retrain(RetrainingKey(trial, FULL, seed), {3: short, FULL: full}, test, **more)

    def end(self):
        self.store.finish_job(self.id, self.worker.job.lease_token, JobState.SUCCEEDED, "done")

    def report(self):
        return fidelity_of(self.store, self.record)


def test_a_job_that_nobody_finished_says_that_nobody_knows(store):
    job = Job(store, [0.5, 0.4, 0.3])
    job.end()
    report = job.report()
    assert report["status"] == "unchecked"
    assert "take it as a proxy" in report["words"][0]
    assert f"nas jobs finish {job.id}" in report["words"][0]
    assert (report["rungs"], report["ties"], report["finish"], report["beats_parameters"]) == ([], None, None, None)


def test_the_agreement_is_that_of_the_sample_with_its_training_in_full(store):
    rng = random.Random(3)
    errors = [0.9 - 0.02 * i + 0.08 * rng.random() for i in range(12)]
    job = Job(store, errors)
    job.worker.finish(steps=FULL, seeds=1, sample=12, members=1)
    full = [error - 0.3 + 0.06 * rng.random() for error in errors]
    confidence = [rng.random() for _ in errors]
    for i, (short, long) in enumerate(zip(errors, full, strict=True)):
        job.retrain(i, 0, short, long, confidence=confidence[i] if i else None)
    assert job.report()["status"] == "running"
    job.end()
    report = job.report()
    assert (report["status"], report["sample"], report["full_steps"]) == ("checked", list(range(12)), FULL)
    (rung,) = report["rungs"]
    assert rung["steps"] == 3
    assert rung["overall"]["tau"] == pytest.approx(kendalltau(errors, full).statistic)
    assert rung["overall"]["spearman"] == pytest.approx(spearmanr(errors, full).statistic)
    assert rung["overall"]["tau_low"] <= rung["overall"]["tau"] <= rung["overall"]["tau_high"]
    costs = job.costs("parameters_without_embeddings")
    order = np.argsort(costs, kind="stable")
    within = [kendalltau([errors[i] for i in rows], [full[i] for i in rows]).statistic for rows in np.split(order, 3)]
    assert rung["within_strata"]["tau"] == pytest.approx(statistics.fmean(within))
    free = {each["name"]: each for each in report["beside"]}
    assert free["parameters only"]["overall"]["tau"] == pytest.approx(kendalltau([-c for c in costs], full).statistic)
    widths = [t.architecture["encoder"]["hidden_size"] for t in store.trials(job.id)]
    assert free["width only"]["overall"]["tau"] == pytest.approx(kendalltau([-w for w in widths], full).statistic)
    decided = kendalltau([-c for c in confidence[1:]], full[1:]).statistic
    assert free["head confidence"]["overall"]["tau"] == pytest.approx(decided)
    assert free["head confidence"]["overall"]["candidates"] == 11
    tau, plain = rung["overall"]["tau"], free["parameters only"]["overall"]["tau"]
    assert report["beats_parameters"] == (tau > plain)
    assert any(f"τ {tau:.2f}" in words for words in report["words"])


@pytest.mark.parametrize(("flipped", "beats"), [(False, False), (True, True)])
def test_a_proxy_that_does_not_beat_parameters_is_flagged_in_plain_words(store, flipped, beats):
    errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    job = Job(store, errors)
    job.worker.finish(steps=FULL, seeds=1, sample=6, members=1)
    # Against the order of parameters the score knows more than they do; with it, they say the same for nothing
    full = [0.1 * i for i in range(1, 7)] if flipped else [e - 0.2 for e in errors]
    for i, long in enumerate(full):
        job.retrain(i, 0, long + 0.2, long)
    job.end()
    report = job.report()
    assert report["beats_parameters"] is beats
    flagged = [words for words in report["words"] if "no better than ranking by parameters alone" in words]
    assert bool(flagged) is not beats


def test_fewer_than_four_are_no_sample(store):
    job = Job(store, [0.9, 0.8, 0.7])
    job.worker.finish(steps=FULL, seeds=1, sample=3, members=1)
    for i in range(3):
        job.retrain(i, 0, 0.8, 0.5)
    job.end()
    report = job.report()
    assert report["rungs"] == report["beside"] == []
    assert report["words"][0].startswith("Too few of the sample were trained in full (3, at least 4")


def test_the_noise_is_pooled_over_architectures_and_ties_are_closer_than_it_can_tell(store):
    errors = [0.60, 0.50, 0.49, 0.30]
    job = Job(store, errors)
    job.worker.finish(steps=FULL, seeds=3, sample=0, members=4)
    shorts = {0: [0.60, 0.58, 0.62], 1: [0.50, 0.51, 0.49], 2: [0.49, 0.50, 0.48], 3: [0.30, 0.30, 0.33]}
    for seed in range(3):
        for trial, values in shorts.items():
            job.retrain(trial, seed, values[seed], 0.2, test=0.25)
    job.end()
    report = job.report()
    pooled = (sum(statistics.variance(values) for values in shorts.values()) / 4) ** 0.5
    short, full = report["noise"]
    assert (short["steps"], short["degrees"]) == (3, 8)
    assert short["deviation"] == pytest.approx(pooled)
    assert full == {"steps": FULL, "deviation": pytest.approx(0.0), "degrees": 8}
    apart = 2 * 2**0.5 * pooled
    wanted = [
        {"trial": i, "tied_with": [j for j in (3, 2, 1, 0) if j != i and abs(errors[i] - errors[j]) < apart]}
        for i in (3, 2, 1, 0)
    ]
    assert sorted(report["ties"], key=lambda t: t["trial"]) == sorted(
        ({**t, "tied_with": sorted(t["tied_with"])} for t in wanted if t["tied_with"]), key=lambda t: t["trial"]
    )
    assert {"trial": 1, "tied_with": [2]} in report["ties"]
    assert any(words.startswith("Members ") and "1" in words for words in report["words"])


def test_the_choice_is_held_against_all_that_was_trained_in_full(store):
    # By the proxy the front is 0, 1 and 4; trained in full, 2 is better than 1 for a little more, and 3 than 4
    errors, full = [0.60, 0.50, 0.70, 0.55, 0.40], [0.50, 0.45, 0.35, 0.30, 0.32]
    job = Job(store, errors)
    assert sorted(view_of(store, job.record).front) == [0, 1, 4]
    job.worker.finish(steps=FULL, seeds=1, sample=5, members=3)
    for i, long in enumerate(full):
        job.retrain(i, 0, errors[i], long)
    job.end()
    choice = job.report()["finish"]["choice"]
    costs = job.costs()
    assert len(set(costs)) == 5

    def volume(chosen):
        """Area of the union of boxes between each point and the reference, one strip of error a cost."""
        points = sorted((costs[i] / 24000, full[i]) for i in chosen)
        area, best = 0.0, 1.0
        for (cost, error), (following, _) in zip(points, [*points[1:], (1.0, 0.0)], strict=True):
            best = min(best, error)
            area += (following - cost) * (1 - best)
        return area

    assert choice["hypervolume_kept"] == pytest.approx(volume([0, 1, 4]) / volume(range(5)))
    # The best in full: 0, 1, 2, 3. At no more cost than 2 the front has 1, 0.10 worse; than 3 it has 1, 0.15 worse
    assert choice["regret"] == pytest.approx((0 + 0 + 0.10 + 0.15) / 4)
    assert choice["largest_regret"] == pytest.approx(0.15)
    assert (choice["trained"], choice["chosen"]) == (5, 3)


def test_labels_go_where_the_number_goes(store):
    job = Job(store, [0.60, 0.40])
    before = describe_trial(job.record, store.trial(job.id, 1), view_of(store, job.record))
    assert [q["label"] for q in before["qualities"]] == ["proxy"]
    job.worker.finish(steps=FULL, seeds=2, sample=0, members=2)
    job.retrain(1, 0, 0.4, 0.30, test=0.33, weights=True)
    job.retrain(1, 1, 0.4, 0.26, test=0.35, weights=True)
    job.end()
    view = view_of(store, job.record)
    proxy, trained, tested = describe_trial(job.record, store.trial(job.id, 1), view)["qualities"]
    assert (proxy["label"], proxy["steps"], proxy["metrics"]["error_rate"]) == ("proxy", 3, 0.40)
    assert (trained["label"], trained["split"], trained["steps"], trained["seeds"]) == ("trained", "validation", 40, 2)
    assert trained["metrics"]["error_rate"] == pytest.approx(0.28)
    assert trained["deviations"]["error_rate"] == pytest.approx(statistics.stdev([0.30, 0.26]))
    assert (tested["label"], tested["split"]) == ("tested", "test")
    assert tested["metrics"]["error_rate"] == pytest.approx(0.34)
    assert describe_job(store, job.record)["objectives"][0]["label_of_quality"] == "proxy"
    # What is delivered is the seed that is best on validation, with what that one was tested
    trial = store.trial(job.id, 1)
    config = config_of(store, job.record, trial, None)
    assert config["quality"] == {
        "metric": "error_rate",
        "label": "tested",
        "split": "test",
        "metrics": {"error_rate": 0.35, "loss": 1.1},
    }
    assert (config["training"]["plan"]["steps"], config["training"]["seed"]) == (40, 1)
    content, sha256 = weights_of(store, job.record, trial)
    assert config["weights"]["sha256"] == sha256 != trial.weights_sha256
    assert store.artifact(sha256) == content
    other = config_of(store, job.record, store.trial(job.id, 0), None)
    assert (other["quality"]["label"], other["quality"]["split"]) == ("proxy", "validation")


def test_a_training_that_failed_is_told_with_its_reason(store):
    job = Job(store, [0.60, 0.40])
    job.worker.finish(steps=FULL, seeds=1, sample=0, members=2)
    job.retrain(1, 0, 0.4, 0.30)
    key = RetrainingKey(0, FULL, 0)
    store.start_retraining(job.id, job.worker.job.lease_token, key)
    outcome = RetrainingOutcome(1.0, error="TrainingDiverged: the loss is nan at step 7 of 40")
    store.end_retraining(job.id, job.worker.job.lease_token, key, outcome)
    job.end()
    report = job.report()
    assert report["status"] == "incomplete"
    assert report["finish"]["failed"] == [
        {"trial": 0, "seed": 0, "error": "TrainingDiverged: the loss is nan at step 7 of 40"}
    ]
    progress = describe_job(store, job.record)["progress"]["finish"]
    assert progress == {"steps": 40, "trainings": 2, "complete": 1, "running": 0, "failed": 1}
