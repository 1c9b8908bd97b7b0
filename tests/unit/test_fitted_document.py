"""The document of a fitted device, and what it predicts: inside what was measured, and nowhere else."""

import json
import random

import numpy as np
import pytest
from fitted_rows import COLUMNS, hat_csv, made_up, true_ms
from test_fitted_rows import averages, drawn, our_csv

from nas.architecture import Architecture
from nas.errors import InvalidInput
from nas.latency.fitted.document import FittedLatency, fit_device
from nas.latency.fitted.predictor import FittedPredictor
from nas.latency.fitted.rows import read_rows

TYPE_MS = {"softmax": 1.0, "linear": 0.7, "local": 0.9, "long-short": 1.2, "gated-convolution": 0.5}


def pi(**options):
    rows, latencies = made_up(600, noise=0.005)
    latencies[100:180] *= 1.4
    return fit_device("pi", read_rows(hat_csv(rows, latencies)), **options)[0]


def encoder_ms(architecture: Architecture) -> float:
    """Return a made-up truth for an encoder: what its attention types, widths and feed-forwards take."""
    stack = architecture.encoder
    ms = 0.3 + 1e-6 * stack.hidden_size * architecture.head.outputs
    for layer in stack.layers:
        ms += stack.repeats * TYPE_MS.get(layer.attention, 0.8) * (0.2 + 2e-3 * stack.hidden_size)
        ms += stack.repeats * 3e-6 * stack.hidden_size * layer.feed_forward_size
    return ms


@pytest.fixture(scope="module")
def document():
    return pi(fitted_rows=50, seed=1, hardware="a board", workload="30 tokens")


def test_the_document_says_what_was_left_out_and_how_far_off_the_fit_is(document):
    (block,) = document.drifted
    assert (block.first_row, block.last_row) == pytest.approx((101, 180), abs=3)
    assert block.slower_percent == pytest.approx(40, abs=3)
    assert document.rows_drifted == block.rows
    assert (document.rows, document.rows_fitted, document.cross_validated.rows) == (600, 50, 50)
    assert document.others.rows == 600 - 50 - block.rows
    assert document.others.mean_absolute_percent < 2.5
    assert document.others.kendall_tau > 0.95


def test_the_document_comes_back_from_json_as_it_was(document):
    assert FittedLatency.from_dict(json.loads(json.dumps(document.to_dict()))) == document


def test_the_same_file_and_seed_give_the_same_document(document):
    assert pi(fitted_rows=50, seed=1, hardware="a board", workload="30 tokens") == document
    assert pi(fitted_rows=50, seed=2).coefficients != document.coefficients


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("schema",), "pocketformer/fitted-latency/2", "fitted_latency.schema"),
        (("coefficients", "constant", "ms"), -1.0, "fitted_latency.coefficients.constant.ms"),
        (("coefficients", "magic"), {"ms": 1.0, "per": "layer"}, "fitted_latency.coefficients.magic"),
        (("ranges", "decoder.layers", "lowest"), 99.0, "fitted_latency.ranges.decoder.layers.lowest"),
        (("ranges", "decoder.colour"), {"lowest": 0.0, "highest": 1.0}, "fitted_latency.ranges.decoder.colour"),
        (("interval",), float("nan"), "fitted_latency.interval"),
        (("source_sha256",), "abc", "fitted_latency.source_sha256"),
        (("device",), "../pi", "fitted_latency.device"),
        (("fingerprint",), "0" * 64, "fitted_latency.fingerprint"),
    ],
)
def test_a_document_that_was_tampered_with_is_refused(document, path, value, field):
    raw = json.loads(json.dumps(document.to_dict()))
    place = raw
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(InvalidInput) as caught:
        FittedLatency.from_dict(raw)
    assert field in [problem.field for problem in caught.value.problems]


def test_a_document_without_a_fields_range_is_refused(document):
    raw = document.to_dict()
    del raw["ranges"]["decoder.layers"]
    with pytest.raises(InvalidInput, match=r"decoder\.layers"):
        FittedLatency.from_dict(raw)


def test_a_model_is_predicted_near_its_true_latency_and_its_terms_sum_to_that(document):
    predictor = FittedPredictor(document)
    inside = [a for a in drawn("hat-wmt", 200, seed=5) if 900 < averages(a)[2] < 2500 and 4 <= averages(a)[3] < 7]
    assert len(inside) > 100
    for architecture in inside:
        prediction = predictor.predict(architecture)
        truth = sum(true_ms(dict(zip(COLUMNS, averages(architecture), strict=True))))
        assert prediction.latency_ms == pytest.approx(truth, rel=0.05)
        assert sum(ms for _, ms in prediction.breakdown) == pytest.approx(prediction.latency_ms)
        assert prediction.lower_ms < prediction.latency_ms < prediction.upper_ms
        assert {name.split()[0] for name, _ in prediction.breakdown} <= {"constant", "encoder", "decoder", "output"}


def changed(architecture: Architecture, stack: str, **fields) -> Architecture:
    raw = architecture.to_dict()
    del raw["id"]
    raw[stack] |= fields
    return Architecture.from_dict(raw)


def test_what_was_not_measured_is_refused_by_field_value_and_range(document):
    predictor = FittedPredictor(document)
    (architecture,) = drawn("hat-wmt", 1)
    layer = architecture.to_dict()["decoder"]["layers"][0]
    deeper = changed(architecture, "decoder", layers=[layer] * 7)
    with pytest.raises(InvalidInput) as caught:
        predictor.predict(deeper)
    problem = next(p for p in caught.value.problems if p.field == "architecture.decoder.layers")
    assert problem.value == 7
    assert "1 to 6" in problem.allowed
    gelu = changed(architecture, "encoder", activation="gelu")
    with pytest.raises(InvalidInput, match=r"architecture\.activation: got 'gelu'"):
        predictor.predict(gelu)
    with pytest.raises(InvalidInput, match=r"architecture\.family: got 'encoder'"):
        predictor.predict(drawn("text-encoder", 1)[0])


def test_encoders_of_several_attention_types_are_fitted_from_our_own_form():
    architectures = drawn("text-encoder", 460)
    rng = np.random.default_rng(0)
    truth = np.array([encoder_ms(architecture) for architecture in architectures])
    measured = truth * (1 + 0.01 * rng.normal(size=len(truth)))
    document, _ = fit_device("x", read_rows(our_csv(architectures[:60], measured[:60])))
    assert document.families == ("encoder",)
    assert not any(name.startswith("decoder") for name in document.coefficients)
    predictor, errors, refused = FittedPredictor(document), [], 0
    for architecture, ms in zip(architectures[60:], truth[60:], strict=True):
        try:
            errors.append(predictor.predict(architecture).latency_ms / ms - 1)
        except InvalidInput:
            refused += 1
    assert np.mean(np.abs(errors)) < 0.03
    assert refused < 40  # more layers of one kind than in any of 60 rows


def test_a_row_in_another_unit_is_refused_by_row_and_column():
    rows, latencies = made_up(100)
    latencies[41] *= 1e6
    with pytest.raises(InvalidInput, match=r"row 42\.latency_mean_encoder \+ latency_mean_decoder"):
        fit_device("pi", read_rows(hat_csv(rows, latencies)))


def test_more_rows_than_there_are_cannot_be_fitted():
    rows, latencies = made_up(40)
    with pytest.raises(InvalidInput, match="--rows"):
        fit_device("pi", read_rows(hat_csv(rows, latencies)), fitted_rows=41)


def test_files_of_a_few_rows_are_fitted_or_refused_but_never_break():
    rng = random.Random(0)
    for count in (1, 5, 19, 20, 23, 30):
        read = read_rows(hat_csv(*made_up(count, rng.randrange(100))))
        if count < 20:
            with pytest.raises(InvalidInput, match="at least 20"):
                fit_device("pi", read)
        else:
            assert fit_device("pi", read)[0].rows_fitted == count
