"""Peak activations against what torch's profiler records of whole models; caches against the models' own."""

import random

import pytest
import torch
from small_spaces import small_space
from torch.profiler import ProfilerActivity, profile

from nas.attention_types import ATTENTION_TYPES
from nas.costs import costs_of
from nas.costs.memory import peak_bytes
from nas.costs.sub_block_costs import peak_bytes_of_call
from nas.models import build_model
from nas.models.called import call_with_inputs
from nas.models.encoder_decoder import _joined
from nas.space import SearchSpace
from nas.sub_blocks import SubBlock
from nas.sub_blocks.calls import Call, cache_length
from nas.workload import Workload

SPACES = {  # how many architectures of each
    "text-encoder": 14,
    "small-encoder": 4,
    "causal-decoder": 10,
    "small-decoder": 4,
    "seq2seq": 8,
    "lite-seq2seq": 4,
    "small-encoder-decoder": 4,
    "hat-wmt": 2,
}


def recorded_peak(run):
    """The peak of the bytes that the profiler sees allocated and freed while `run` runs a second time."""
    with torch.no_grad():
        run()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            kept = run()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    del kept
    return peak


def passes_of(model, workload):
    """The passes that `peak_activation_mb` speaks of: the prompt, and of a decoder one step."""
    passes = [prompt_of(model, workload)]
    if model.architecture.family != "encoder":
        passes.append(step_of(model, workload))
    return passes


def prompt_of(model, workload):
    """The prompt of a model as a whole, without caches, the tokens made before."""
    tokens = torch.ones(workload.batch, workload.input_length, dtype=torch.int64)
    if model.architecture.family == "encoder":
        return lambda: model(tokens)
    if model.architecture.family == "encoder-decoder":
        return lambda: source(model, tokens)

    def prompt():
        x = model.blocks[0](tokens)
        for attention, feed_forward in model._layers():
            x = attention(x, None)
            x = feed_forward(x)
        return model._answer(x[:, -1:])

    return prompt


def source(model, tokens):
    memories = model._encode(tokens, None)
    for layer in model._layers():
        layer.cross.prepare(_joined(memories, layer.reads))


def step_of(model, workload):
    """One step of a decoder as a whole but for its self-attention, which moves caches; what it reads made before."""
    tokens, position = (torch.zeros(workload.batch, *shape, dtype=torch.int64) for shape in ((1,), ()))
    if model.architecture.family == "decoder":
        embedding, table, prepared = model.blocks[0], (), []
    else:
        embedding = model.decoder_blocks[0]
        table = (model._output_table(),) if model.tied == "all" else ()
        with torch.no_grad():
            read = torch.ones(workload.batch, workload.input_length, dtype=torch.int64)
            prepared = model.encode(read).prepared

    def step():
        x = embedding.step(tokens, position, *table)
        for index, layer in enumerate(model._layers()):
            if prepared:
                x = layer.cross(x, None, *prepared[index])
                x = layer.feed_forward(x)
            else:
                x = layer[1](x)
        return model._answer(x)

    return step


@pytest.fixture(autouse=True)
def one_thread():
    """Kernels take their scratch once a thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_there_are_50():
    assert sum(SPACES.values()) == 50


@pytest.mark.parametrize("name", SPACES)
def test_the_peak_is_within_a_tenth_of_what_the_profiler_records(name):
    space = small_space(name) if name.startswith("small") else SearchSpace.bundled(name)
    rng = random.Random(name)
    for index in range(SPACES[name]):
        architecture = space.architecture(space.spread(rng, kinds=3)) if index % 2 else space.sample(rng)
        shape = space.task_shape
        written = 4 if space.family != "encoder" else 0
        longest = shape.max_length - 4
        lengths = [1, 2, longest // 4, longest // 2, longest, longest]
        workload = Workload(batch=rng.choice([1, 3]), input_length=rng.choice(lengths), output_length=written)
        model = build_model(architecture)
        recorded = max(map(recorded_peak, passes_of(model, workload))) / 1e6
        costs = costs_of(architecture, workload)
        words = f"{costs.peak_activation_mb} against {recorded}: {workload.key} {architecture.canonical_json}"
        assert costs.peak_activation_mb == pytest.approx(recorded, rel=0.1), words


ATTENTIONS = {
    "softmax": {"heads": 4},
    "grouped-query": {"heads": 4, "key_value_heads": 2},
    "linear": {"heads": 4},
    "local": {"heads": 4, "window": 8},
    "long-short": {"heads": 2, "kernel_size": 5},
    "gated-convolution": {},
    "low-rank": {"heads": 4, "rank": 16, "max_length": 800},
}
"""In a model the feed-forward network often holds more, and hides what its attention holds."""


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("hidden_size", [8, 24, 64])
def test_the_peak_of_an_attention_alone_is_what_the_profiler_records_to_the_byte(name, hidden_size):
    for causal in (False, True) if ATTENTION_TYPES[name].causal else (False,):
        block = SubBlock.of(
            "attention",
            hidden_size=hidden_size,
            norm_position="pre",
            attention=name,
            causal=causal,
            **ATTENTIONS[name],
        )
        for batch, tokens in [(1, 1), (3, 2), (1, 15), (3, 40), (1, 200), (1, 800)]:
            call = Call(block, "forward", batch, tokens)
            module, inputs = call_with_inputs(call)
            recorded = recorded_peak(lambda module=module, inputs=inputs: module(*inputs))
            assert peak_bytes_of_call(call) == recorded, (causal, batch, tokens)


@pytest.mark.parametrize("name", ["causal-decoder", "small-decoder", "seq2seq", "small-encoder-decoder"])
def test_the_caches_are_the_bytes_that_decoding_keeps(name):
    space, rng = small_space(name) if name.startswith("small") else SearchSpace.bundled(name), random.Random(2)
    for _ in range(10):
        architecture = space.sample(rng)
        workload = Workload(batch=2, input_length=6, output_length=4)
        model = build_model(architecture)
        length = cache_length(space.family, workload)
        tokens = torch.ones(2, 6, dtype=torch.int64)
        with torch.no_grad():
            if space.family == "decoder":
                state = model.prefill(tokens, None, length)[1]
            else:
                state = (*model.encode(tokens).prepared, *model.empty_state(2, length))
        kept = sum(tensor.numel() * 4 for cache in state for tensor in cache)
        assert costs_of(architecture, workload).kv_cache_mb == kept / 1e6


def test_a_peak_is_found_without_making_a_number():
    linear = torch.nn.Linear(8, 300)
    with torch.device("meta"):
        giant = torch.nn.Sequential(torch.nn.Linear(8, 10**9), torch.nn.Linear(10**9, 8))
        assert peak_bytes(giant, (torch.randn(4, 8),)) == 4 * (4 * 10**9 + 4 * 8)
    assert peak_bytes(torch.nn.Sequential(linear, torch.nn.ReLU(inplace=True)), (torch.randn(2, 8),)) == 2 * 300 * 4
