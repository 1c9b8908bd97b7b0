"""The correction: numbers that are known come back, one bad model changes little, and the interval covers."""

import math
import random

import numpy as np
import pytest

from nas.errors import InvalidInput
from nas.latency.correction import CALL_BYTES, LEAST_SHARE, Correction, Totals, fit_correction, left_out
from nas.latency.margin import fit_margin

LOWER, UPPER = math.log(1e6), math.log(7e6)
PREFILL = Correction(20_000, -1_500, slowdown=0.3, fetch_ns=0.0, byte_ns=0.0, lower_knee=LOWER, upper_knee=UPPER)
STEP = Correction(35_000, -2_000, slowdown=0.0, fetch_ns=900.0, byte_ns=0.08, lower_knee=LOWER, upper_knee=UPPER)
BOTH = Correction(10_000, -500, slowdown=0.1, fetch_ns=2_000.0, byte_ns=0.02, lower_knee=LOWER, upper_knee=UPPER)
NONE = Correction(0.0, 0.0, 0.0, 0.0, 0.0, LOWER, UPPER)


def whole_models(count: int, noise: float = 0.0, truth: Correction = PREFILL) -> tuple[list[Totals], list[float]]:
    """Return what is known of made-up models from 0.1 to 20 MB, and their latencies."""
    rng = random.Random(count)
    models = []
    for index in range(count):
        size = 1e5 * 200 ** (index / (count - 1))
        read = size * rng.uniform(0.6, 1.4)  # weights that are shared count each time, caches don't
        models.append(Totals(size * rng.uniform(0.5, 1.5) + 30_000, float(rng.randint(6, 26)), read, size))
    return models, [by_hand(m, truth) * (1 + rng.uniform(-noise, noise)) for m in models]


def by_hand(totals: Totals, truth: Correction) -> float:
    """The formula of the module, written out once more."""
    s, n, m, w = (float(each) for each in totals)
    ramp = min(1.0, max(0.0, (math.log(w + CALL_BYTES * n) - LOWER) / (UPPER - LOWER)))
    return (
        truth.overhead_ns + truth.call_ns * n + s + (truth.slowdown * s + truth.fetch_ns * n + truth.byte_ns * m) * ramp
    )


def largest_error(fitted: Correction, truth: Correction) -> float:
    models, measured = whole_models(57, truth=truth)
    return max(abs(float(fitted.apply(m)) / t - 1) for m, t in zip(models, measured, strict=True))


@pytest.mark.parametrize("truth", [PREFILL, STEP, BOTH, NONE])
def test_the_correction_is_the_formula(truth):
    models, measured = whole_models(20, truth=truth)
    for model, latency in zip(models, measured, strict=True):
        assert float(truth.apply(model)) == pytest.approx(max(latency, LEAST_SHARE * model.sum_ns), rel=1e-12)


@pytest.mark.parametrize("truth", [PREFILL, STEP, BOTH])
def test_without_noise_the_fit_predicts_models_it_has_not_seen_within_three_percent(truth):
    assert largest_error(fit_correction(*whole_models(40, truth=truth)), truth) < 0.03


def test_a_sum_that_needs_no_correction_is_left_as_it_is():
    assert largest_error(fit_correction(*whole_models(18, truth=NONE)), NONE) < 1e-6


def test_one_model_measured_at_twice_its_latency_changes_little():
    models, measured = whole_models(40, noise=0.01)
    measured[19] *= 2
    assert largest_error(fit_correction(models, measured), PREFILL) < 0.05


@pytest.mark.parametrize("truth", [PREFILL, STEP, NONE])
def test_the_prediction_never_falls_as_the_sum_or_the_bytes_grow(truth):
    fitted = fit_correction(*whole_models(18, noise=0.2, truth=truth))
    assert min(fitted.slowdown, fitted.fetch_ns, fitted.byte_ns) >= 0
    for s in (1e5, 1e6, 1e7):
        values = [fitted.apply(Totals(s, 10, w, w)) for w in (1e3, 1e5, 1e6, 3e6, 1e7, 1e9)]
        assert values == sorted(values)
        assert fitted.apply(Totals(1.1 * s, 10, 1e6, 1e6)) > fitted.apply(Totals(s, 10, 1e6, 1e6))


def test_a_model_without_any_bytes_can_be_predicted():
    assert math.isfinite(float(PREFILL.apply(Totals(1e5, 3, 0, 0))))


def test_no_prediction_falls_below_a_quarter_of_the_sum():
    fitted = Correction(-1e6, -1e4, 0.0, 0.0, 0.0, LOWER, UPPER)
    assert fitted.apply(Totals(1e5, 40, 1e5, 1e5)) == LEAST_SHARE * 1e5


def test_nine_of_ten_new_models_lie_inside_the_interval():
    inside = total = 0
    for seed in range(20):
        rng = random.Random(seed)
        models, measured = whole_models(24)
        noisy = [t * (1 + rng.uniform(-0.08, 0.08)) for t in measured]
        fitted = fit_correction(models, noisy)
        errors = list(left_out(models, noisy) / noisy - 1)
        margin = fit_margin(errors, np.zeros(len(errors)), np.zeros((1, len(errors)))).at(0.0)
        for model, truth in zip(*whole_models(40), strict=True):
            inside += abs(truth * (1 + rng.uniform(-0.08, 0.08)) / float(fitted.apply(model)) - 1) <= margin
            total += 1
    assert 0.88 <= inside / total <= 0.99


def test_a_model_left_out_is_predicted_by_a_fit_that_never_saw_it():
    models, measured = whole_models(12, noise=0.05)
    found = left_out(models, measured)
    for index in (0, 5, 11):
        others = fit_correction(
            [m for i, m in enumerate(models) if i != index], [t for i, t in enumerate(measured) if i != index]
        )
        assert found[index] == float(others.apply(models[index]))


def test_models_of_one_size_can_be_corrected_too():
    models, measured = whole_models(8)
    fitted = fit_correction([Totals(m.sum_ns, m.calls, 1e6, 1e6) for m in models], measured)
    assert math.isfinite(float(fitted.apply(Totals(1e6, 10, 1e6, 1e6))))


def test_many_models_are_corrected_at_once():
    models, measured = whole_models(9, truth=BOTH)
    columns = Totals(*(np.array(column) for column in zip(*models, strict=True)))
    assert np.allclose(BOTH.apply(columns), measured, rtol=1e-12)


def test_too_few_models_are_refused_with_the_number_needed():
    models, measured = whole_models(8)
    with pytest.raises(InvalidInput, match="at least 6"):
        fit_correction(models[:5], measured[:5])
