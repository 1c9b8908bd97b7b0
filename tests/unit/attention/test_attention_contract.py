"""What every attention type promises (nas/models/attention/contract.py), whatever it computes."""

import math
import warnings

import onnxruntime
import pytest
import torch
from attention_cases import CAUSAL, CHOICES, CROSS, EVERY, HIDDEN, LONGEST, Case, each, mask_of, tokens

from nas import attention_types
from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.costs.fvcore_counts import count_macs
from nas.errors import InvalidInput
from nas.models.attention import build_attention, build_cross_attention
from nas.models.attention.contract import CachedAttention, SelfAttention
from nas.models.attention.site import Site

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
ROOM = 12  # tokens that a cache has room for


class Method(torch.nn.Module):
    """One method of a module as a module of its own, with flat tensors in and out, as an exporter wants it."""

    def __init__(self, module, method):
        super().__init__()
        self.module, self.method = module, method

    def forward(self, *inputs):
        if self.method == "forward":
            return self.module(*inputs)
        if self.method == "cross":
            x, mask, *prepared = inputs
            return self.module(x, tuple(prepared), mask)
        if self.method == "prepare":
            return self.module.prepare(*inputs)
        x, other, *cache = inputs
        y, cache = getattr(self.module, self.method)(x, other, tuple(cache))
        return y, *cache


def calls(case):
    """Every method of the case's module with inputs for it, as (method, inputs)."""
    module, x, mask = case.build(), tokens(2, 10), mask_of([10, 6], 10)
    if case.site.memory_size is not None:
        memory = tokens(2, 10, case.site.memory_size, seed=3)
        prepared = module.prepare(memory, mask)
        return module, [("prepare", (memory, mask)), ("cross", (x[:, :3], mask, *prepared))]
    found = [("forward", (x,)), ("forward", (x, mask))]
    if case.site.causal:
        empty = module.empty_cache(2, ROOM)
        _, cache = module.prefill(x, mask, empty)
        found += [("prefill", (x, mask, *empty)), ("step", (x[:, :1], mask.sum(dim=1), *cache))]
    return module, found


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@torch.no_grad()
@each(EVERY)
def test_the_output_has_the_shape_of_the_input(case):
    module = case.build()
    for batch, length in ((1, 1), (2, 7), (3, LONGEST)):
        assert module(tokens(batch, length)).shape == (batch, length, HIDDEN)


@torch.no_grad()
@each(EVERY)
def test_what_stands_at_padded_tokens_changes_no_real_token(case):
    module, lengths = case.build(), [12, 7, 1]
    x, mask = tokens(3, 12), mask_of(lengths, 12)
    y = module(x, mask)
    other = torch.where(mask[..., None], x, 50 * tokens(3, 12, seed=9))
    torch.testing.assert_close(module(other, mask)[mask], y[mask], **CLOSE)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(module(x[row : row + 1, :length])[0], y[row, :length], **CLOSE)
    assert y.isfinite().all()


@torch.no_grad()
@each([case for case in EVERY if not case.site.causal])
def test_padding_may_stand_on_the_left_where_later_tokens_are_seen(case):
    module, x = case.build(), tokens(2, 12)
    mask = mask_of([12, 5], 12).flip(1)
    other = torch.where(mask[..., None], x, 50 * tokens(2, 12, seed=9))
    assert module(x, mask).isfinite().all()
    torch.testing.assert_close(module(other, mask)[mask], module(x, mask)[mask], **CLOSE)


@torch.no_grad()
@each(EVERY)
def test_sequences_of_a_batch_do_not_see_one_another(case):
    module, x = case.build(), tokens(3, 9)
    alone = torch.cat([module(x[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(module(x), alone, **CLOSE)


@torch.no_grad()
@each(CAUSAL)
def test_a_later_token_changes_no_earlier_output(case):
    module, x = case.build(), tokens(2, 14)
    y = module(x)
    for t in (0, 1, 5, 6, 13):
        changed = x.clone()
        changed[:, t] = 50 * tokens(2, 1, seed=9)[:, 0]
        z = module(changed)
        torch.testing.assert_close(z[:, :t], y[:, :t], **CLOSE)
        assert not torch.allclose(z[:, t], y[:, t], **CLOSE)


@torch.no_grad()
@each([case for case in EVERY if not case.site.causal and case.choices.get("window") != 1])
def test_without_a_causal_site_an_earlier_output_sees_the_next_token(case):
    module, x = case.build(), tokens(2, 14)
    changed = x.clone()
    changed[:, 6] = tokens(2, 1, seed=9)[:, 0]
    assert not torch.allclose(module(changed)[:, 5], module(x)[:, 5], atol=1e-6)


@torch.no_grad()
@each(CAUSAL)
@pytest.mark.parametrize("lengths", [[1, 1, 1], [4, 1, 2], [9, 3, 6], [ROOM, ROOM - 1, 1]], ids=str)
def test_decoding_after_ragged_prompts_equals_the_whole_sequence(case, lengths):
    module, x = case.build(), tokens(3, ROOM)
    expected = module(x)
    longest, lengths = max(lengths), torch.tensor(lengths)
    mask = mask_of(lengths.tolist(), longest)
    prompt = torch.where(mask[..., None], x[:, :longest], 50 * tokens(3, longest, seed=9))
    y, cache = module.prefill(prompt, mask, module.empty_cache(3, ROOM))
    assert y.isfinite().all()
    torch.testing.assert_close(y[mask], expected[:, :longest][mask], **CLOSE)
    rows = torch.arange(3)
    for extra in range(ROOM - longest):
        position = lengths + extra
        shapes = [tensor.shape for tensor in cache]
        y, cache = module.step(x[rows, position][:, None], position, cache)
        assert [tensor.shape for tensor in cache] == shapes
        torch.testing.assert_close(y[:, 0], expected[rows, position], **CLOSE)


@torch.no_grad()
@each(CAUSAL)
def test_a_prompt_of_any_length_may_be_carried_on(case):
    module, x = case.build(), tokens(2, ROOM)
    expected = module(x)
    for length in range(1, ROOM + 1):
        y, cache = module.prefill(x[:, :length], None, module.empty_cache(2, ROOM))
        torch.testing.assert_close(y, expected[:, :length], **CLOSE)
        for t in range(length, ROOM):
            y, cache = module.step(x[:, t : t + 1], torch.full((2,), t), cache)
            torch.testing.assert_close(y[:, 0], expected[:, t], **CLOSE)


@torch.no_grad()
@each(CAUSAL)
def test_steps_from_an_empty_cache_equal_the_whole_sequence(case):
    module, x = case.build(), tokens(2, ROOM)
    expected, cache = module(x), module.empty_cache(2, ROOM)
    assert all(tensor.shape[0] == 2 and not tensor.any() for tensor in cache)
    for t in range(ROOM):
        y, cache = module.step(x[:, t : t + 1], torch.full((2,), t), cache)
        torch.testing.assert_close(y[:, 0], expected[:, t], **CLOSE)


@torch.no_grad()
@each(CAUSAL)
def test_a_prefill_forgets_what_the_cache_held(case):
    module, x, mask = case.build(), tokens(2, 5), mask_of([5, 2], 5)
    empty = module.empty_cache(2, ROOM)
    used = tuple(torch.full_like(tensor, 7.0) for tensor in empty)
    position, following = mask.sum(dim=1), tokens(2, 1, seed=4)
    fresh, reused = (module.step(following, position, module.prefill(x, mask, cache)[1])[0] for cache in (empty, used))
    torch.testing.assert_close(fresh, reused, **CLOSE)


@torch.no_grad()
@each(EVERY + CROSS)
def test_nothing_that_is_passed_in_is_changed(case):
    module, found = calls(case)
    for method, inputs in found:
        before = [tensor.clone() for tensor in inputs]
        Method(module, method)(*inputs)
        assert all(torch.equal(a, b) for a, b in zip(before, inputs, strict=True))


@each(EVERY + CROSS)
def test_gradients_flow_to_every_parameter_and_are_finite(case):
    module = case.build().train()
    x, mask = tokens(2, 13).requires_grad_(), mask_of([13, 6], 13)
    if case.site.memory_size is None:
        y = module(x, mask)
    else:
        y = module(x, module.prepare(tokens(2, 13, case.site.memory_size, seed=2), mask), mask)
    (y * tokens(2, 13, seed=5))[mask].sum().backward()
    assert x.grad.isfinite().all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@torch.no_grad()
@each(EVERY + CROSS)
def test_every_method_can_be_traced(case):
    module, found = calls(case)
    for method, inputs in found:
        with warnings.catch_warnings():
            warnings.simplefilter("error", torch.jit.TracerWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            traced = torch.jit.trace(Method(module, method), inputs, check_trace=False)
        others = tuple(tensor.flip(0) for tensor in inputs)  # other values than those that were traced
        for ours, theirs in zip(as_tuple(Method(module, method)(*others)), as_tuple(traced(*others)), strict=True):
            torch.testing.assert_close(theirs, ours, **CLOSE)


@torch.no_grad()
@each(EVERY + CROSS)
def test_every_method_runs_in_onnx_runtime(case, tmp_path):
    module, called = calls(case)
    for method, inputs in called:
        path, names = tmp_path / f"{method}{len(inputs)}.onnx", [f"input{i}" for i in range(len(inputs))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                Method(module, method), inputs, str(path), dynamo=False, opset_version=17, input_names=names
            )
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        wanted = {node.name for node in session.get_inputs()}  # a state of fixed size has no use for a position
        others = tuple(tensor.flip(0) for tensor in inputs)
        feeds = {name: tensor.numpy() for name, tensor in zip(names, others, strict=True) if name in wanted}
        expected = as_tuple(Method(module, method)(*others))
        real = others[1] if method in ("forward", "prefill") and len(others) > 1 else slice(None)
        found = [torch.from_numpy(array) for array in session.run(None, feeds)]
        assert all(tensor.isfinite().all() for tensor in found)
        torch.testing.assert_close(found[0][real], expected[0][real], **CLOSE)  # y, at real tokens
        torch.testing.assert_close(found[1:], list(expected[1:]), **CLOSE)  # the cache


@torch.no_grad()
@each(EVERY + CROSS)
def test_every_multiplication_of_matrices_is_counted(case):
    module, found = calls(case)
    for method, inputs in found:
        assert count_macs(Method(module, method), inputs) > 0


D, H, T = HIDDEN, 2, 16
HALF, E = D // 2, D // 2  # hidden size over two, head size of two heads
MACS = {
    # Projections and, for Q Kᵀ and its product with V, twice T·S·E a head
    ("softmax", ()): 4 * T * D * D + 2 * T * T * D,
    ("grouped-query", (("key_value_heads", 1),)): 2 * T * D * D + 2 * T * D * E + 2 * T * T * D,
    # φ(K)ᵀ V and φ(Q) of it: T·E² a head each; the divisor: T·E a head
    ("linear", ()): 4 * T * D * D + 2 * T * H * E * E + T * H * E,
    # Four blocks of four queries, each against three blocks of keys
    ("local", (("window", 4),)): 4 * T * D * D + 2 * T * 12 * D,
    ("long-short", (("kernel_size", 5),)): (4 * T * HALF**2 + 2 * T * T * HALF) + (3 * T * HALF**2 + 5 * T * HALF),
    ("gated-convolution", ()): 4 * T * D * D + 3 * T * D,
    # E K and F V: rank·T·D each; then `rank` keys
    ("low-rank", (("rank", 4),)): 4 * T * D * D + 2 * 4 * T * D + 2 * T * 4 * D,
}


@pytest.mark.parametrize(("key", "expected"), MACS.items(), ids=[name for name, _ in MACS])
def test_multiply_adds_are_those_of_the_formula(key, expected):
    name, more = key
    choices = dict(more) | ({"heads": H} if "heads" in ATTENTION_TYPES[name].choices else {})
    module = build_attention(name, Site(D, max_length=LONGEST), choices)
    assert count_macs(module, (tokens(1, T),)) == expected


def test_every_registered_type_has_its_multiply_adds_written_out():
    assert {name for name, _ in MACS} == set(ATTENTION_TYPES)


@pytest.mark.parametrize("name", ["linear", "local"])
@pytest.mark.parametrize("causal", [False, True])
def test_cost_grows_with_the_length_not_with_its_square(name, causal):
    choices = {"linear": {"heads": 2}, "local": {"heads": 2, "window": 32}}[name]
    module = build_attention(name, Site(HIDDEN, causal=causal), choices)
    short, long = (count_macs(module, (tokens(1, length),)) for length in (512, 1024))
    assert long < 2.1 * short


CACHES = {
    "softmax": [(2, 3, ROOM, 8)] * 2,
    "grouped-query": [(2, 2, ROOM, 6)] * 2,
    "linear": [(2, 3, 8, 8), (2, 3, 8, 1)],
    "local": [(2, 3, 1, 8)] * 2,
    "long-short": [(2, 3, ROOM, 4), (2, 3, ROOM, 4), (2, HIDDEN // 2, 4)],
    "gated-convolution": [(2, HIDDEN, 2)],
}


@pytest.mark.parametrize("name", [kind.name for kind in ATTENTION_TYPES.values() if kind.causal])
def test_caches_have_the_shapes_that_their_types_state(name):
    module = build_attention(name, Site(HIDDEN, causal=True), CHOICES[name][0])
    assert isinstance(module, CachedAttention)
    assert [tuple(tensor.shape) for tensor in module.empty_cache(2, ROOM)] == CACHES[name]


def test_a_ring_is_no_longer_than_the_sequence():
    module = build_attention("local", Site(HIDDEN, causal=True), {"heads": 3, "window": 15})
    assert [tuple(tensor.shape) for tensor in module.empty_cache(2, ROOM)] == [(2, 3, ROOM, 8)] * 2


@torch.no_grad()
def test_a_ring_decodes_far_beyond_its_window():
    module = Case("local", {"heads": 2, "window": 4}, Site(HIDDEN, causal=True, rotary=True)).build()
    x = tokens(1, 50)
    expected = module(x)
    _, cache = module.prefill(x[:, :7], None, module.empty_cache(1, 50))
    assert cache[0].shape[2] == 4
    for t in range(7, 50):
        y, cache = module.step(x[:, t : t + 1], torch.tensor([t]), cache)
        torch.testing.assert_close(y[:, 0], expected[:, t], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_a_kernel_of_one_token_mixes_nothing(causal):
    module = Case("long-short", {"heads": 2, "kernel_size": 1}, Site(HIDDEN, causal=causal)).build().short
    x = tokens(2, 6, HIDDEN // 2)
    torch.testing.assert_close(module(x), torch.cat([module(x[:, t : t + 1]) for t in range(6)], dim=1), **CLOSE)
    if causal:
        _, cache = module.prefill(x[:, :3], mask_of([3, 1], 3), module.empty_cache(2, 6))
        assert cache[0].shape == (2, HIDDEN // 2, 0)
        torch.testing.assert_close(module.step(x[:, 3:4], torch.tensor([3, 1]), cache)[0], module(x)[:, 3:4], **CLOSE)


@torch.no_grad()
def test_linear_attention_is_finite_where_no_feature_is_left():
    module = Case("linear", {"heads": 2}, Site(HIDDEN, causal=True)).build()
    module.qkv.bias.fill_(-100.0)
    assert module(tokens(1, 5)).isfinite().all()


@torch.no_grad()
@each(CROSS)
def test_padding_of_the_memory_changes_nothing(case):
    module, mask = case.build(), mask_of([8, 3], 8)
    x, memory = tokens(2, 5), tokens(2, 8, case.site.memory_size, seed=2)
    other = torch.where(mask[..., None], memory, 50 * tokens(2, 8, case.site.memory_size, seed=9))
    y = module(x, module.prepare(memory, mask), mask)
    assert y.shape == (2, 5, HIDDEN)
    torch.testing.assert_close(module(x, module.prepare(other, mask), mask), y, **CLOSE)
    short = module(x[1:], module.prepare(memory[1:, :3]))
    torch.testing.assert_close(short, y[1:], **CLOSE)


@torch.no_grad()
@each(CROSS)
def test_cross_attention_of_one_token_at_a_time_is_that_of_all(case):
    module, x, memory = case.build(), tokens(2, 5), tokens(2, 8, case.site.memory_size, seed=2)
    prepared = module.prepare(memory)
    assert all(tensor.shape[0] == 2 for tensor in prepared)
    one_by_one = torch.cat([module(x[:, t : t + 1], prepared) for t in range(5)], dim=1)
    torch.testing.assert_close(one_by_one, module(x, prepared), **CLOSE)


@torch.no_grad()
@each([case for case in CAUSAL if case.site.bias])
def test_a_layer_runs_in_double_precision_and_its_cache_follows(case):
    module = case.build().double()
    x = tokens(2, 6).double()
    y, cache = module.prefill(x, None, module.empty_cache(2, ROOM))
    y, cache = module.step(x[:, :1], torch.tensor([6, 6]), cache)
    assert y.dtype == torch.float64
    assert all(tensor.dtype == torch.float64 for tensor in cache)


class Average(SelfAttention):
    """Every token gets the mean of all: as good a type as any."""

    def __init__(self, site, strength):
        super().__init__()
        self.strength = strength

    def forward(self, x, padding_mask=None):
        return self.strength * x.mean(dim=1, keepdim=True).expand_as(x)


def test_a_type_added_to_the_registry_can_be_built(monkeypatch):
    kind = AttentionType("average", f"{__name__}:Average", ("strength",))
    monkeypatch.setitem(attention_types.ATTENTION_TYPES, "average", kind)
    built = build_attention("average", Site(HIDDEN), {"strength": 2})
    assert type(built).__name__ == "Average"
    assert math.isclose(built(torch.ones(1, 3, HIDDEN)).sum().item(), 2 * 3 * HIDDEN)


@pytest.mark.parametrize(
    ("name", "site", "choices", "field", "message"),
    [
        ("sofmax", Site(HIDDEN), {"heads": 3}, "attention", "softmax, grouped-query"),
        ("low-rank", Site(HIDDEN, causal=True, max_length=9), {"heads": 3, "rank": 2}, "attention", "hide later"),
        ("linear", Site(HIDDEN, rotary=True), {"heads": 3}, "attention", "other positions"),
        ("low-rank", Site(HIDDEN), {"heads": 3, "rank": 2}, "max_length", "longest"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name, site, choices, field, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        build_attention(name, site, choices)
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    ("name", "memory_size", "message"),
    [("sofmax", 8, "name one"), ("local", 8, "cross-attention"), ("softmax", None, "memory_size")],
)
def test_cross_attention_that_cannot_be_built_is_refused_by_name(name, memory_size, message):
    with pytest.raises(InvalidInput, match=message):
        build_cross_attention(name, Site(HIDDEN, memory_size=memory_size), {"heads": 3})


def test_low_rank_attention_refuses_more_tokens_than_it_was_built_for():
    module = build_attention("low-rank", Site(HIDDEN, max_length=5), {"heads": 3, "rank": 2})
    with pytest.raises(InvalidInput, match="at most max_length"):
        module(tokens(1, 6))
