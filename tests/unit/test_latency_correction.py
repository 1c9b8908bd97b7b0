"""The correction: numbers that are known come back, one bad model changes little, and the interval covers."""

import math
import random

import pytest

from nas.errors import InvalidInput
from nas.latency.correction import Correction, fit_correction

LOWER, UPPER = math.log(1e6), math.log(7e6)
TRUE = Correction(overhead_ns=20_000, slowdown=0.3, lower_knee=LOWER, upper_knee=UPPER)


def whole_models(count: int, noise: float = 0.0, truth: Correction = TRUE):
    """Return sums, weight bytes and latencies of made-up models from 0.1 to 20 MB."""
    rng = random.Random(count)
    sizes = [1e5 * 200 ** (i / (count - 1)) for i in range(count)]
    sums = [size * rng.uniform(0.5, 1.5) for size in sizes]
    measured = [truth.apply(s, w) * (1 + rng.uniform(-noise, noise)) for s, w in zip(sums, sizes, strict=True)]
    return sums, sizes, measured


def largest_error(fitted: Correction, truth: Correction = TRUE) -> float:
    sums, sizes, measured = whole_models(57, truth=truth)
    return max(abs(fitted.apply(s, w) / t - 1) for s, w, t in zip(sums, sizes, measured, strict=True))


def test_without_noise_the_fit_predicts_models_it_has_not_seen_within_two_percent():
    assert largest_error(fit_correction(*whole_models(18))) < 0.02


def test_a_sum_that_needs_no_correction_is_left_as_it_is():
    none = Correction(0.0, 0.0, LOWER, UPPER)
    fitted = fit_correction(*whole_models(18, truth=none))
    assert fitted.slowdown == pytest.approx(0, abs=1e-9)
    assert largest_error(fitted, none) < 1e-9


def test_one_model_measured_at_twice_its_latency_changes_little():
    sums, sizes, measured = whole_models(18, noise=0.01)
    measured[9] *= 2
    assert largest_error(fit_correction(sums, sizes, measured)) < 0.05


def test_the_prediction_never_falls_as_either_sum_grows():
    fitted = fit_correction(*whole_models(18, noise=0.2))
    for s in (1e5, 1e6, 1e7):
        values = [fitted.apply(s, w) for w in (1e3, 1e5, 1e6, 3e6, 1e7, 1e9)]
        assert values == sorted(values)
        assert fitted.apply(1.1 * s, 1e6) > fitted.apply(s, 1e6)


def test_the_overhead_can_be_below_zero_but_no_measured_model_is_predicted_below_zero():
    sums, sizes, _ = whole_models(18)
    fitted = fit_correction(sums, sizes, [0.6 * s for s in sums])
    assert min(fitted.apply(s, w) for s, w in zip(sums, sizes, strict=True)) > 0


def test_nine_of_ten_new_models_lie_inside_the_interval():
    inside = total = 0
    for seed in range(30):
        rng = random.Random(seed)
        sums, sizes, measured = whole_models(18)
        noisy = [t * (1 + rng.uniform(-0.08, 0.08)) for t in measured]
        fitted = fit_correction(sums, sizes, noisy)
        for s, w, t in zip(*whole_models(40), strict=True):
            inside += abs(t * (1 + rng.uniform(-0.08, 0.08)) / fitted.apply(s, w) - 1) <= fitted.interval
            total += 1
    assert inside / total >= 0.9


def test_models_of_one_size_can_be_corrected_too():
    sums, _, measured = whole_models(8)
    assert math.isfinite(fit_correction(sums, [1e6] * 8, measured).apply(1e6, 1e6))


def test_too_few_models_are_refused_with_the_number_needed():
    with pytest.raises(InvalidInput, match="at least 6"):
        fit_correction(*whole_models(5))
