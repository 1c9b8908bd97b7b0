"""Candidates as rows: every source describes its space faithfully, and the pool covers its costs."""

import math
import random

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.costs import VectorisedCosts, costs_of, reach
from nas.search.cost_aware import Condition, DistributionCandidates, SpaceCandidates
from nas.search.cost_aware.candidates import distinct, keys_of
from nas.search.cost_aware.features import Column, FeatureMap
from nas.search.cost_aware.observations import Observations, checkpoint, learnt_from, reference_of
from nas.search.cost_aware.pool import pool_of
from nas.search.objectives import MetricInfo, cost_metrics, parse_constraint
from nas.space import SearchSpace
from nas.workload import Workload

PLAIN = {
    "a": IntDistribution(1, 3),
    "b": CategoricalDistribution(["x", "y", None]),
    "c": FloatDistribution(0.0, 1.0, step=0.25),
    "d": IntDistribution(2, 8, log=True),
}
CONDITIONS = {"c": Condition("a", [2, 3]), "d": Condition("b", ["x", None])}


def total(many):
    return [p["a"] + p.get("c", 0) for p in many]


def source_of(name, limits=()):
    space = small_space(name) if name in SMALL_SPACES else SearchSpace.bundled(name)
    workload = workload_of(space) if name in SMALL_SPACES else Workload(input_length=16)
    metrics = {"loss": MetricInfo("loss", "Loss", "minimize", "", False), **cost_metrics((), space.family)}
    constraints = tuple(parse_constraint(text, "limit", metrics) for text in limits)
    objectives = (metrics["loss"], metrics["macs"], metrics["parameters"])
    source = SpaceCandidates(space, objectives, constraints, VectorisedCosts(space, workload).of)
    return space, workload, source


def plain(conditions=CONDITIONS):
    return DistributionCandidates(PLAIN, {0: total}, None, conditions)


def test_a_conditional_space_is_counted_and_listed():
    rows = plain().all()
    assert plain().size == len(rows) == len(set(keys_of(rows))) == (1 + 2 * 5) * (1 + 2 * 7)
    assert plain({}).size == len(plain({}).all()) == 3 * 3 * 5 * 7


@pytest.mark.parametrize("make", [plain, *(lambda n=n: source_of(n)[2] for n in SMALL_SPACES)])
def test_rows_sampled_mutated_and_beside_are_candidates_and_survive_their_parameters(make):
    source, rng = make(), np.random.default_rng(0)
    rows = source.sample(60, rng)
    changed = source.mutate(rows, rng)
    beside = source.neighbours(rows[0], rng)
    assert not set(keys_of(beside)) & set(keys_of(rows[:1]))
    for row in np.concatenate([rows[:20], changed[:20], beside]):
        again = source.row_of(source.parameters_of(row))
        assert keys_of(again[None]) == keys_of(row[None])
    features = source.features(np.concatenate([rows, changed]))
    assert np.isfinite(features).all()
    assert features.shape[1] == len(source.feature_groups)
    assert np.abs(features).max() < 4


def test_listed_candidates_differ_in_their_features():
    for source in (plain(), source_of("small-decoder")[2]):
        rows = source.all()
        assert len(np.unique(np.round(source.features(rows), 9), axis=0)) == len(rows)


def test_parameters_that_are_no_candidate_have_no_row():
    assert plain().row_of({"a": 1, "b": "z"}) is None
    assert plain().row_of({"b": "y"}) is None
    assert source_of("smoke")[2].row_of({"depth": 1}) is None


@pytest.mark.parametrize("name", SMALL_SPACES)
def test_known_values_and_limits_are_those_of_single_architectures(name):
    space, workload, source = source_of(name, ("parameters <= 2000", "macs >= 6000"))
    rows = source.sample(25, np.random.default_rng(1))
    known, violation = source.known(rows), source.violation(rows)
    for row, values, broken in zip(rows, known, violation, strict=True):
        genotype = source._genotypes(row[None])[0]
        costs = costs_of(space.architecture(genotype), workload).named(space.family)
        assert values.tolist() == [costs["macs"], costs["parameters"]]
        assert broken == pytest.approx(max(0, costs["parameters"] / 2000 - 1) + max(0, 1 - costs["macs"] / 6000))


@pytest.mark.parametrize("name", SMALL_SPACES)
def test_neighbours_of_rows_are_those_of_architectures(name):
    space, _, source = source_of(name)
    architecture = space.sample(random.Random(2))
    row = source._rows(space.encode([architecture]))[0]
    expected = keys_of(source._rows(space.encode(space.neighbours(architecture))))
    assert sorted(keys_of(source.neighbours(row, np.random.default_rng(0)))) == sorted(expected)
    mutated = keys_of(source.mutate(np.repeat(row[None], 50, axis=0), np.random.default_rng(0)))
    assert set(mutated) <= {*expected, *keys_of(row[None])}
    assert len(set(mutated)) > 3


def test_features_and_costs_of_one_array_are_counted_once_and_never_those_of_another():
    _, _, source = source_of("smoke", ["parameters <= 3e4"])
    counted, metrics = [], source._metrics
    source._metrics = lambda encoded: counted.append(len(encoded)) or metrics(encoded)
    rng = np.random.default_rng(0)
    rows, others = source.sample(20, rng), source.sample(20, rng)
    found = [ask(rows) for ask in (source.features, source.known, source.violation)]
    assert counted == [20]
    assert not np.array_equal(source.known(others), found[1])
    assert all(
        np.array_equal(a, ask(rows.copy()))
        for a, ask in zip(found, (source.features, source.known, source.violation), strict=True)
    )
    assert counted == [20] * 5


def test_a_pool_reaches_from_the_cheapest_to_the_dearest_and_is_even_between():
    space, workload, source = source_of("text-encoder")
    pool = pool_of(source, np.random.default_rng(0))
    for column, name in enumerate(("macs", "parameters")):
        (least, _), (most, _) = reach(space, name, workload)
        assert pool.known[:, column].min() <= 1.1 * least
        assert pool.known[:, column].max() >= 0.9 * most
    counts = np.histogram(pool.position, bins=10)[0]
    assert counts.min() > 0.5 * counts.max()
    assert not pool.complete


def test_a_pool_keeps_narrow_limits_that_no_random_candidate_keeps():
    space, workload, _ = source_of("text-encoder")
    least = reach(space, "parameters", workload)[0][0]
    limit = f"parameters <= {int(1.3 * least)}"
    _, _, source = source_of("text-encoder", (limit,))
    assert (source.violation(source.sample(2000, np.random.default_rng(0))) > 0).all()
    pool = pool_of(source, np.random.default_rng(0))
    assert len(pool.rows) > 20
    assert (source.violation(pool.rows) == 0).all()


def test_a_small_space_is_its_own_pool():
    _, _, source = source_of("small-decoder")
    pool = pool_of(source, np.random.default_rng(0))
    assert pool.complete
    assert len(pool.rows) == source.size
    assert len(pool.unseen(set(keys_of(pool.rows[:5])))) == source.size - 5


def test_equal_candidates_have_equal_keys():
    rows = np.array([[0.0, np.nan], [-0.0, -np.nan], [1.0, np.nan]])
    assert distinct(rows).tolist() == [0, 2]
    assert distinct(rows, {keys_of(rows)[0]}).tolist() == [2]


def test_repeated_choices_stand_together_with_their_mean():
    columns = [Column.of_numbers(f"layers.{i}.size", (1, 2, 3)) for i in range(3)]
    columns.append(Column("kind", 0.0, 2.0, categories=3))
    features = FeatureMap(columns, costs=1)
    assert features.groups.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    found = features.of(np.array([[1.0, 3.0, np.nan, 1.0]]), np.array([[0.5]]))
    assert found[0].tolist() == [-1.0, 1.0, 0.0, 0.0, 0.0, math.sqrt(2), 0.0, 0.5]


def test_checkpoints_follow_from_the_count_alone_and_grow_apart():
    reached = sorted({checkpoint(count) for count in range(2, 3000)})
    assert all(checkpoint(count) == count for count in reached)
    assert reached[:18] == list(range(2, 20))
    assert max(np.diff(reached)) == 128


def test_of_many_observations_those_near_the_front_and_some_of_all_are_learnt_from():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (2000, 2))
    chosen = learnt_from(values, 0, (1,))
    assert len(chosen) == len(set(chosen)) == 256
    front = [i for i, v in enumerate(values) if not ((values <= v).all(axis=1) & (values < v).any(axis=1)).any()]
    assert set(front) <= set(chosen)
    assert chosen.max() > 1900
    assert chosen.min() < 100


def test_a_reference_is_beyond_all_but_what_is_far_out():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 5.0], [2.5, 8.0], [1e9, 9.0], [np.inf, 9.0]])
    reference = reference_of(values, np.array([[100.0]]), (1,))
    assert 3.0 < reference[0] < 4.0
    assert reference[1] > 100.0


def test_observations_know_their_number():
    assert len(Observations(np.arange(3), np.zeros((3, 1)), np.zeros((3, 2)))) == 3
