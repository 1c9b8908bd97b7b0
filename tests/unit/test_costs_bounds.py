"""The reach of every cost, with and without limits, is what enumerating the whole space finds."""

import itertools
import random

import pytest
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.costs import Limit, VectorisedCosts, cost_names, costs_of, reach
from nas.costs.bounds import Bounds
from nas.errors import InvalidInput
from nas.space import SearchSpace
from nas.workload import Workload


@pytest.fixture(scope="module", params=sorted(SMALL_SPACES))
def listed(request):
    """A small space, its workload, and every cost of every architecture of it."""
    space = small_space(request.param)
    workload = workload_of(space)
    everything = list(space.enumerate())
    costs = VectorisedCosts(space, workload).of(space.encode(everything))
    return space, workload, {name: values.tolist() for name, values in costs.items()}


def test_the_reach_of_every_cost_is_what_enumeration_finds(listed):
    space, workload, costs = listed
    bounds = Bounds(space, workload)
    for cost, values in costs.items():
        (lowest, at_lowest), (highest, at_highest) = bounds.of(cost)
        assert (lowest, highest) == (min(values), max(values)), cost
        for value, architecture in ((lowest, at_lowest), (highest, at_highest)):
            assert architecture in space
            assert costs_of(architecture, workload).named(space.family)[cost] == value


def test_the_reach_under_limits_is_what_enumeration_finds(listed):
    space, workload, costs = listed
    bounds, rng = Bounds(space, workload), random.Random(3)
    names = list(costs)
    met = 0
    for _ in range(60):
        limits = [
            Limit(name, rng.choice(costs[name]), at_most=name == "peak_activation_mb" or rng.random() < 0.8)
            for name in rng.sample(names, rng.choice([1, 2, 3]))
        ]
        kept = [
            row
            for row in range(len(costs["parameters"]))
            if all(costs[x.cost][row] <= x.value if x.at_most else costs[x.cost][row] >= x.value for x in limits)
        ]
        target = rng.choice(names)
        found = bounds.of(target, limits)
        if not kept:
            assert found is None, limits
            continue
        met += 1
        values = [costs[target][row] for row in kept]
        assert (found[0][0], found[1][0]) == (min(values), max(values)), (target, limits)
    assert met > 10


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("seq2seq", "lite-seq2seq", "hat-wmt")]


@pytest.mark.parametrize("name", ["text-encoder", "causal-decoder", *LONG])
def test_no_sample_of_a_large_space_lies_outside_the_reach(name):
    import numpy as np  # noqa: PLC0415

    space = SearchSpace.bundled(name)
    workload = workload_of(space)
    costs = VectorisedCosts(space, workload).of(space.sample_encoded(20_000, np.random.default_rng(1)))
    bounds = Bounds(space, workload)
    for cost, values in costs.items():
        (lowest, _), (highest, _) = bounds.of(cost)
        assert lowest <= values.min()
        assert values.max() <= highest


def test_limits_that_no_architecture_keeps_together_are_told_from_limits_that_each_can_be_kept():
    space, workload = SearchSpace.bundled("text-encoder"), Workload(input_length=64)
    bounds = Bounds(space, workload)
    few = Limit("parameters", 100_000)
    most = bounds.of("macs", [few])[1][0]
    assert bounds.of("macs")[1][0] > most  # the limit takes the largest away …
    together = [few, Limit("macs", most + 1, at_most=False)]
    assert all(bounds.of("parameters", [limit]) for limit in together)
    assert bounds.of("parameters", together) is None  # … and what it leaves is exact


def test_the_reach_of_a_space_of_1e30_architectures_is_found():
    document = SearchSpace.bundled("causal-decoder").to_document()
    document["decoder"]["depth"] = [24]
    space = SearchSpace.from_document(document)
    assert space.size > 10**30
    workload = Workload(input_length=64, output_length=8)
    bounds = Bounds(space, workload)
    unlimited = bounds.of("macs")
    limited = bounds.of("macs", [Limit("parameters", 2_000_000)])
    assert unlimited[0][0] <= limited[0][0] < limited[1][0] < unlimited[1][0]
    assert costs_of(limited[1][1], workload).parameters <= 2_000_000


def test_a_cost_that_the_family_does_not_have_is_refused_by_name():
    space = SearchSpace.bundled("smoke")
    for cost in ("joules", "kv_cache_mb"):
        with pytest.raises(InvalidInput, match="macs"):
            reach(space, cost, Workload(input_length=8))


def test_a_limit_on_the_least_peak_is_refused():
    limit = Limit("peak_activation_mb", 1.0, at_most=False)
    with pytest.raises(InvalidInput, match="peak_activation_mb"):
        reach(SearchSpace.bundled("smoke"), "macs", Workload(input_length=8), [limit])


def test_every_cost_of_a_family_has_a_reach():
    for name in sorted(SMALL_SPACES):
        space = small_space(name)
        for cost, size in itertools.product(cost_names(space.family), [1, 2]):
            assert reach(space, cost, workload_of(space, batch=size)) is not None
