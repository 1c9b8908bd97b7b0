"""All predictions at once: the same numbers as one by one, and a million of them in seconds."""

import random
import time

import numpy as np
import pytest
from latency_tables import made_up_table
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.errors import MissingEntry
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.latency.vectorised import ROWS_AT_ONCE, VectorisedLatency
from nas.space import SearchSpace

BUNDLED = ("causal-decoder", "lite-seq2seq", "text-encoder")
MILLION = 1_000_000


def any_space(name: str) -> SearchSpace:
    return small_space(name) if name in SMALL_SPACES else SearchSpace.bundled(name)


def refuse_difference(space: SearchSpace, predictor: LatencyPredictor, architectures) -> None:
    found = VectorisedLatency(predictor, space).of(space.encode(architectures))
    one_by_one = [predictor.predict(architecture) for architecture in architectures]
    for name in ("latency_ms", "lower_ms", "upper_ms"):
        wanted = np.array([getattr(each, name) for each in one_by_one])
        assert getattr(found, name).shape == (len(architectures),)
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", [*SMALL_SPACES, *BUNDLED])
@pytest.mark.parametrize("batch", [1, 3])
def test_predictions_at_once_are_those_one_by_one(name, batch):
    space = any_space(name)
    predictor = LatencyPredictor(made_up_table(space, workload=workload_of(space, batch)))
    rng = random.Random(batch)
    drawn = [space.architecture(space.spread(rng, kinds=rng.randint(1, 9))) for _ in range(200)]
    refuse_difference(space, predictor, drawn)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n == "small-encoder-decoder")) for n in SMALL_SPACES]
)
def test_every_architecture_of_a_small_space_is_predicted_alike(name):
    space = small_space(name)
    predictor = LatencyPredictor(made_up_table(space))
    found = VectorisedLatency(predictor, space)
    every = list(space.enumerate())
    at_once = found.of(space.encode(every)).latency_ms
    np.testing.assert_allclose(at_once, [predictor.predict(a).latency_ms for a in every], rtol=1e-9, atol=0)


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
def test_any_number_of_architectures_is_predicted(count):
    space = SearchSpace.bundled("smoke")
    predictor = LatencyPredictor(made_up_table(space))
    encoded = space.sample_encoded(count, np.random.default_rng(count))
    found = VectorisedLatency(predictor, space).of(encoded)
    assert found.latency_ms.shape == found.lower_ms.shape == found.upper_ms.shape == (count,)
    for row in {0, count // 2, count - 1} & set(range(count)):
        (architecture,) = space.decode(encoded[row : row + 1])
        wanted = predictor.predict(architecture).latency_ms
        assert found.latency_ms[row] == pytest.approx(wanted, rel=1e-9)


def test_a_space_with_a_call_that_the_table_lacks_is_refused():
    space = small_space("small-encoder-decoder")
    document = made_up_table(space).to_dict()
    gone = next(key for key in document["entries"] if key.startswith("cross_attention") and ".prepare" in key)
    del document["entries"][gone]
    predictor = LatencyPredictor(LatencyTable.from_dict(document))
    with pytest.raises(MissingEntry, match="cross_attention"):
        VectorisedLatency(predictor, space)


def test_a_million_predictions_with_their_intervals_take_seconds():
    space = SearchSpace.bundled("text-encoder")
    predictor = LatencyPredictor(made_up_table(space))
    encoded = space.sample_encoded(MILLION, np.random.default_rng(0))
    began = time.thread_time()
    found = VectorisedLatency(predictor, space).of(encoded)
    cpu_s = time.thread_time() - began
    print(f"a million predictions: {cpu_s:.2f} s of one core")
    assert len(found.latency_ms) == len(found.lower_ms) == len(found.upper_ms) == MILLION
    assert (found.lower_ms < found.latency_ms).all()
    assert (found.latency_ms < found.upper_ms).all()
    assert cpu_s < 6
