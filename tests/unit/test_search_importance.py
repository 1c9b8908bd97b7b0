"""How much a choice explains alone: against functions whose parts of the variance are known."""

import numpy as np
import pytest
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.costs import VectorisedCosts, costs_of
from nas.search.cost_aware import SpaceCandidates
from nas.search.importance import explained
from nas.search.objectives import MetricInfo, cost_metrics

RNG = np.random.default_rng(0)
A, B, C = (RNG.integers(0, count, 20_000).astype(float)[:, None] for count in (2, 3, 5))


def test_a_choice_explains_its_part_of_a_sum():
    # Variances of 2 A, B² and noise: 1, 26/9 and 1
    values = 2 * A[:, 0] + B[:, 0] ** 2 + RNG.normal(0, 1, len(A))
    total = 1 + 26 / 9 + 1
    assert explained(A, values) == pytest.approx(1 / total, abs=0.01)
    assert explained(B, values) == pytest.approx(26 / 9 / total, abs=0.01)
    assert explained(C, values) == pytest.approx(0, abs=0.001)
    assert explained(np.hstack([A, B]), values) == pytest.approx((1 + 26 / 9) / total, abs=0.01)


def test_what_only_acts_together_explains_nothing_alone():
    values = (2 * A[:, 0] - 1) * (B[:, 0] - 1)
    assert explained(A, values) == pytest.approx(0, abs=0.001)
    assert explained(np.hstack([A, B]), values) == pytest.approx(1)


def test_many_groups_of_few_candidates_do_not_explain_noise():
    rng = np.random.default_rng(1)
    found = [explained(rng.integers(0, 20, (40, 1)).astype(float), rng.normal(size=40)) for _ in range(200)]
    assert np.mean(found) < 0.12  # without the adjustment it would be 19 / 39
    assert explained(np.arange(20.0)[:, None], rng.normal(size=20)) == 0


def test_numbers_of_many_values_explain_what_a_line_does():
    x = RNG.uniform(-1, 1, (5_000, 2))
    values = 3 * x[:, 0] + x[:, 1] + RNG.normal(0, 1, len(x))
    assert explained(x[:, :1], values) == pytest.approx(3 / (3 + 1 / 3 + 1), abs=0.03)
    assert explained(x, values) == pytest.approx((3 + 1 / 3) / (3 + 1 / 3 + 1), abs=0.03)


def test_values_all_alike_leave_nothing_to_explain():
    assert explained(A, np.full(len(A), 0.1)) == 0


@pytest.mark.parametrize("name", SMALL_SPACES)
def test_every_choice_of_a_space_is_named_once_and_described_by_its_own_features(name):
    space = small_space(name)
    metrics = {"loss": MetricInfo("loss", "Loss", "minimize", "", False), **cost_metrics((), space.family)}
    objectives = (metrics["loss"], metrics["macs"])
    source = SpaceCandidates(space, objectives, (), VectorisedCosts(space, workload_of(space)).of)
    columns = source.features_by_choice
    told = np.concatenate(list(columns.values()))
    assert len(set(told)) == len(told)
    assert told.max() < len(source.feature_groups)
    rows = source.spread(400, np.random.default_rng(0))
    features = source.features(rows)
    for stack in space.stacks:
        prefix = f"{stack}." if len(space.stacks) > 1 else ""
        assert (f"{prefix}depth" in columns) == (len(space.choices(stack).depth) > 1)
        if f"{prefix}depth" in columns:
            described = features[:, columns[f"{prefix}depth"]]
            assert explained(described, described[:, 0]) == pytest.approx(1)


def test_architectures_become_the_rows_that_they_are_sampled_as():
    space = small_space("small-encoder")
    metrics = {"loss": MetricInfo("loss", "Loss", "minimize", "", False), **cost_metrics((), space.family)}
    exact = VectorisedCosts(space, workload_of(space))
    source = SpaceCandidates(space, (metrics["loss"], metrics["macs"]), (), exact.of)
    architectures = [space.architecture(g) for g in list(space.genotypes())[::97]]
    rows = source.rows_of(architectures)
    assert source.known(rows)[:, 0].tolist() == [costs_of(a, workload_of(space)).macs for a in architectures]
