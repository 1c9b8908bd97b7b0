"""Models: each attention type against an independent implementation, padding, positions, order of the blocks."""

import math
import random

import pytest
import torch

from nas.attention_types import ATTENTION_TYPES
from nas.models import build_model, sub_blocks
from nas.models.attention import build_attention
from nas.models.blocks import sinusoids
from nas.space import SearchSpace

B, T, D = 2, 7, 24
X = torch.randn(B, T, D, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(T)[None] < torch.tensor([T, 4])[:, None]
CHOICES = {"softmax": {"heads": 4}, "grouped-query": {"heads": 4, "key_value_heads": 2}, "linear": {"heads": 4}}


def attention(name):
    torch.manual_seed(1)
    return build_attention(name, D, CHOICES[name]).eval()


def loops(module, key_value_heads, weigh):
    """Attention written out, one sequence, head and query at a time, from the papers' formulas."""
    heads = module.heads
    e = D // heads
    width = key_value_heads * e
    out = torch.zeros(B, T, D)
    for b in range(B):
        projected = X[b] @ module.qkv.weight.T + module.qkv.bias
        q, k, v = projected[:, :D], projected[:, D : D + width], projected[:, D + width :]
        for h in range(heads):
            g = h // (heads // key_value_heads)
            for t in range(T):
                real = [s for s in range(T) if MASK[b, s]]
                w = weigh(q[t, h * e : (h + 1) * e], torch.stack([k[s, g * e : (g + 1) * e] for s in real]))
                out[b, t, h * e : (h + 1) * e] = sum(w[i] * v[s, g * e : (g + 1) * e] for i, s in enumerate(real))
    return out @ module.output.weight.T + module.output.bias


def softmax_weights(q, keys):
    scores = torch.exp(keys @ q / math.sqrt(len(q)))
    return scores / scores.sum()


def linear_weights(q, keys):
    def phi(x):
        return torch.where(x > 0, x + 1, torch.exp(x))

    scores = phi(keys) @ phi(q)
    return scores / scores.sum()


@pytest.mark.parametrize(
    ("name", "key_value_heads", "weigh"),
    [("softmax", 4, softmax_weights), ("grouped-query", 2, softmax_weights), ("linear", 4, linear_weights)],
)
def test_attention_equals_its_formula_written_as_loops(name, key_value_heads, weigh):
    module = attention(name)
    with torch.no_grad():
        torch.testing.assert_close(module(X, MASK), loops(module, key_value_heads, weigh), atol=1e-5, rtol=1e-5)


def test_every_registered_attention_type_is_compared_here():
    assert set(CHOICES) == set(ATTENTION_TYPES)


@pytest.mark.parametrize("norm_position", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_softmax_encoder_equals_torchs_own_encoder_layer(norm_position, activation):
    space = SearchSpace.bundled("smoke")
    model = build_model(
        space.architecture(
            {
                "hidden_size": 32,
                "positions": "sinusoidal",
                "norm_position": norm_position,
                "activation": activation,
            },
            (("softmax", 4, None, 2),),
        ),
        seed=3,
    )
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 64, 0.0, activation, batch_first=True, norm_first=norm_position == "pre"
    ).eval()
    _, mixing, feeding, _ = model.blocks
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": mixing.attention.qkv.weight,
            "self_attn.in_proj_bias": mixing.attention.qkv.bias,
            "self_attn.out_proj.weight": mixing.attention.output.weight,
            "self_attn.out_proj.bias": mixing.attention.output.bias,
            "linear1.weight": feeding.inner.weight,
            "linear1.bias": feeding.inner.bias,
            "linear2.weight": feeding.outer.weight,
            "linear2.bias": feeding.outer.bias,
            **{f"norm1.{n}": p for n, p in mixing.norm.named_parameters()},
            **{f"norm2.{n}": p for n, p in feeding.norm.named_parameters()},
        }
    )
    x = torch.randn(B, T, 32)
    with torch.no_grad():
        ours = feeding(mixing(x, MASK), MASK)
        expected = theirs(x, src_key_padding_mask=~MASK)
    torch.testing.assert_close(ours[MASK], expected[MASK], atol=1e-5, rtol=1e-5)


def test_padding_changes_no_output_for_random_architectures():
    space, rng = SearchSpace.bundled("text-encoder"), random.Random(2)
    tokens = torch.randint(0, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([20, 11, 1])
    mask = torch.arange(20)[None] < lengths[:, None]
    for _ in range(15):
        model = build_model(space.sample(rng), seed=0)
        with torch.no_grad():
            together = model(tokens, mask)
            assert together.shape == (3, 35)
            for row, length in enumerate(lengths):
                torch.testing.assert_close(
                    together[row : row + 1], model(tokens[row : row + 1, :length]), atol=1e-4, rtol=1e-4
                )


def test_sinusoids_follow_the_paper():
    table = sinusoids(50, 8)
    for position in (0, 3, 49):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_one_seed_gives_one_set_of_weights_and_leaves_the_global_generator_alone():
    a = SearchSpace.bundled("smoke").sample(random.Random(0))
    state = torch.random.get_rng_state()
    first, second, third = build_model(a, seed=1), build_model(a, seed=1), build_model(a, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(first.parameters(), third.parameters(), strict=True))


def test_a_model_is_its_sub_blocks_in_order():
    a = SearchSpace.bundled("text-encoder").sample(random.Random(4))
    kinds = [block.kind for block in sub_blocks(a)]
    assert kinds == ["embedding", *["attention", "feed_forward"] * len(a.encoder.layers), "head"]
    assert len(build_model(a).blocks) == len(kinds)
