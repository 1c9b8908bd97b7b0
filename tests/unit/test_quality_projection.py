"""Projected scores: what they come to, that they change nothing else, and that a kill on the way changes no bit."""

import random

import pytest
import torch

from nas.export.weights import weights_to_bytes
from nas.quality import training
from nas.quality.datasets import load_dataset
from nas.quality.plan import TrainingPlan
from nas.quality.projection import as_projected, half_of, projected
from nas.quality.schedule import decay_start
from nas.quality.task_shapes import task_shape
from nas.quality.training import Trunk, train
from nas.space import SearchSpace
from nas.workload import Workload

WORKLOAD = Workload(input_length=24)
STEPS = 60
METRICS = {"error_rate", "loss"}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("language-identification")


@pytest.fixture(scope="module")
def architecture(dataset):
    return SearchSpace.bundled("smoke").for_task(task_shape(dataset.info, WORKLOAD)).sample(random.Random(0))


def trunk(architecture, dataset, **options):
    plan = TrainingPlan(steps=STEPS, batch_size=8)
    return Trunk(architecture, dataset, plan, workload=WORKLOAD, seed=0, **options)


def test_with_each_doubling_half_of_what_the_last_one_brought_is_to_come():
    half, full = 0.5, 0.4
    value, gain = full, half - full
    for _ in range(3):  # eight times as long
        gain /= 2
        value -= gain
    assert projected({"error_rate": half}, {"error_rate": full}) == {"projected_error_rate": pytest.approx(value)}
    assert projected({"error_rate": full}, {"error_rate": half})["projected_error_rate"] > half


def test_no_projection_is_better_than_perfect_or_worse_than_useless():
    assert projected({"error_rate": 0.9}, {"error_rate": 0.1}) == {"projected_error_rate": 0.0}
    assert projected({"error_rate": 0.1}, {"error_rate": 0.9}) == {"projected_error_rate": 1.0}
    assert as_projected({"loss": 2.5}) == {"projected_loss": 2.5}


def test_projecting_changes_no_bit_of_the_score_itself_and_takes_one_more_decay(architecture, dataset):
    plain, other = trunk(architecture, dataset).score_at(STEPS), trunk(architecture, dataset, projects=True)
    ours = other.score_at(STEPS)
    assert weights_to_bytes(ours.state) == weights_to_bytes(plain.state)
    assert ours.history == plain.history
    assert set(plain.metrics) == METRICS
    assert {name: ours.metrics[name] for name in METRICS} == plain.metrics
    half = trunk(architecture, dataset).score_at(half_of(STEPS)).metrics
    assert ours.metrics == plain.metrics | projected(half, plain.metrics)
    assert ours.steps_taken == STEPS + half_of(STEPS) - decay_start(half_of(STEPS))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_are_projected_too(architecture, dataset, steps):
    plan = TrainingPlan(steps=steps, batch_size=8)
    metrics = train(architecture, dataset, plan, workload=WORKLOAD, seed=0, projects=True).metrics
    assert set(metrics) == METRICS | {f"projected_{name}" for name in METRICS}
    if steps == 1:
        assert metrics["projected_loss"] == metrics["loss"]


@pytest.mark.parametrize("at", [1, 17, 18, 19, 30, 36, 50])
def test_a_killed_training_goes_on_and_is_projected_as_if_undisturbed(architecture, dataset, tmp_path, monkeypatch, at):
    monkeypatch.setattr(training, "CHECKPOINT_S", 0.0)
    file = tmp_path / "trunk.safetensors"
    undisturbed = trunk(architecture, dataset, projects=True).score_at(STEPS)

    def killed_at(step, _):
        if step == at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        trunk(architecture, dataset, checkpoint=file, projects=True).score_at(STEPS, killed_at)
    resumed = trunk(architecture, dataset, checkpoint=file, projects=True)
    found = resumed.step
    assert found == min(at, decay_start(STEPS))
    result = resumed.score_at(STEPS)
    assert result.metrics == undisturbed.metrics
    assert weights_to_bytes(result.state) == weights_to_bytes(undisturbed.state)
    # Behind the branch at half the steps, that is not taken again
    branch = half_of(STEPS) - decay_start(half_of(STEPS)) if at <= decay_start(half_of(STEPS)) else 0
    assert result.steps_taken == STEPS - found + branch


def test_a_trunk_that_has_passed_half_without_a_score_there_is_begun_anew(architecture, dataset, tmp_path, caplog):
    file = tmp_path / "trunk.safetensors"
    trunk(architecture, dataset, checkpoint=file).score_at(STEPS)
    resumed = trunk(architecture, dataset, checkpoint=file, projects=True)
    assert resumed.step == 0
    assert "beyond a score after 30 steps, from which another is projected" in caplog.text
    assert resumed.score_at(STEPS).metrics == trunk(architecture, dataset, projects=True).score_at(STEPS).metrics


@pytest.mark.parametrize("rungs", [(15, 30, 60), (7, 20, 60), (6, 13, 26, 53)])
def test_every_rung_is_projected_as_by_training_straight_there(architecture, dataset, tmp_path, rungs):
    """Each rung in a process of its own, as in a job, and all by one trunk."""
    file, climbing = tmp_path / "trunk.safetensors", trunk(architecture, dataset, first_rung=rungs[0], projects=True)
    for steps in rungs:
        straight = trunk(architecture, dataset, first_rung=rungs[0], projects=True).score_at(steps)
        on_the_way = trunk(
            architecture, dataset, first_rung=rungs[0], projects=True, checkpoint=file, for_steps=steps
        ).score_at(steps)
        assert on_the_way.metrics == straight.metrics == climbing.score_at(steps).metrics
        assert on_the_way.steps_taken < straight.steps_taken or steps == rungs[0]
