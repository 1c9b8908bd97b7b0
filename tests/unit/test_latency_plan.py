"""What is planned to be measured: every call that architectures make and no other, and models of all sizes."""

import math
import random
from itertools import pairwise

import pytest
from small_spaces import SMALL_SPACES, small_space, workload_of

from nas.latency.plan import kept_bytes_of_call, phase_runs, weight_bytes_of_call, whole_models_of, working_bytes
from nas.models import build_model
from nas.space import SearchSpace
from nas.sub_blocks.calls import calls, phases
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

BUNDLED = ("causal-decoder", "hat-wmt", "lite-seq2seq", "seq2seq", "smoke", "text-encoder", "tiny-encoder")
SMOKE = SearchSpace.bundled("smoke")


def made_by(architectures, workload):
    """Every call that these architectures make."""
    return {
        call for a in architectures for phase in phase_runs(a.family, workload) for call in calls(a, workload, phase)
    }


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_call_of_any_architecture_is_among_those_of_its_space(name, batch):
    space = SearchSpace.bundled(name)
    workload = workload_of(space, batch)
    planned = calls_of_space(space, workload)
    rng = random.Random(name)
    drawn = [
        space.sample(rng) if n % 2 else space.architecture(space.spread(rng, kinds=rng.randint(1, 9)))
        for n in range(100)
    ]
    assert made_by(drawn, workload) <= set(planned)
    keys = [call.key for call in planned]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("name", [*SMALL_SPACES, "smoke"])
def test_the_calls_of_a_space_are_those_of_all_its_architectures_and_no_other(name):
    space = SMOKE if name == "smoke" else small_space(name)
    workload = workload_of(space, batch=2)
    assert set(calls_of_space(space, workload)) == made_by(space.enumerate(), workload)


@pytest.mark.parametrize("name", ["causal-decoder", "lite-seq2seq", "text-encoder"])
def test_every_call_of_a_larger_space_is_made_by_some_architecture(name):
    space = SearchSpace.bundled(name)
    workload = workload_of(space)
    planned = set(calls_of_space(space, workload))
    rng = random.Random(name)
    for _ in range(4_000):
        if not planned:
            break
        planned -= made_by([space.architecture(space.spread(rng, kinds=99))], workload)
    assert planned == set()


def test_a_decoder_that_writes_nothing_is_planned_without_steps():
    space = small_space("small-decoder")
    workload = Workload(input_length=8)
    assert set(calls_of_space(space, workload)) == made_by(space.enumerate(), workload)


@pytest.mark.parametrize(
    ("family", "output_length", "runs"),
    [
        ("encoder", 0, {"prefill": 1}),
        ("decoder", 0, {"prefill": 1}),
        ("decoder", 5, {"prefill": 1, "step": 5}),
        ("encoder-decoder", 1, {"prefill": 1, "step": 1}),
    ],
)
def test_a_step_runs_for_every_token_that_is_written(family, output_length, runs):
    found = phase_runs(family, Workload(input_length=8, output_length=output_length))
    assert found == runs
    assert list(found) == [phase for phase in phases(family) if phase in runs]


def test_the_bytes_of_an_encoder_are_those_of_its_weights_without_the_embedding():
    rng = random.Random(0)
    for _ in range(20):
        architecture = SMOKE.sample(rng)
        model = build_model(architecture)
        weights = sum(p.numel() for p in model.parameters()) - 259 * architecture.encoder.hidden_size
        workload = Workload(input_length=16)
        moved = working_bytes(architecture, workload, "prefill", "fp32")
        assert moved == 4 * weights
        # A matrix shrinks to a quarter, the rest stays as it is
        assert moved / 4 < working_bytes(architecture, workload, "prefill", "int8-dynamic") < moved / 2


def test_a_step_goes_through_its_cache_and_the_more_the_longer_it_is():
    space = small_space("small-decoder")
    architecture = space.sample(random.Random(1))
    short, long = Workload(input_length=4, output_length=4), Workload(input_length=8, output_length=4)
    moved = [working_bytes(architecture, workload, "step", "fp32") for workload in (short, long)]
    assert moved[0] < moved[1]
    assert len({working_bytes(architecture, workload, "prefill", "fp32") for workload in (short, long)}) == 1


def test_a_grouped_query_step_keeps_keys_and_values_twice_beside_its_weights():
    space = small_space("small-decoder")
    workload = Workload(input_length=8, output_length=4)
    every = calls_of_space(space, workload)
    call = next(c for c in every if c.method == "step" and "grouped-query" in c.key and "head_size" not in c.key)
    prefill = next(c for c in every if c.method == "prefill" and c.sub_block == call.sub_block)
    # One head of width 4 for keys, one for values, twelve tokens, four bytes
    assert kept_bytes_of_call(call) == 2 * 2 * 4 * 12 * 4
    assert kept_bytes_of_call(prefill) == 0
    assert weight_bytes_of_call(call, "fp32") == weight_bytes_of_call(prefill, "fp32")


def test_weights_that_are_shared_by_repeated_layers_stand_in_the_memory_once():
    space = small_space("small-encoder")
    workload = workload_of(space)
    by_repeats = {}
    for architecture in space.enumerate():
        document = architecture.to_dict()
        repeats = document["encoder"].pop("repeats", 1)
        document.pop("id")
        by_repeats.setdefault(repr(document), {})[repeats] = working_bytes(architecture, workload, "prefill", "fp32")
    pairs = [sizes for sizes in by_repeats.values() if len(sizes) == 2]
    assert len(pairs) > 100
    assert all(sizes[1] == sizes[2] for sizes in pairs)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_whole_models_of_a_plan_differ_and_spread_over_all_sizes(name):
    space = SearchSpace.bundled(name)
    workload = workload_of(space)
    models = whole_models_of(space, workload, 24, seed=0)
    sizes = [
        math.log(sum(working_bytes(m, workload, phase, "fp32") for phase in phase_runs(m.family, workload)))
        for m in models
    ]
    assert len({model.id for model in models}) == 24
    assert all(model in space for model in models)
    assert sizes == sorted(sizes)
    # Of twelve that are even in the logarithm no gap is much wider than an even one
    assert max(b - a for a, b in pairwise(sizes)) < 2.5 * (sizes[-1] - sizes[0]) / 11
    # They reach nearly as far as anything that is drawn at random
    rng = random.Random(99)
    drawn = [space.architecture(space.spread(rng, kinds=rng.choice((1, 9)))) for _ in range(200)]
    random_sizes = [
        math.log(sum(working_bytes(m, workload, phase, "fp32") for phase in phase_runs(m.family, workload)))
        for m in drawn
    ]
    width = sizes[-1] - sizes[0]
    assert sizes[0] <= min(random_sizes) + 0.1 * width
    assert sizes[-1] >= max(random_sizes) - 0.1 * width


def test_half_of_the_whole_models_of_a_plan_are_made_of_layers_drawn_each_on_its_own():
    space = SearchSpace.bundled("text-encoder")
    deep = [
        model.encoder.layers
        for seed in range(5)
        for model in whole_models_of(space, Workload(input_length=64), 40, seed)
        if len(model.encoder.layers) >= 4
    ]
    mixed = sum(len(set(layers)) >= len(layers) - 1 for layers in deep)
    assert 0.45 < mixed / len(deep) < 0.85


def test_the_whole_models_of_a_plan_are_the_same_for_the_same_seed():
    space = SearchSpace.bundled("text-encoder")
    workload = workload_of(space)
    models = whole_models_of(space, workload, 18, seed=0)
    assert models == whole_models_of(space, workload, 18, seed=0)
    assert models != whole_models_of(space, workload, 18, seed=1)


def test_the_whole_models_of_a_plan_have_every_depth_and_width():
    space = SearchSpace.bundled("text-encoder")
    models = whole_models_of(space, workload_of(space), 40, seed=0)
    choices = space.to_document()["encoder"]
    assert {len(m.encoder.layers) for m in models} == set(choices["depth"])
    assert {m.encoder.hidden_size for m in models} == set(choices["hidden_size"])


def test_a_space_with_few_architectures_is_planned_with_all_of_them():
    document = SMOKE.to_document()
    document["encoder"]["depth"] = [1]
    document["encoder"]["hidden_size"] = [16]
    few = SearchSpace.from_document(document)
    planned = whole_models_of(few, Workload(input_length=16), 18, seed=0)
    assert {a.id for a in planned} == {a.id for a in few.enumerate()}
