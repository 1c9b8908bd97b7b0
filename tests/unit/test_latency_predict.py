"""Predictions from tables with known answers: sums, corrections, breakdowns, what is missing, and exact extremes."""

import json
import math
import random
import time

import pytest
from latency_tables import CALM_NS, TRUE, by_parameters, launches, made_up_table

from nas.errors import InvalidInput, MissingEntry
from nas.latency.correction import Correction
from nas.latency.measurement import Measurement
from nas.latency.plan import model_weight_bytes
from nas.latency.predict import OVERHEAD, LatencyPredictor
from nas.latency.table import LatencyTable
from nas.models import sub_blocks
from nas.space import SearchSpace

SMOKE = SearchSpace.bundled("smoke")
TEXT_ENCODER = SearchSpace.bundled("text-encoder")


@pytest.fixture(scope="module")
def predictor() -> LatencyPredictor:
    return LatencyPredictor(made_up_table(SMOKE))


def truth_ms(architecture) -> float:
    return TRUE.apply(sum(map(by_parameters, sub_blocks(architecture))), model_weight_bytes(architecture)) / 1e6


def test_every_architecture_of_a_space_is_predicted_as_its_sub_blocks_and_the_correction_say(predictor):
    for architecture in SMOKE.enumerate():
        assert predictor.predict(architecture).latency_ms == pytest.approx(truth_ms(architecture), rel=0.02)


def test_the_breakdown_sums_to_the_prediction_and_names_the_sub_blocks_in_order(predictor):
    architecture = SMOKE.sample(random.Random(3))
    prediction = predictor.predict(architecture)
    assert sum(ms for _, ms in prediction.breakdown) == prediction.latency_ms
    assert [key for key, _ in prediction.breakdown] == [b.key for b in sub_blocks(architecture)] + [OVERHEAD]


def test_the_interval_holds_the_prediction_in_its_middle(predictor):
    prediction = predictor.predict(SMOKE.sample(random.Random(4)))
    assert prediction.lower_ms <= prediction.latency_ms <= prediction.upper_ms
    assert math.isclose((prediction.lower_ms + prediction.upper_ms) / 2, prediction.latency_ms)


def test_a_table_covers_its_own_space_and_part_of_another(predictor):
    assert predictor.coverage(SMOKE) == 1
    assert predictor.missing(SMOKE) == []
    assert predictor.coverage(TEXT_ENCODER) == 0
    assert len(predictor.missing(TEXT_ENCODER)) == 230


def test_a_sub_block_that_is_not_in_the_table_is_named_with_the_command_that_measures_it(predictor):
    with pytest.raises(MissingEntry, match=r"embedding\(hidden_size=.*`nas device profile`"):
        predictor.predict(TEXT_ENCODER.sample(random.Random(0)))


def test_an_invalid_entry_is_never_used():
    document = made_up_table(SMOKE).to_dict()
    key = next(
        key for key in document["entries"] if key.startswith("attention(attention=linear,heads=2,hidden_size=16")
    )
    far_apart = Measurement.of(launches([1000, 1300, 1600, 1900, 2200]), CALM_NS)
    document["entries"][key] = far_apart.model_dump(mode="json")
    predictor = LatencyPredictor(LatencyTable.from_dict(json.loads(json.dumps(document))))
    assert predictor.missing(SMOKE) == [key]
    architecture = next(a for a in SMOKE.enumerate() if key in {b.key for b in sub_blocks(a)})
    with pytest.raises(MissingEntry, match="apart"):
        predictor.predict(architecture)


def test_a_table_with_too_few_whole_models_predicts_nothing():
    document = made_up_table(SMOKE).to_dict()
    document["whole_models"] = document["whole_models"][:5]
    with pytest.raises(InvalidInput, match="at least 6"):
        LatencyPredictor(LatencyTable.from_dict(document))


def test_the_errors_of_a_table_without_noise_are_near_zero(predictor):
    errors = predictor.errors()
    assert errors["mean_absolute_percent"] < 1
    assert errors["within_7_percent"] == 1
    assert errors["whole_models"] == 18


@pytest.mark.parametrize("seed", range(8))
def test_the_extremes_of_a_space_are_those_of_all_its_architectures(seed):
    rng = random.Random(seed)
    # Fast options may be heavy and slow ones light, so that no single option is the best in every model
    latency = {}
    truth = Correction(rng.uniform(0, 20_000), rng.uniform(0, 2), 8.0, rng.uniform(9, 11))
    table = made_up_table(SMOKE, lambda b: latency.setdefault(b.key, rng.randint(5_000, 60_000)), truth)
    predictor = LatencyPredictor(table)
    brute = {a.id: predictor.predict(a).latency_ms for a in SMOKE.enumerate()}
    for (latency_ms, architecture), extreme in (
        (predictor.lowest(SMOKE), min(brute.values())),
        (predictor.highest(SMOKE), max(brute.values())),
    ):
        assert latency_ms == pytest.approx(extreme, rel=1e-12)
        assert brute[architecture.id] == latency_ms


def test_no_random_architecture_of_a_large_space_lies_beyond_its_extremes():
    predictor = LatencyPredictor(made_up_table(TEXT_ENCODER))
    lowest, highest = predictor.lowest(TEXT_ENCODER)[0], predictor.highest(TEXT_ENCODER)[0]
    rng = random.Random(0)
    assert all(lowest <= predictor.predict(TEXT_ENCODER.sample(rng)).latency_ms <= highest for _ in range(500))


def test_a_prediction_takes_less_than_a_tenth_of_a_millisecond():
    predictor = LatencyPredictor(made_up_table(TEXT_ENCODER))
    rng = random.Random(0)
    architectures = [TEXT_ENCODER.sample(rng) for _ in range(300)]
    for architecture in architectures:
        predictor.predict(architecture)
    best = min(_cpu_s(predictor, architectures) for _ in range(5))
    assert best / len(architectures) < 100e-6


def _cpu_s(predictor, architectures) -> float:
    began = time.thread_time()
    for architecture in architectures:
        predictor.predict(architecture)
    return time.thread_time() - began
