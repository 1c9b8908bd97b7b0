"""The expected hypervolume improvement in closed form, against Monte Carlo and integrals done otherwise."""

import moocore
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from nas.search.cost_aware.improvement import cells_of, expected_hypervolume_improvement, expected_improvement


def volume(points, reference):
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def improvement(front, point, reference):
    return volume(np.vstack([front, point]), reference) - volume(front, reference)


def monte_carlo(front, mean, std, reference, draws=4000):
    rng = np.random.default_rng(0)
    values = [improvement(front, rng.normal(mean, std), reference) for _ in range(draws)]
    return np.mean(values), np.std(values) / np.sqrt(draws)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("unknown", [1, 2])
def test_it_is_the_mean_improvement_of_random_outcomes(objectives, unknown):
    rng = np.random.default_rng(objectives)
    front = rng.uniform(0, 1, (12, objectives))
    reference = np.full(objectives, 0.9)
    cells = cells_of(front, reference)
    mean = rng.uniform(0, 0.8, (5, objectives))
    std = np.zeros_like(mean)
    std[:, :unknown] = rng.uniform(0.02, 0.3, (5, unknown))
    found = expected_hypervolume_improvement(cells, mean, std)
    for row in range(5):
        expected, error = monte_carlo(front, mean[row], std[row], reference)
        assert found[row] == pytest.approx(expected, abs=4 * error + 1e-12)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_without_anything_unknown_it_is_the_exact_improvement(objectives):
    rng = np.random.default_rng(7)
    front = rng.integers(0, 6, (30, objectives)) / 5  # many ties, and members that are dominated or equal
    reference = np.full(objectives, 1.0)
    points = np.vstack([rng.integers(0, 6, (40, objectives)) / 5, rng.uniform(0, 1.2, (40, objectives))])
    found = expected_hypervolume_improvement(cells_of(front, reference), points, np.zeros_like(points))
    assert found == pytest.approx([improvement(front, point, reference) for point in points], abs=1e-12)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_cells_fill_what_the_front_dominates_once(objectives):
    rng = np.random.default_rng(3)
    front = rng.uniform(0, 1.1, (25, objectives))
    cells = cells_of(front, np.ones(objectives))
    heights = 1.0 - cells.values[cells.levels]
    assert ((cells.upper - cells.lower).prod(axis=1) * heights).sum() == pytest.approx(
        volume(front, np.ones(objectives))
    )


def test_with_no_front_it_is_the_box_up_to_the_reference():
    cells = cells_of(np.zeros((0, 3)), np.array([1.0, 2.0, 3.0]))
    found = expected_hypervolume_improvement(cells, np.array([[0.5, 1.0, 1.0]]), np.zeros((1, 3)))
    assert found == pytest.approx([0.5 * 1.0 * 2.0])


def test_members_that_are_not_finite_have_no_cell():
    front = np.array([[np.inf, 0.1], [np.nan, 0.1], [0.5, 0.5]])
    assert len(cells_of(front, np.ones(2)).levels) == 1


def test_what_costs_more_than_the_reference_improves_nothing():
    cells = cells_of(np.array([[0.5, 0.5]]), np.ones(2))
    found = expected_hypervolume_improvement(cells, np.array([[0.0, 1.0], [0.0, 1.5]]), np.array([[1.0, 0.0]] * 2))
    assert found.tolist() == [0.0, 0.0]


def test_expected_improvement_is_its_integral():
    for threshold, mean, std in [(0.0, 1.0, 0.5), (2.0, 1.0, 3.0), (1.0, 1.0, 0.1)]:
        integral, _ = quad(lambda y: (threshold - y) * norm.pdf(y, mean, std), mean - 12 * std, threshold)  # noqa: B023
        found = expected_improvement(np.array(threshold), np.array(mean), np.array(std))
        assert float(found) == pytest.approx(integral, abs=1e-9)
