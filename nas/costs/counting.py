"""Counting sub-blocks: each is built, and run or traced. Here torch is needed; what was counted once is kept."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils._pytree import tree_iter

from nas.architecture import Architecture
from nas.costs.fvcore_counts import count_macs
from nas.costs.memory import peak_bytes
from nas.models import build_sub_block, call_with_inputs
from nas.models.passes import pass_of
from nas.sub_blocks import Call, Phase, SubBlock
from nas.workload import Workload

LARGEST_BUILT = 8_000_000
"""Elements of the largest tensor that is made in order to count it."""


def weight_shapes(sub_block: SubBlock) -> list[list[int]]:
    """Return the shape of every trainable parameter."""
    with torch.device("meta"):
        return [list(p.shape) for p in build_sub_block(sub_block).parameters()]


def macs(call: Call) -> int:
    """Return fvcore's multiply-adds of one run."""
    with _in_memory_up_to_a_limit(call):
        return count_macs(*call_with_inputs(call))


def peak(call: Call) -> int:
    """Return the most bytes that one run allocates at a time, beyond its inputs and weights."""
    with torch.device("meta"):
        return peak_bytes(*call_with_inputs(call))


def left_in_cache(call: Call) -> int:
    """Return the bytes of the cache that a run of a method with one leaves behind."""
    with torch.device("meta"), torch.no_grad():
        module, inputs = call_with_inputs(call)
        result = module(*inputs)
    cache = result if call.method == "prepare" else result[1]
    return sum(tensor.numel() * tensor.element_size() for tensor in tree_iter(cache))


def whole_model_macs(architecture: Architecture, workload: Workload, phase: Phase = "prefill") -> int:
    """Return fvcore's multiply-adds of a phase of the whole model at once: slow, the check of `costs_of`."""
    whole = pass_of(architecture, workload, phase)
    return count_macs(whole, whole.example)


def _in_memory_up_to_a_limit(call: Call) -> AbstractContextManager[object]:
    """Let torch keep shapes alone, no numbers, where a tensor would be large: anyone may ask what a giant costs.

    Counts are the same; only they take three times as long, so what is small is built.
    """
    sizes = {name: value for name, value in call.sub_block.settings if not isinstance(value, str)}
    widest, tokens = max(sizes.values()), call.batch * max(call.tokens, call.context)
    scores = sizes.get("heads", 0) * call.batch * call.tokens * max(call.tokens, call.context)
    elements = max(sizes["hidden_size"] * widest, tokens * widest, scores)
    return torch.device("meta") if elements > LARGEST_BUILT else nullcontext()
