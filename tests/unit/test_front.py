"""The Pareto front, its hypervolume and knee against brute force and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.search.front import front_rows, hypervolume, knee

VALUES = arrays(
    float,
    st.tuples(st.integers(0, 25), st.integers(2, 3)),
    elements=st.one_of(st.integers(0, 6).map(float), st.just(math.nan), st.just(math.inf)),
)


def by_definition(values, maximise):
    signed = values * np.where(maximise, -1, 1)
    rows = [i for i in range(len(values)) if np.isfinite(values[i]).all()]
    return [i for i in rows if not any((signed[j] <= signed[i]).all() and (signed[j] < signed[i]).any() for j in rows)]


@settings(max_examples=150, deadline=None)
@given(VALUES, st.booleans())
def test_the_front_is_what_the_definition_gives_with_ties_kept_and_missing_values_left_out(values, flip):
    maximise = [flip, *[False] * (values.shape[1] - 1)]
    assert front_rows(values, maximise) == by_definition(values, maximise)


def test_the_hypervolume_of_two_steps_is_their_area():
    values = np.array([[0.2, 0.6], [0.5, 0.1], [0.9, 0.9]])
    # the box is 1 × 2 with the ideal at (0, 0): (1 − .2)(2 − .6) + (1 − .5)(.6 − .1) of 2
    assert hypervolume(values, [False, False], [1, 2], [0, 0]) == pytest.approx((0.8 * 1.4 + 0.5 * 0.5) / 2)


def test_the_hypervolume_is_the_share_of_random_points_that_are_dominated():
    rng = np.random.default_rng(0)
    values = rng.random((30, 3))
    points = rng.random((200_000, 3))
    dominated = (values[:, None, :] <= points[None, :, :]).all(-1).any(0).mean()
    assert hypervolume(values, [False] * 3, [1] * 3, [0] * 3) == pytest.approx(dominated, abs=0.005)


def test_points_beyond_the_reference_add_nothing_and_none_exceeds_the_box():
    assert hypervolume(np.array([[2.0, 0.0]]), [False, False], [1, 1], [0, 0]) == 0
    assert hypervolume(np.array([[-5.0, -5.0]]), [False, False], [1, 1], [0, 0]) == 1
    assert hypervolume(np.empty((0, 2)), [False, False], [1, 1], [0, 0]) == 0


def test_a_maximised_objective_is_mirrored():
    values = np.array([[0.9, 0.3]])
    assert hypervolume(values, [True, False], [0.5, 1], [1, 0]) == pytest.approx(0.8 * 0.7)


def test_the_knee_is_the_member_near_both_ends():
    values = np.array([[0.0, 10.0], [1.0, 2.0], [5.0, 1.0], [10.0, 0.0], [2.0, 9.0]])
    assert knee(values, [False, False]) == 1


def test_the_knee_of_one_point_is_that_point_and_of_none_nothing():
    assert knee(np.array([[math.nan, 1.0], [3.0, 3.0]]), [False, False]) == 1
    assert knee(np.empty((0, 2)), [False, False]) is None
