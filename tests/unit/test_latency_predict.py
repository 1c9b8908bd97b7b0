"""Predictions from tables with known answers: sums, corrections, breakdowns, and what is missing."""

import json
import math
import random
import re
import time

import pytest
from latency_tables import CALM_NS, by_key, latency_ns_of, launches, made_up_table, truth_of
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.errors import InvalidInput, MissingEntry
from nas.latency.measurement import Measurement
from nas.latency.plan import phase_runs, whole_models_of
from nas.latency.predict import OVERHEAD, LatencyPredictor
from nas.latency.table import LatencyTable
from nas.space import SearchSpace
from nas.sub_blocks.calls import calls
from nas.workload import Workload

SMOKE = SearchSpace.bundled("smoke")
TEXT_ENCODER = SearchSpace.bundled("text-encoder")
SEED = 7


@pytest.fixture(scope="module")
def predictor() -> LatencyPredictor:
    return LatencyPredictor(made_up_table(SMOKE))


@pytest.fixture(scope="module", params=SMALL_SPACES)
def known(request):
    """A small space of each family, a predictor of it and the truth that its table was made from."""
    space = small_space(request.param)
    workload = workload_of(space, batch=2)
    truth = truth_of(space, workload, whole_models_of(space, workload, 40, seed=0))
    return space, workload, LatencyPredictor(made_up_table(space, truth=truth, workload=workload)), truth


def samples(space: SearchSpace, count: int):
    rng = random.Random(SEED)
    return [space.sample(rng) for _ in range(count)]


def test_models_of_every_family_are_predicted_as_their_calls_and_the_corrections_say(known):
    space, workload, predictor, truth = known
    errors = [
        predictor.predict(a).latency_ms * 1e6 / latency_ns_of(a, workload, truth) - 1 for a in samples(space, 300)
    ]
    assert max(map(abs, errors)) < 0.02
    assert sum(map(abs, errors)) / len(errors) < 0.01


def test_every_architecture_of_a_space_is_predicted_right(predictor):
    workload = predictor.table.workload
    truth = truth_of(SMOKE, workload, whole_models_of(SMOKE, workload, 40, seed=0))
    for architecture in SMOKE.enumerate():
        wanted = latency_ns_of(architecture, workload, truth) / 1e6
        assert predictor.predict(architecture).latency_ms == pytest.approx(wanted, rel=0.02)


def test_the_breakdown_sums_to_the_prediction_and_names_the_calls_in_order(known):
    space, workload, predictor, _ = known
    for architecture in samples(space, 20):
        prediction = predictor.predict(architecture)
        runs = phase_runs(space.family, workload)
        assert math.isclose(sum(ms for _, ms in prediction.breakdown), prediction.latency_ms, rel_tol=1e-9)
        in_order = [call.key for phase in runs for call in calls(architecture, workload, phase)]
        assert [key for key, _ in prediction.breakdown] == [*in_order, OVERHEAD]
        assert all(ms > 0 for key, ms in prediction.breakdown if key != OVERHEAD)


def test_an_inference_is_one_prefill_and_a_step_for_every_token_written(known):
    space, workload, predictor, _ = known
    for architecture in samples(space, 5):
        prediction = predictor.predict(architecture)
        whole = prediction.phases["prefill"]
        if space.family == "encoder":
            assert set(prediction.phases) == {"prefill"}
        else:
            whole += workload.output_length * prediction.phases["step"]
        assert prediction.latency_ms == pytest.approx(whole, rel=1e-12)


def test_a_decoder_that_writes_nothing_takes_a_prefill_alone():
    space = small_space("small-decoder")
    workload = Workload(input_length=8)
    predictor = LatencyPredictor(made_up_table(space, workload=workload))
    truth = truth_of(space, workload, whole_models_of(space, workload, 40, seed=0))
    for architecture in samples(space, 50):
        prediction = predictor.predict(architecture)
        assert set(prediction.phases) == {"prefill"}
        assert prediction.latency_ms * 1e6 == pytest.approx(latency_ns_of(architecture, workload, truth), rel=0.02)


def test_the_interval_holds_the_prediction_in_its_middle(known):
    space, _, predictor, _ = known
    for architecture in samples(space, 5):
        prediction = predictor.predict(architecture)
        assert prediction.lower_ms < prediction.latency_ms < prediction.upper_ms
        _, beyond = predictor.latency_and_beyond(predictor.totals(architecture))
        assert 0 <= beyond <= 1
        margin = predictor.margin.at(beyond)
        assert prediction.lower_ms == pytest.approx(prediction.latency_ms * (1 - margin))
        assert prediction.upper_ms == pytest.approx(prediction.latency_ms * (1 + margin))


def test_nine_of_ten_noisy_measurements_lie_inside_the_interval():
    rng = random.Random(SEED)
    known = made_up_table(TEXT_ENCODER, whole_models=60)
    workload = known.workload
    truth = truth_of(TEXT_ENCODER, workload, whole_models_of(TEXT_ENCODER, workload, 60, seed=0))
    fresh = [(a, latency_ns_of(a, workload, truth) / 1e6) for a in samples(TEXT_ENCODER, 200)]
    inside = 0
    tables = 6  # each by itself is off by some percent: it knows but sixty models
    for _ in range(tables):
        document = known.to_dict()
        for model in document["whole_models"]:
            noisy = round(model["phases"]["prefill"]["latency_ns"] * rng.uniform(0.92, 1.08))
            model["phases"]["prefill"] = Measurement.of(launches([noisy] * 5), CALM_NS).model_dump(mode="json")
        predictor = LatencyPredictor(LatencyTable.from_dict(document))
        for architecture, true_ms in fresh:
            found = predictor.predict(architecture)
            inside += found.lower_ms <= true_ms * rng.uniform(0.92, 1.08) <= found.upper_ms
    assert 0.86 <= inside / (tables * len(fresh)) <= 0.97


def test_a_table_covers_its_own_space_and_nothing_of_another(predictor):
    assert predictor.coverage(SMOKE) == 1
    assert predictor.missing(SMOKE) == []
    assert predictor.coverage(TEXT_ENCODER) == 0
    assert len(predictor.missing(TEXT_ENCODER)) == 230


def test_a_table_covers_part_of_a_space_with_more_choices(predictor):
    document = SMOKE.to_document()
    document["encoder"]["layer"]["feed_forward_ratio"] = [1, 2, 3]
    wider = SearchSpace.from_document(document)
    # Two widths, each with one feed-forward network more than the sixteen that are known
    assert len(predictor.missing(wider)) == 2
    assert predictor.coverage(wider) == pytest.approx(1 - 2 / (len(predictor.table.entries) + 2))


def test_a_call_that_is_not_in_the_table_is_named_with_the_command_that_measures_it():
    space = small_space("small-decoder")
    workload = workload_of(space)
    document = made_up_table(space).to_dict()
    architecture = samples(space, 1)[0]
    gone = calls(architecture, workload, "step")[-1].key
    del document["entries"][gone]
    command = "nas device profile made-up --space NAME --batch 1 --input-length 8 --output-length 4"
    with pytest.raises(MissingEntry, match=f"no entry for {re.escape(gone)}.*{command}"):
        LatencyPredictor(LatencyTable.from_dict(document)).predict(architecture)


def test_a_table_at_another_workload_covers_nothing():
    table = made_up_table(SMOKE, workload=Workload(input_length=32))
    assert LatencyPredictor(table).coverage(SMOKE) == 1
    elsewhere = set(made_up_table(SMOKE, workload=Workload(input_length=64)).entries)
    assert not elsewhere & set(table.entries)


def test_an_invalid_entry_is_never_used():
    document = made_up_table(SMOKE).to_dict()
    key = next(
        key for key in document["entries"] if key.startswith("attention(attention=linear,heads=2,hidden_size=16")
    )
    far_apart = Measurement.of(launches([1000, 1300, 1600, 1900, 2200]), CALM_NS)
    document["entries"][key] = far_apart.model_dump(mode="json")
    predictor = LatencyPredictor(LatencyTable.from_dict(json.loads(json.dumps(document))))
    workload = predictor.table.workload
    assert predictor.missing(SMOKE) == [key]
    architecture = next(a for a in SMOKE.enumerate() if key in {c.key for c in calls(a, workload, "prefill")})
    with pytest.raises(MissingEntry, match=r"no valid entry \(.*uncertain"):
        predictor.predict(architecture)


def test_an_invalid_whole_model_bends_nothing(predictor):
    document = made_up_table(SMOKE).to_dict()
    storm = Measurement.of(launches([10**7, 10**8, 10**9, 10**9, 10**9]), CALM_NS)
    document["whole_models"][3]["phases"]["prefill"] = storm.model_dump(mode="json")
    disturbed = LatencyPredictor(LatencyTable.from_dict(document))
    assert disturbed.errors()["whole_models"] == len(document["whole_models"]) - 1
    for architecture in samples(SMOKE, 20):
        calm = predictor.predict(architecture).latency_ms
        assert disturbed.predict(architecture).latency_ms == pytest.approx(calm, rel=0.02)


def test_a_table_with_too_few_whole_models_predicts_nothing():
    document = made_up_table(SMOKE).to_dict()
    for few in (6, 5, 0):
        document["whole_models"] = document["whole_models"][:few]
        with pytest.raises(InvalidInput, match="at least 7"):
            LatencyPredictor(LatencyTable.from_dict(document))


def test_the_errors_of_a_table_without_noise_are_near_zero(known):
    _, _, predictor, _ = known
    errors = predictor.errors()
    assert errors["mean_absolute_percent"] < 1
    assert abs(errors["bias_percent"]) < 1
    assert errors["within_7_percent"] == errors["within_15_percent"] == 1
    assert errors["interval_percent"] < 2
    assert errors["whole_models"] == len(predictor.table.whole_models)


def test_the_errors_are_those_of_models_that_the_fit_did_not_see():
    document = made_up_table(SMOKE).to_dict()
    model = document["whole_models"][10]
    twice = 2 * model["phases"]["prefill"]["latency_ns"]
    model["phases"]["prefill"] = Measurement.of(launches([twice] * 5), CALM_NS).model_dump(mode="json")
    errors = LatencyPredictor(LatencyTable.from_dict(document)).left_out_errors
    assert errors[10] == pytest.approx(-0.5, abs=0.02)


def test_a_prediction_takes_less_than_a_millisecond():
    predictor = LatencyPredictor(made_up_table(TEXT_ENCODER))
    architectures = samples(TEXT_ENCODER, 300)
    best = min(_cpu_s(predictor, architectures) for _ in range(5)) / len(architectures)
    print(f"{1e6 * best:.0f} µs a prediction")
    assert best < 1e-3


def _cpu_s(predictor, architectures) -> float:
    began = time.thread_time()
    for architecture in architectures:
        predictor.predict(architecture)
    return time.thread_time() - began


def test_made_up_latencies_differ_between_calls():
    entries = made_up_table(TEXT_ENCODER).entries
    assert len({entry.latency_ns for entry in entries.values()}) > 100
    for call in calls(samples(TEXT_ENCODER, 1)[0], workload_of(TEXT_ENCODER), "prefill"):
        assert by_key(call) == entries[call.key].latency_ns
