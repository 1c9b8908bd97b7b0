"""The interval around a prediction: from left-out errors and from how much a campaign wanders, by how far beyond."""

import random

import numpy as np
import pytest
from latency_tables import CALM_NS, launches

from nas.latency.margin import LEAST_DRIFT, drifts_of, fit_margin
from nas.latency.measurement import Launch, Measurement

LAUNCHES = 24


def alone(latencies_ns: list[int], stormy: set[int] = frozenset()) -> list[tuple[int, Measurement]]:
    """One phase that runs once; launches beside a slow sentinel don't count."""
    taken = [
        Launch(**{**launch.__dict__, "sentinel_ns": 2 * CALM_NS if index in stormy else CALM_NS})
        for index, launch in enumerate(launches(latencies_ns))
    ]
    return [(1, Measurement.of(taken, CALM_NS))]


@pytest.mark.parametrize(
    ("errors", "margin"),
    [
        # rank ⌈0.9 · (n + 1)⌉ of |measured / predicted - 1| = |1 / (1 + error) - 1|
        ([0.0] * 18 + [0.25], 0.0),  # rank 18 of 19
        ([0.0] * 17 + [0.25], 0.2),  # rank 18 of 18
        ([0.0] * 8 + [-0.5], 1.0),  # rank 9 of 9
        ([0.0, 0.0, 0.25], 0.2),  # rank 4 of 3: the largest
        ([0.0] * 5, 0.0),
    ],
)
def test_the_margin_of_models_of_one_size_has_the_rank_that_the_jackknife_prescribes(errors, margin):
    found = fit_margin(errors, np.zeros(len(errors)), np.zeros((10, len(errors))))
    assert found.error_near == pytest.approx(margin)


def test_nine_of_ten_lie_inside_both_near_and_far_where_far_is_four_times_as_noisy():
    near, far = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        beyond = rng.uniform(0, 1, 40)
        margin = fit_margin(list(rng.normal(0, 0.01 + 0.03 * beyond)), beyond, np.zeros((10, 40)))
        fresh = rng.uniform(0, 1, 200)
        inside = np.abs(1 / (1 + rng.normal(0, 0.01 + 0.03 * fresh)) - 1) <= margin.at(fresh)
        near += list(inside[fresh < 0.3])
        far += list(inside[fresh > 0.7])
    assert 0.85 <= np.mean(near) <= 0.97
    assert 0.85 <= np.mean(far) <= 0.97


def test_the_margin_is_never_narrower_for_a_model_further_beyond_its_cache():
    rng = np.random.default_rng(0)
    beyond = rng.uniform(0, 1, 30)
    found = fit_margin(list(rng.normal(0, 0.05 - 0.04 * beyond)), beyond, np.zeros((10, 30)))
    assert found.error_near == found.error_far > 0


def test_drift_widens_the_margin_where_the_models_drift():
    beyond = np.linspace(0, 1, 20)
    errors = [0.01, -0.01] * 10
    drifts = np.outer(np.random.default_rng(0).normal(0, 0.04, 400), beyond)  # the far ones alone, all together
    calm, drifting = (fit_margin(errors, beyond, drift) for drift in (np.zeros((10, 20)), drifts))
    assert drifting.at(0.0) == pytest.approx(calm.at(0.0))
    assert drifting.drift_far == pytest.approx(1.645 * 0.04, rel=0.1)
    assert drifting.at(1.0) == pytest.approx(np.hypot(calm.error_far, drifting.drift_far))
    assert calm.drift_near == calm.drift_far == pytest.approx(LEAST_DRIFT)


def test_many_models_get_their_margins_at_once():
    found = fit_margin([0.01, -0.02, 0.03], np.array([0.0, 0.5, 1.0]), np.full((5, 3), 0.01))
    beyond = np.array([0.0, 0.3, 1.0])
    assert list(found.at(beyond)) == [found.at(one) for one in beyond]


def test_a_campaign_that_found_the_same_all_the_time_does_not_drift():
    assert np.all(drifts_of([alone([1000] * LAUNCHES), alone([5000] * LAUNCHES)]) == 0)


def test_a_campaign_of_which_a_quarter_was_faster_drifts_by_as_much_either_way_and_all_models_together():
    found = drifts_of([alone([1050] * 18 + [1000] * 6), alone([10_500] * 18 + [10_000] * 6)])
    assert np.max(np.abs(found)) == pytest.approx(np.log(1.05))
    assert np.mean(found > 0.01) == pytest.approx(np.mean(found < -0.01), abs=0.1)
    assert np.mean(np.abs(found) > 0.01) > 0.2
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-3)


def test_launches_in_a_storm_do_not_count_as_drift():
    storm = set(range(6, 15))
    latencies = [2000 if index in storm else 1000 for index in range(LAUNCHES)]
    assert np.all(drifts_of([alone(latencies, storm)]) == 0)


def test_phases_weigh_by_how_often_they_run():
    rng = random.Random(0)
    prefill = [rng.randint(1000, 1100) for _ in range(LAUNCHES)]
    once = drifts_of([alone(prefill)])
    ((_, measurement),) = alone(prefill)
    ((_, still),) = alone([1000] * LAUNCHES)
    diluted = drifts_of([[(1, measurement), (99, still)]])
    assert 0 < np.abs(diluted).mean() < np.abs(once).mean() / 50


def test_models_with_unequally_many_launches_are_drawn_together():
    found = drifts_of([alone([1000] * 5), alone([1000] * LAUNCHES)])
    assert found.shape[1] == 2
    assert np.all(found == 0)
