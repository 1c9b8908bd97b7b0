"""Costs: counts derived by hand for every sub-block and phase; operators that fvcore does not know."""

import pytest
import torch

from nas.architecture import Architecture
from nas.costs import costs_of, macs_of_call, parameters_of_sub_block
from nas.costs.fvcore_counts import count_macs
from nas.costs.sub_block_costs import cache_bytes_of_call, int8_bytes_of_sub_block
from nas.errors import UncountedOperator
from nas.sub_blocks import Call, SubBlock
from nas.workload import Workload

T, D = 96, 128
ROOM = 100
NORM = 5 * T * D  # fvcore counts a layer norm as five operations an element
STEP_NORM = 5 * D
LAYER = {"hidden_size": D, "norm_position": "pre"}


def attention(name, **choices):
    return SubBlock.of("attention", **LAYER, attention=name, **choices)


def forward(block, tokens=T, batch=1, context=0):
    return macs_of_call(Call(block, "forward", batch, tokens, context))


def step(block, room=ROOM, batch=1):
    return macs_of_call(Call(block, "step", batch, 1, room))


def prefill(block, room=ROOM):
    return macs_of_call(Call(block, "prefill", 1, T, room))


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_softmax_attention_costs_four_projections_and_two_products_of_all_pairs(heads):
    assert forward(attention("softmax", heads=heads)) == 4 * T * D * D + 2 * T * T * D + NORM


def test_a_head_size_of_its_own_makes_the_projections_and_products_as_wide():
    width = 3 * 20
    assert forward(attention("softmax", heads=3, head_size=20)) == 4 * T * D * width + 2 * T * T * width + NORM


def test_causal_softmax_attention_is_counted_in_full_and_a_step_reads_the_whole_cache():
    block = attention("softmax", heads=4, causal=True)
    assert prefill(block) == forward(block) == 4 * T * D * D + 2 * T * T * D + NORM
    assert step(block) == 4 * D * D + 2 * ROOM * D + STEP_NORM


def test_a_sub_block_too_large_for_any_memory_costs_what_the_formula_says():
    d = 200_000
    block = SubBlock.of("attention", hidden_size=d, norm_position="pre", attention="softmax", heads=4)
    assert forward(block) == 4 * T * d * d + 2 * T * T * d + 5 * T * d


def test_fvcore_alone_would_miss_the_attention_of_the_example_in_its_documentation():
    block = SubBlock.of("attention", hidden_size=256, norm_position="pre", attention="softmax", heads=4)
    assert forward(block, tokens=128) == 41_943_040 + 5 * 128 * 256


@pytest.mark.parametrize(("heads", "key_value_heads"), [(4, 1), (4, 2), (8, 2)])
def test_grouped_query_attention_saves_projections_and_nothing_else(heads, key_value_heads):
    narrow = D // heads * key_value_heads
    choices = {"heads": heads, "key_value_heads": key_value_heads}
    expected = T * D * (D + 2 * narrow) + T * D * D + 2 * T * T * D + NORM
    assert forward(attention("grouped-query", **choices)) == expected
    causal = attention("grouped-query", **choices, causal=True)
    assert step(causal) == D * (D + 2 * narrow) + D * D + 2 * ROOM * D + STEP_NORM
    assert cache_bytes_of_call(Call(causal, "step", 2, 1, ROOM)) == 2 * 2 * ROOM * narrow * 4


@pytest.mark.parametrize("heads", [2, 8])
def test_linear_attention_costs_grow_with_the_length_and_not_with_its_square(heads):
    e = D // heads
    expected = 4 * T * D * D + 2 * T * D * e + T * D + NORM  # φ(K)ᵀV and φ(Q)·that; φ(Q)·Σφ(K)
    assert forward(attention("linear", heads=heads)) == expected


def test_causal_linear_attention_costs_scores_within_chunks_and_sums_between_them():
    e, chunk, padded = D // 4, 64, 128
    block = attention("linear", heads=4, causal=True)
    within = 2 * padded * chunk * D
    between = chunk * D * e + padded * D * e + padded * D  # φ(K)ᵀV of all chunks but the last; read by every query
    assert forward(block) == 4 * T * D * D + within + between + NORM
    assert step(block) == 4 * D * D + 2 * D * e + D + STEP_NORM
    assert prefill(block) == forward(block) + T * D * e  # the sums that are remembered
    assert cache_bytes_of_call(Call(block, "step", 3, 1, ROOM)) == 3 * 4 * (e * e + e) * 4


def test_local_attention_costs_grow_with_the_window():
    window, blocks = 8, T // 8
    projections = 4 * T * D * D + NORM
    assert forward(attention("local", heads=4, window=window)) == projections + 2 * blocks * window * 3 * window * D
    causal = attention("local", heads=4, window=window, causal=True)
    assert forward(causal) == projections + 2 * blocks * window * 2 * window * D
    assert step(causal) == 4 * D * D + 2 * window * D + STEP_NORM
    assert cache_bytes_of_call(Call(causal, "step", 1, 1, ROOM)) == 2 * window * D * 4


@pytest.mark.parametrize("causal", [False, True])
def test_long_short_attention_costs_attention_and_convolution_on_half_the_channels_each(causal):
    half, kernel = D // 2, 7
    block = attention("long-short", heads=4, kernel_size=kernel, causal=causal)
    long = 4 * T * half * half + 2 * T * T * half
    short = T * half * 2 * half + T * half * kernel + T * half * half  # into the gated linear unit; filter; out
    assert forward(block) == long + short + NORM
    if causal:
        assert step(block) == 4 * half**2 + 2 * ROOM * half + 3 * half**2 + half * kernel + STEP_NORM
        expected = 2 * ROOM * half + (kernel - 1) * half
        assert cache_bytes_of_call(Call(block, "step", 1, 1, ROOM)) == expected * 4


def test_a_gated_convolution_costs_four_projections_and_a_filter_of_three_taps():
    block = attention("gated-convolution", causal=True)
    assert forward(block) == forward(attention("gated-convolution")) == 4 * T * D * D + 3 * T * D + NORM
    assert step(block) == 4 * D * D + 3 * D + STEP_NORM
    assert cache_bytes_of_call(Call(block, "step", 1, 1, ROOM)) == 2 * D * 4


def test_low_rank_attention_costs_grow_with_the_rank():
    block = attention("low-rank", heads=4, rank=16, max_length=T)
    assert forward(block) == 4 * T * D * D + 2 * 16 * T * D + 2 * T * 16 * D + NORM
    assert parameters_of_sub_block(block) == 4 * D * D + 4 * D + 2 * 16 * T + 2 * D


def test_rotary_positions_multiply_no_matrices():
    block = attention("softmax", heads=4)
    assert forward(attention("softmax", heads=4, rotary=True)) == forward(block)


def test_cross_attention_projects_the_source_once_and_reads_it_at_every_step():
    source, wide = 50, 192
    block = SubBlock.of("cross_attention", **LAYER, memory_size=wide, attention="softmax", heads=4)
    prepare = Call(block, "prepare", 1, 1, source)
    assert macs_of_call(prepare) == 2 * source * wide * D
    assert cache_bytes_of_call(prepare) == 2 * source * D * 4
    assert forward(block, tokens=1, context=source) == 2 * D * D + 2 * source * D + STEP_NORM
    few = SubBlock.of(
        "cross_attention", **LAYER, memory_size=wide, attention="grouped-query", heads=4, key_value_heads=1
    )
    assert macs_of_call(Call(few, "prepare", 1, 1, source)) == 2 * source * wide * D // 4
    linear = SubBlock.of("cross_attention", **LAYER, memory_size=wide, attention="linear", heads=4)
    assert macs_of_call(Call(linear, "prepare", 1, 1, source)) == 2 * source * wide * D + source * D * D // 4
    assert forward(linear, tokens=1, context=source) == 2 * D * D + D * D // 4 + D + STEP_NORM


def test_the_other_sub_blocks_cost_their_matrices():
    ff = SubBlock.of("feed_forward", hidden_size=D, norm_position="post", feed_forward_size=3 * D, activation="gelu")
    gated = SubBlock.of("feed_forward", **LAYER, feed_forward_size=3 * D, activation="swiglu", norm="rms", bias=False)
    head = SubBlock.of("head", **LAYER, outputs=35)
    pooler = SubBlock.of("head", hidden_size=D, norm_position="post", outputs=2, pooling="first")
    embedding = SubBlock.of("embedding", hidden_size=D, vocabulary_size=259, max_length=T, positions="learned")
    factorised = SubBlock.of(
        "embedding", hidden_size=D, vocabulary_size=259, max_length=T, positions="learned", embedding_size=16
    )
    assert forward(ff) == 2 * T * D * 3 * D + NORM
    assert forward(gated) == 3 * T * D * 3 * D  # an RMS norm multiplies elements alone, which nobody counts
    assert forward(head) == D * 35 + NORM
    assert forward(pooler) == D * D + 2 * D
    assert forward(embedding) == 0
    assert forward(factorised) == T * 16 * D
    assert forward(SubBlock.of("memory", hidden_size=D)) == NORM


def test_a_tied_head_costs_its_product_and_has_no_weights_but_the_norm():
    tied = SubBlock.of("head", **LAYER, outputs=1000, pooling="none", bias=False, tied=True)
    free = SubBlock.of("head", **LAYER, outputs=1000, pooling="none", bias=False)
    assert forward(tied, tokens=1) == forward(free, tokens=1) == 1000 * D + STEP_NORM
    assert parameters_of_sub_block(tied) == 2 * D
    assert parameters_of_sub_block(free) == 2 * D + 1000 * D


def test_a_batch_costs_its_size_times_one_sequence():
    block = attention("softmax", heads=4)
    assert forward(block, batch=3) == 3 * forward(block)


def test_eight_bits_take_a_byte_an_element_and_a_scale_a_row():
    block = SubBlock.of("feed_forward", **LAYER, feed_forward_size=300, activation="relu")
    matrices, scales = 2 * D * 300, 4 * (300 + D)
    assert int8_bytes_of_sub_block(block) == matrices + scales + 4 * (300 + D) + 4 * 2 * D


def test_repeated_layers_cost_their_runs_and_store_their_weights_once():
    layer = {"attention": "softmax", "heads": 2, "feed_forward_size": 32}
    stack = {"hidden_size": 16, "positions": "rotary", "norm_position": "pre", "activation": "relu"}
    common = {
        "family": "decoder",
        "vocabulary_size": 50,
        "max_length": 12,
        "head": {"type": "language-model", "outputs": 50},
    }
    workload = Workload(input_length=8, output_length=4)
    shared = Architecture.from_dict({**common, "decoder": {**stack, "layers": [layer], "repeats": 3}})
    apart = Architecture.from_dict({**common, "decoder": {**stack, "layers": [layer] * 3}})
    once = Architecture.from_dict({**common, "decoder": {**stack, "layers": [layer]}})
    a, b, c = (costs_of(x, workload) for x in (shared, apart, once))
    assert (a.macs_prefill, a.macs_step, a.kv_cache_mb) == (b.macs_prefill, b.macs_step, b.kv_cache_mb)
    assert (a.parameters, a.size_int8_mb) == (c.parameters, c.size_int8_mb)
    assert a.macs == a.macs_prefill + 4 * a.macs_step


def test_an_uncounted_operator_of_the_matmul_class_is_an_error():
    class Distances(torch.nn.Module):
        def forward(self, x):
            return torch.cdist(x, x)

    with pytest.raises(UncountedOperator, match="cdist"):
        count_macs(Distances(), (torch.randn(1, 4, 4),))
