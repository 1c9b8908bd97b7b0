"""The vectorised costs equal `costs_of`, which equals fvcore on whole models (test_costs_families.py), to the unit."""

import random

import numpy as np
import pytest
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.costs import VectorisedCosts, cost_names, costs_of
from nas.space import SearchSpace
from nas.workload import Workload


def agrees(space, architectures, workload):
    found = VectorisedCosts(space, workload).of(space.encode(architectures))
    assert tuple(found) == cost_names(space.family)
    for row, architecture in enumerate(architectures):
        single = costs_of(architecture, workload).named(space.family)
        assert {name: values[row] for name, values in found.items()} == single, architecture.canonical_json


@pytest.mark.parametrize("name", sorted(SMALL_SPACES))
def test_every_architecture_of_a_small_space_costs_the_same_in_both_ways(name):
    space, rng = small_space(name), random.Random(0)
    everything = list(space.enumerate())
    for batch in (1, 3):
        agrees(space, rng.sample(everything, min(150, len(everything))), workload_of(space, batch))


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("tiny-encoder", "seq2seq", "hat-wmt")]


@pytest.mark.parametrize("name", ["smoke", "text-encoder", "causal-decoder", "lite-seq2seq", *LONG])
def test_random_architectures_of_every_bundled_space_cost_the_same_in_both_ways(name):
    space, rng = SearchSpace.bundled(name), random.Random(1)
    spread = [space.architecture(space.spread(rng, kinds=3)) for _ in range(30)]
    agrees(space, [space.sample(rng) for _ in range(30)] + spread, workload_of(space))


def test_what_is_sampled_as_arrays_costs_what_its_architectures_cost():
    space = SearchSpace.bundled("seq2seq")
    workload = Workload(input_length=9, output_length=0)
    encoded = space.sample_encoded(50, np.random.default_rng(0))
    found = VectorisedCosts(space, workload).of(encoded)
    for row, architecture in enumerate(space.decode(encoded)):
        assert found["macs"][row] == costs_of(architecture, workload).macs == found["macs_prefill"][row]


def test_counts_beyond_64_bits_stay_exact():
    document = SearchSpace.bundled("smoke").to_document()
    document["encoder"] |= {"hidden_size": [65_536], "depth": [256]}
    document["encoder"]["layer"] = {"attention": {"softmax": {"heads": [2]}}, "feed_forward_size": [65_536]}
    document["task_shape"]["max_length"] = 8192
    space, workload = SearchSpace.from_document(document), Workload(batch=1024, input_length=8192)
    architecture = space.sample(random.Random(0))
    macs = VectorisedCosts(space, workload).of(space.encode([architecture]))["macs"][0]
    assert macs == costs_of(architecture, workload).macs > 2**64


def test_no_architectures_cost_nothing():
    space = SearchSpace.bundled("smoke")
    found = VectorisedCosts(space, Workload(input_length=8)).of(space.encode([]))
    assert all(len(values) == 0 for values in found.values())
