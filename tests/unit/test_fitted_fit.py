"""The fit: agrees with an independent solver, finds a truth that is known, and no bad row bends it."""

import numpy as np
import pytest
from fitted_rows import hat_csv, made_up, true_ms
from scipy.optimize import nnls
from scipy.stats import kendalltau

from nas.errors import InvalidInput
from nas.latency.fitted.document import kendall_tau
from nas.latency.fitted.fit import fit
from nas.latency.fitted.least_squares import nonnegative, robust_fit
from nas.latency.fitted.rows import read_rows


def fitted_and_errors(count, *, others=400, seed=0, spoil=None, **kinds):
    """Fit on some made-up rows; return the fit and its errors against the truth on others."""
    rows, latencies = made_up(count + others, seed, **kinds)
    if spoil:
        spoil(latencies)
    read = read_rows(hat_csv(rows, latencies))
    fitted = fit(*read.taken(np.arange(count)), seed)
    columns, measured = read.taken(np.arange(count, count + others))
    truth = np.array([sum(true_ms(row, kinds.get("scale", 1.0))) for row in rows[count:]])
    return fitted, fitted.predict(columns) / truth - 1, measured / fitted.predict(columns)


@pytest.mark.parametrize("collinear", [False, True])
def test_the_solver_finds_what_scipy_finds(collinear):
    rng = np.random.default_rng(3)
    for _ in range(50):
        x = rng.normal(size=(40, 12))
        if collinear:
            x[:, 6:] = x[:, :6] + 1e-4 * rng.normal(size=(40, 6))
        y = x @ np.where(rng.random(12) < 0.5, 0, rng.normal(size=12)) + rng.normal(size=40)
        stacked = np.vstack([x, np.sqrt(1e-3) * np.eye(12)])
        expected, _ = nnls(stacked, np.concatenate([y, np.zeros(12)]))
        problem = (x.T @ x + 1e-3 * np.eye(12), x.T @ y)
        assert nonnegative(*problem) == pytest.approx(expected, abs=1e-7)
        assert nonnegative(*problem, likely=rng.random(12) < 0.5) == pytest.approx(expected, abs=1e-7)


def test_many_rows_without_noise_are_predicted_to_a_thousandth():
    _, errors, _ = fitted_and_errors(400, noise=0.0, outliers=0.0)
    assert np.abs(errors).max() < 2e-3


@pytest.mark.parametrize("scale", [0.02, 1.0, 60.0])
def test_fifty_rows_with_noise_and_outliers_predict_the_truth_whatever_the_devices_speed(scale):
    _, errors, _ = fitted_and_errors(50, scale=scale)
    assert np.abs(errors).mean() < 0.01
    assert abs(errors.mean()) < 0.005


def test_no_latency_can_fall_as_a_model_grows():
    fitted, _, _ = fitted_and_errors(50, noise=0.2)
    assert min(fitted.coefficients.values()) > 0


@pytest.mark.parametrize("factor", [5.0, 1e-3])
def test_one_row_of_many_times_or_a_thousandth_of_its_latency_changes_little(factor):
    def spoil(latencies):
        latencies[11] *= factor

    _, spoilt, _ = fitted_and_errors(50, spoil=spoil)
    assert np.abs(spoilt).mean() < 0.012


def test_a_space_with_hardly_a_choice_is_fitted_as_well():
    _, errors, _ = fitted_and_errors(50, wide=False)
    assert np.abs(errors).mean() < 0.01


def test_rows_that_are_all_of_one_architecture_come_to_their_typical_latency():
    rows, _ = made_up(40)
    latencies = 100 + np.random.default_rng(0).normal(size=40)
    read = read_rows(hat_csv([rows[0]] * 40, latencies))
    assert fit(*read.taken(np.arange(40))).predict(read.columns)[0] == pytest.approx(np.median(latencies), rel=0.01)


def test_nine_of_ten_new_rows_lie_inside_the_interval():
    inside = []
    for seed in range(12):
        fitted, _, ratios = fitted_and_errors(50, seed=seed, noise=0.03)
        inside.append(np.mean(np.abs(ratios - 1) <= fitted.interval))
    assert 0.85 < np.mean(inside) < 0.96


def test_the_left_out_errors_tell_how_far_off_new_rows_are():
    told, seen = [], []
    for seed in range(12):
        rows, latencies = made_up(450, seed, noise=0.04)
        read = read_rows(hat_csv(rows, latencies))
        columns, measured = read.taken(np.arange(50))
        fitted = fit(columns, measured, seed)
        told.append(np.abs(fitted.left_out / measured - 1).mean())
        columns, measured = read.taken(np.arange(50, 450))
        seen.append(np.abs(fitted.predict(columns) / measured - 1).mean())
    assert np.mean(told) == pytest.approx(np.mean(seen), rel=0.15)


def test_noise_makes_the_details_shrink():
    quiet, _, _ = fitted_and_errors(50, noise=0.0, outliers=0.0)
    loud, _, _ = fitted_and_errors(50, noise=0.1)
    assert quiet.shrinkage < loud.shrinkage


def test_too_few_rows_are_refused():
    read = read_rows(hat_csv(*made_up(19)))
    with pytest.raises(InvalidInput, match="at least 20"):
        fit(read.columns, read.latencies_ms)


def test_the_robust_fit_of_a_single_constant_is_between_mean_and_median():
    latencies = np.array([10.0] * 30 + [11.0] * 25 + [90.0])
    (b,) = robust_fit(np.ones((56, 1)), latencies, np.array([1e-9]))
    assert 10 < b < 11


def test_kendalls_tau_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 20, 60).astype(float), rng.integers(0, 20, 60).astype(float)
        assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic)
