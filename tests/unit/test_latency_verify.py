"""Verification: the figures against what they come to by hand, and models that a table was not made from."""

import math

import pytest
from latency_tables import made_up_table

from nas.errors import InvalidInput
from nas.latency.measure import Measured
from nas.latency.predict import LatencyPrediction
from nas.latency.verify import Row, Verification, accuracy, fresh_models
from nas.space import SearchSpace

SMOKE = SearchSpace.bundled("smoke")


def test_how_far_two_columns_are_apart_by_hand():
    found = accuracy([110.0, 95.0, 60.0, 42.0], [100.0, 100.0, 50.0, 40.0])  # +10 %, -5 %, +20 %, +5 %
    assert found.mean_absolute_percent == pytest.approx(10)
    assert found.largest_percent == pytest.approx(20)
    assert found.within_7_percent == pytest.approx(2 / 4)
    assert found.within_15_percent == pytest.approx(3 / 4)
    assert found.bias_percent == pytest.approx(7.5)
    # Of six pairs one is tied among the measured, the other five: four agree, and 110 > 95 ties with 100 = 100
    concordant, discordant, pairs, tied = 5, 0, 6, 1
    assert found.kendall_tau == pytest.approx((concordant - discordant) / math.sqrt((pairs - tied) * pairs))


def test_the_order_is_what_kendall_s_tau_looks_at():
    assert accuracy([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]).kendall_tau == pytest.approx(1)
    assert accuracy([3.0, 2.0, 1.0], [10.0, 20.0, 30.0]).kendall_tau == pytest.approx(-1)
    # One pair of three the other way round: (2 - 1) / 3
    assert accuracy([2.0, 1.0, 3.0], [10.0, 20.0, 30.0]).kendall_tau == pytest.approx(1 / 3)


def test_a_single_model_has_no_order():
    assert math.isnan(accuracy([1.0], [1.0]).kendall_tau)


def row(predicted_ms: float, measured_ms: float, *, valid: bool = True, margin: float = 0.1) -> Row:
    architecture = next(SMOKE.enumerate())
    prediction = LatencyPrediction(
        predicted_ms, predicted_ms * (1 - margin), predicted_ms * (1 + margin), (), {"prefill": predicted_ms}
    )
    measured = Measured(
        architecture.id,
        measured_ms,
        {"prefill": measured_ms},
        spread=0.01,
        valid=valid,
        reason=None if valid else "stormy",
        sentinel_ratio=1.0,
    )
    return Row(architecture, prediction, measured, sum_ms=2 * measured_ms, macs_ms=measured_ms / 2)


def test_what_is_measured_against_what_was_said():
    assert row(10, 12).difference == pytest.approx(0.2)
    assert row(10, 8).difference == pytest.approx(-0.2)
    assert row(10, 10.9).inside
    assert row(10, 9.1).inside
    assert not row(10, 11.1).inside
    assert not row(10, 8.9).inside


def test_only_measurements_that_were_not_disturbed_count():
    found = Verification((row(10, 10), row(10, 12.5), row(10, 1000, valid=False)))
    assert len(found.rows) == 3
    assert len(found.valid) == 2
    assert found.inside_share == 0.5
    assert found.prediction.largest_percent == pytest.approx(20)
    assert found.prediction.bias_percent == pytest.approx(-10)
    assert found.naive_sum.bias_percent == pytest.approx(100)
    assert found.scaled_macs.bias_percent == pytest.approx(-50)


def test_fresh_models_differ_and_took_no_part_in_the_table():
    space = SearchSpace.bundled("text-encoder")
    table = made_up_table(space, whole_models=20)
    models = fresh_models(table, space, 30, seed=4)
    known = {model.architecture["id"] for model in table.whole_models}
    assert len({model.id for model in models}) == 30
    assert not known & {model.id for model in models}
    assert all(model in space for model in models)
    assert models == fresh_models(table, space, 30, seed=4)
    assert models != fresh_models(table, space, 30, seed=5)
    assert len({len(model.encoder.layers) for model in models}) > 3


def test_all_models_that_are_left_of_a_small_space_are_found_and_no_more():
    table = made_up_table(SMOKE, whole_models=20)
    left = {a.id for a in SMOKE.enumerate()} - {model.architecture["id"] for model in table.whole_models}
    some = fresh_models(table, SMOKE, 60, seed=0)
    assert {model.id for model in some} <= left
    with pytest.raises(InvalidInput, match="no more that the table was not made from"):
        fresh_models(table, SMOKE, len(left) + 1, seed=0)
