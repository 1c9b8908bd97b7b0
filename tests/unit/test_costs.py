"""Costs: hand-derived counts, sub-blocks against whole models, extremes against enumeration."""

import random

import pytest
import torch

from nas.costs import COST_NAMES, costs_of, macs_of_sub_block, reach, whole_model_macs
from nas.costs.fvcore_counts import count_macs
from nas.errors import InvalidInput, UncountedOperator
from nas.models import SubBlock, build_model
from nas.space import SearchSpace
from nas.workload import Workload

T, D = 96, 128
WORKLOAD = Workload(input_length=T)
NORM = 5 * T * D  # fvcore counts a layer norm as five operations an element


def attention(name, **choices):
    return SubBlock.of("attention", hidden_size=D, norm_position="pre", attention=name, **choices)


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_softmax_attention_costs_four_projections_and_two_products_of_all_pairs(heads):
    expected = 4 * T * D * D + 2 * T * T * D + NORM
    assert macs_of_sub_block(attention("softmax", heads=heads), WORKLOAD) == expected


def test_a_sub_block_too_large_for_any_memory_costs_what_the_formula_says():
    d = 200_000
    block = SubBlock.of("attention", hidden_size=d, norm_position="pre", attention="softmax", heads=4)
    assert macs_of_sub_block(block, WORKLOAD) == 4 * T * d * d + 2 * T * T * d + 5 * T * d


def test_fvcore_alone_would_miss_the_attention_of_the_example_in_its_documentation():
    block = SubBlock.of("attention", hidden_size=256, norm_position="pre", attention="softmax", heads=4)
    assert macs_of_sub_block(block, Workload(input_length=128)) == 41_943_040 + 5 * 128 * 256


@pytest.mark.parametrize(("heads", "key_value_heads"), [(4, 1), (4, 2), (8, 2)])
def test_grouped_query_attention_saves_projections_and_nothing_else(heads, key_value_heads):
    narrow = D // heads * key_value_heads
    expected = T * D * (D + 2 * narrow) + T * D * D + 2 * T * T * D + NORM
    block = attention("grouped-query", heads=heads, key_value_heads=key_value_heads)
    assert macs_of_sub_block(block, WORKLOAD) == expected


@pytest.mark.parametrize("heads", [2, 8])
def test_linear_attention_costs_grow_with_the_length_and_not_with_its_square(heads):
    e = D // heads
    expected = 4 * T * D * D + 2 * T * D * e + T * D + NORM  # φ(K)ᵀV and φ(Q)·that; φ(Q)·Σφ(K)
    assert macs_of_sub_block(attention("linear", heads=heads), WORKLOAD) == expected


def test_the_other_sub_blocks_cost_their_matrices():
    ff = SubBlock.of("feed_forward", hidden_size=D, norm_position="post", feed_forward_size=3 * D, activation="gelu")
    head = SubBlock.of("head", hidden_size=D, norm_position="pre", outputs=35)
    embedding = SubBlock.of("embedding", hidden_size=D, vocabulary_size=259, max_length=T, positions="learned")
    assert macs_of_sub_block(ff, WORKLOAD) == 2 * T * D * 3 * D + NORM
    assert macs_of_sub_block(head, WORKLOAD) == D * 35 + NORM
    assert macs_of_sub_block(embedding, WORKLOAD) == 0


def test_a_batch_costs_its_size_times_one_sequence():
    block = attention("softmax", heads=4)
    assert macs_of_sub_block(block, Workload(batch=3, input_length=T)) == 3 * macs_of_sub_block(block, WORKLOAD)


def test_sums_over_sub_blocks_equal_fvcore_on_the_whole_model_for_200_random_architectures():
    space, rng = SearchSpace.bundled("text-encoder"), random.Random(11)
    for index in range(200):
        architecture = space.sample(rng)
        workload = Workload(batch=1 + index % 2, input_length=rng.choice([1, 17, 64]))
        costs = costs_of(architecture, workload)
        model = build_model(architecture)
        assert costs.macs == whole_model_macs(architecture, workload), architecture.canonical_json
        assert costs.parameters == sum(p.numel() for p in model.parameters())
        embedding = sum(p.numel() for p in model.blocks[0].parameters())
        assert costs.parameters_without_embeddings == costs.parameters - embedding
        assert costs.size_mb == costs.parameters * 4 / 1e6


def test_an_uncounted_operator_of_the_matmul_class_is_an_error():
    class Distances(torch.nn.Module):
        def forward(self, x):
            return torch.cdist(x, x)

    with pytest.raises(UncountedOperator, match="cdist"):
        count_macs(Distances(), (torch.randn(1, 4, 4),))


@pytest.mark.parametrize("cost", COST_NAMES)
def test_the_reach_of_a_cost_is_what_enumeration_finds(cost):
    space = SearchSpace.bundled("smoke")
    values = [getattr(costs_of(a, WORKLOAD.model_copy(update={"input_length": 16})), cost) for a in space.enumerate()]
    (lowest, at_lowest), (highest, at_highest) = reach(space, cost, Workload(input_length=16))
    assert (lowest, highest) == (min(values), max(values))
    assert getattr(costs_of(at_lowest, Workload(input_length=16)), cost) == lowest
    assert at_highest in space


def test_an_unknown_cost_is_refused_by_name():
    with pytest.raises(InvalidInput, match="macs"):
        reach(SearchSpace.bundled("smoke"), "joules", WORKLOAD)
