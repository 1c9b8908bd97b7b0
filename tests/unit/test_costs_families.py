"""500 random architectures of every family and type: fvcore on the whole module = the sum over sub-blocks."""

import random

import pytest
from small_spaces import small_space

from nas.attention_types import ATTENTION_TYPES
from nas.costs import costs_of
from nas.costs.counting import whole_model_macs
from nas.models import build_model
from nas.space import SearchSpace
from nas.workload import Workload

SPACES = {  # how many of each
    "smoke": 30,
    "text-encoder": 120,
    "small-encoder": 40,
    "causal-decoder": 30,
    "small-decoder": 110,
    "seq2seq": 70,
    "lite-seq2seq": 24,
    "small-encoder-decoder": 61,
    "small-post-norm": 15,
}


def space_named(name):
    return small_space(name) if name.startswith("small") else SearchSpace.bundled(name)


def drawn(name):
    """Random architectures, half of them uniform over the space, half spread over its depths, with workloads."""
    space, rng = space_named(name), random.Random(name)
    shape = space.task_shape
    for index in range(SPACES[name]):
        a = space.sample(rng) if index % 2 else space.architecture(space.spread(rng, kinds=3))
        longest = shape.max_length - 4 if space.family == "decoder" else shape.max_length
        written = 0 if space.family == "encoder" else rng.choice([0, 1, 4])
        yield (
            a,
            Workload(
                batch=1 + index % 2, input_length=rng.choice([1, min(17, longest), longest]), output_length=written
            ),
        )


def test_there_are_500_of_every_type():
    assert sum(SPACES.values()) == 500
    used = {
        layer.attention for name in SPACES for a, _ in drawn(name) for _, stack in a.stacks for layer in stack.layers
    }
    assert used == set(ATTENTION_TYPES)


@pytest.mark.parametrize("name", SPACES)
def test_sums_over_sub_blocks_equal_fvcore_on_the_whole_model(name):
    check_sums(list(drawn(name))[::10])


@pytest.mark.long
@pytest.mark.parametrize("name", SPACES)
def test_sums_over_sub_blocks_equal_fvcore_on_the_whole_model_500_times(name):
    check_sums(list(drawn(name)))


def check_sums(models):
    for architecture, workload in models:
        costs = costs_of(architecture, workload)
        words = f"{workload.key}: {architecture.canonical_json}"
        assert costs.macs_prefill == whole_model_macs(architecture, workload, "prefill"), words
        if architecture.family == "encoder":
            assert (costs.macs_step, costs.kv_cache_mb, costs.macs) == (0, 0.0, costs.macs_prefill)
        else:
            assert costs.macs_step == whole_model_macs(architecture, workload, "step"), words
        model = build_model(architecture)
        assert costs.parameters == sum(p.numel() for p in model.parameters()), words
        assert costs.size_mb == costs.parameters * 4 / 1e6
        embeddings = [m for m in model.modules() if type(m).__name__ == "Embedding" and hasattr(m, "has_segments")]
        embedded = sum(p.numel() for m in embeddings for p in m.parameters())
        assert costs.parameters_without_embeddings == costs.parameters - embedded
        int8 = sum(p.numel() + 4 * len(p) if p.ndim > 1 else 4 * p.numel() for p in model.parameters())
        assert costs.size_int8_mb == int8 / 1e6


def test_models_of_a_published_translation_space_are_counted_whole_as_in_parts():
    space, rng = SearchSpace.bundled("hat-wmt"), random.Random(0)
    for length in (1, 7, 30):
        architecture = space.architecture(space.spread(rng, kinds=3))
        workload = Workload(input_length=length, output_length=length)
        costs = costs_of(architecture, workload)
        assert costs.macs_prefill == whole_model_macs(architecture, workload, "prefill")
        assert costs.macs_step == whole_model_macs(architecture, workload, "step")
