"""Every attention type against its paper's formula written as loops, and softmax against torch's own layer."""

import attention_reference as reference
import pytest
import torch
from attention_cases import CHOICES, CROSS, CROSS_CHOICES, EVERY, HIDDEN, LONGEST, Case, each, mask_of, tokens

from nas.attention_types import ATTENTION_TYPES
from nas.models.attention import build_attention
from nas.models.attention.dot_product import DotProductAttention
from nas.models.attention.linear import CHUNK
from nas.models.attention.site import Site

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def test_every_registered_type_has_a_reference_and_choices():
    assert set(reference.SELF) == set(CHOICES) == set(ATTENTION_TYPES)
    assert set(reference.CROSS) == set(CROSS_CHOICES) == {k.name for k in ATTENTION_TYPES.values() if k.cross}


@torch.no_grad()
@each(EVERY)
def test_attention_equals_its_formula_at_every_real_token(case):
    module, lengths = case.build(), [13, 7, 1]
    x, mask = tokens(3, 13), mask_of(lengths, 13)
    padded = module(x, mask)
    for row, length in enumerate(lengths):
        expected = reference.SELF[case.name](module, x[row, :length], case.site, case.choices)
        torch.testing.assert_close(padded[row, :length], expected, **CLOSE)
    torch.testing.assert_close(module(x)[0], padded[0], **CLOSE)


@torch.no_grad()
@each(CROSS)
def test_cross_attention_equals_its_formula(case):
    module, lengths = case.build(), [9, 4, 1]
    x, memory, mask = tokens(3, 5), tokens(3, 9, case.site.memory_size, seed=2), mask_of(lengths, 9)
    y = module(x, module.prepare(memory, mask), mask)
    for row, length in enumerate(lengths):
        expected = reference.CROSS[case.name](module, x[row], memory[row, :length], case.choices)
        torch.testing.assert_close(y[row], expected, **CLOSE)
    torch.testing.assert_close(module(x, module.prepare(memory))[0], y[0], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_softmax_attention_equals_torchs_multi_head_attention(causal):
    module = Case("softmax", {"heads": 3}, Site(HIDDEN, causal=causal)).build()
    theirs = torch.nn.MultiheadAttention(HIDDEN, 3, batch_first=True).eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": module.qkv.weight,
            "in_proj_bias": module.qkv.bias,
            "out_proj.weight": module.output.weight,
            "out_proj.bias": module.output.bias,
        }
    )
    x, mask = tokens(2, 11), mask_of([11, 6], 11)
    later = torch.ones(11, 11, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(x, x, x, key_padding_mask=~mask, attn_mask=later, need_weights=False)
    torch.testing.assert_close(module(x, mask)[mask], expected[mask], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_causal_linear_attention_is_exact_across_chunks(length):
    module = Case("linear", {"heads": 2}, Site(8, causal=True)).build()
    x = tokens(1, length, 8)
    q, k, v = module.project(x)
    scores = (reference.phi(q) @ reference.phi(k).transpose(-2, -1)).tril()  # the whole T × T at once
    mixed = (scores / scores.sum(dim=-1, keepdim=True)) @ v
    torch.testing.assert_close(module(x), module.combine(mixed), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 2, 5, 8, 16])
@pytest.mark.parametrize("length", [1, 5, 6, 10, 11, 16, 33])
def test_a_sliding_window_of_any_size_equals_masked_softmax_attention(window, length, causal):
    site = Site(HIDDEN, causal=causal, rotary=True)
    local = Case("local", {"heads": 2, "window": window}, site).build()
    x, lengths = tokens(2, length), [length, (length + 1) // 2]
    q, k, v = local._rotated(x)
    distance = torch.arange(length)[:, None] - torch.arange(length)
    band = (distance.abs() < window) & ((distance >= 0) if causal else True)
    mask = mask_of(lengths, length)
    scores = (q @ k.transpose(-2, -1)) / (HIDDEN // 2) ** 0.5
    weights = scores.masked_fill(~(band & mask[:, None, None]), -torch.inf).softmax(dim=-1)
    expected = local.combine(weights @ v)
    torch.testing.assert_close(local(x, mask)[mask], expected[mask], **CLOSE)


@torch.no_grad()
def test_a_window_of_one_sees_only_the_token_itself():
    local = Case("local", {"heads": 3, "window": 1}, Site(HIDDEN)).build()
    x = tokens(2, 9)
    values = local.qkv(x)[..., 2 * HIDDEN :]
    torch.testing.assert_close(local(x), local.output(values), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_a_window_as_long_as_the_sequence_is_softmax_attention(causal):
    site = Site(HIDDEN, causal=causal, rotary=True)
    local, softmax = (
        Case(*kind, site).build() for kind in (("local", {"heads": 2, "window": 9}), ("softmax", {"heads": 2}))
    )
    softmax.load_state_dict(local.state_dict())
    x, mask = tokens(2, 9), mask_of([9, 4], 9)
    torch.testing.assert_close(local(x, mask)[mask], softmax(x, mask)[mask], **CLOSE)


@torch.no_grad()
def test_grouped_queries_equal_softmax_attention_with_copied_keys_and_values():
    site = Site(HIDDEN, causal=True)
    grouped = Case("grouped-query", {"heads": 4, "key_value_heads": 2}, site).build()
    plain = DotProductAttention(site, 4)
    q, k, v = (layer.view(-1, HIDDEN // 4, HIDDEN) for layer in grouped.qkv.weight.split(grouped.widths))
    bq, bk, bv = (layer.view(-1, HIDDEN // 4) for layer in grouped.qkv.bias.split(grouped.widths))
    plain.qkv.weight.copy_(torch.cat([q, k.repeat_interleave(2, 0), v.repeat_interleave(2, 0)]).flatten(0, 1))
    plain.qkv.bias.copy_(torch.cat([bq, bk.repeat_interleave(2, 0), bv.repeat_interleave(2, 0)]).flatten())
    plain.output.load_state_dict(grouped.output.state_dict())
    x = tokens(2, 9)
    torch.testing.assert_close(grouped(x), plain(x), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("name", ["softmax", "grouped-query", "local"])
def test_rotary_attention_depends_on_distances_not_on_positions(name):
    module = Case(name, CHOICES[name][1], Site(HIDDEN, rotary=True)).build()
    q, k, _ = module.project(tokens(1, 9))
    scores = []
    for start in (0, 100):
        places = torch.arange(start, start + 9)
        scores.append(module.rotary(q, places)[:, :1] @ module.rotary(k, places)[:, :1].transpose(-2, -1))
    torch.testing.assert_close(scores[0], scores[1], **CLOSE)


@torch.no_grad()
def test_low_rank_attention_with_one_mixture_a_token_is_softmax_attention():
    low = Case("low-rank", {"heads": 3, "rank": LONGEST}, Site(HIDDEN, max_length=LONGEST)).build()
    softmax = build_attention("softmax", Site(HIDDEN), {"heads": 3}).eval()
    softmax.load_state_dict({name: value for name, value in low.state_dict().items() if "mixtures" not in name})
    low.key_mixtures.weight.copy_(torch.eye(LONGEST))
    low.value_mixtures.weight.copy_(torch.eye(LONGEST))
    x = tokens(2, LONGEST)
    torch.testing.assert_close(low(x), softmax(x), **CLOSE)
