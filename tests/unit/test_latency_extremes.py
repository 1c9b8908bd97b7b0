"""The extremes of a space: architectures that there are, as near the true ones as enumeration can tell."""

import random

import numpy as np
import pytest
from latency_tables import made_up_table, truth_of
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.errors import MissingEntry
from nas.latency.correction import Correction
from nas.latency.extremes import extreme
from nas.latency.plan import whole_models_of
from nas.latency.predict import LatencyPredictor
from nas.latency.vectorised import VectorisedLatency
from nas.space import SearchSpace
from nas.sub_blocks.calls import Call

CLOSE = 0.01
_EVERY = {}


def every(name: str):
    """Every architecture of a small space, encoded."""
    space = SearchSpace.bundled("smoke") if name == "smoke" else small_space(name)
    if name not in _EVERY:
        _EVERY[name] = space.encode(list(space.enumerate()))
    return space, _EVERY[name]


def a_table(space: SearchSpace, seed: int):
    """Return a table in which fast options may be heavy and slow ones light, with a passage as steep as chance has."""
    rng = random.Random(seed)
    latency: dict[str, int] = {}

    def any_latency(call: Call) -> int:
        return latency.setdefault(call.key, rng.randint(5_000, 60_000))

    workload = workload_of(space)
    truth = truth_of(space, workload, whole_models_of(space, workload, 40, seed=0))
    steeper = {
        phase: Correction(
            rng.uniform(0, 20_000),
            rng.uniform(-2_000, 0),
            rng.uniform(0, 1.5),
            rng.uniform(0, 2_000),
            rng.uniform(0, 4) * fitted.byte_ns,
            fitted.lower_knee,
            fitted.lower_knee + rng.uniform(0.2, 1) * (fitted.upper_knee - fitted.lower_knee),
        )
        for phase, fitted in truth.items()
    }
    return made_up_table(space, any_latency, steeper)


@pytest.mark.parametrize("name", [*SMALL_SPACES, "smoke"])
@pytest.mark.parametrize(("seed", "bound"), [(0, "latency_ms"), (1, "upper_ms")])
def test_the_extremes_are_those_of_all_architectures_within_a_percent(name, seed, bound):
    space, encoded = every(name)
    predictor = LatencyPredictor(a_table(space, seed))
    brute = getattr(VectorisedLatency(predictor, space).of(encoded), bound)
    for least, true in ((True, brute.min()), (False, brute.max())):
        latency_ms, architecture = extreme(predictor, space, least=least, bound=bound)
        assert architecture in space
        assert getattr(predictor.predict(architecture), bound) == latency_ms
        beyond = true / latency_ms - 1 if least else latency_ms / true - 1
        assert -CLOSE < beyond < 1e-9


@pytest.mark.parametrize(
    "name",
    [
        "causal-decoder",
        pytest.param("text-encoder", marks=pytest.mark.long),
        pytest.param("lite-seq2seq", marks=pytest.mark.long),
    ],
)
def test_no_random_architecture_of_a_large_space_lies_beyond_its_extremes(name):
    space = SearchSpace.bundled(name)
    predictor = LatencyPredictor(a_table(space, 0))
    (least, quickest), (greatest, slowest) = (extreme(predictor, space, least=each) for each in (True, False))
    assert quickest in space
    assert slowest in space
    rng = random.Random(0)
    spread = [space.architecture(space.spread(rng, kinds=rng.choice((1, 2, 99)))) for _ in range(2_000)]
    encoded = space.encode(spread)
    at_random = space.sample_encoded(100_000, np.random.default_rng(0))
    for chosen in (encoded, at_random):
        found = VectorisedLatency(predictor, space).of(chosen).latency_ms
        assert least * (1 - 1e-9) <= found.min()
        assert found.max() <= greatest * (1 + 1e-9)


def test_the_extremes_of_a_space_that_the_table_does_not_cover_are_refused():
    predictor = LatencyPredictor(made_up_table(SearchSpace.bundled("smoke")))
    with pytest.raises(MissingEntry):
        extreme(predictor, SearchSpace.bundled("text-encoder"), least=True)
