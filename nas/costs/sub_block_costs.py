"""Costs of one sub-block, each counted once a process, or once a machine: see `nas.costs.kept_counts`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import prod

import torch
from torch.utils._pytree import tree_iter

from nas.costs.fvcore_counts import count_macs
from nas.costs.kept_counts import kept
from nas.costs.memory import peak_bytes
from nas.models import build_sub_block, call_with_inputs
from nas.sub_blocks import Call, SubBlock

BYTES_PER_WEIGHT = 4  # fp32
LARGEST_BUILT = 8_000_000
"""Elements of the largest tensor that is made in order to count it."""
_KEPT = 65_536


@lru_cache(maxsize=_KEPT)
def _weight_shapes(sub_block: SubBlock) -> list[list[int]]:
    def shapes() -> list[list[int]]:
        with torch.device("meta"):
            return [list(p.shape) for p in build_sub_block(sub_block).parameters()]

    found: list[list[int]] = kept(f"weights {sub_block.key}", shapes)
    return found


def parameters_of_sub_block(sub_block: SubBlock) -> int:
    """Return the number of trainable parameters."""
    return sum(map(prod, _weight_shapes(sub_block)))


def int8_bytes_of_sub_block(sub_block: SubBlock) -> int:
    """Return the bytes of the weights when matrices are quantised to 8 bits.

    A weight of two or more dimensions (linear, convolution, token table) takes one byte an element and one fp32 scale
    for each of its rows; biases, norms and the like stay fp32.
    """
    return sum(
        prod(shape) + BYTES_PER_WEIGHT * shape[0] if len(shape) > 1 else BYTES_PER_WEIGHT * prod(shape)
        for shape in _weight_shapes(sub_block)
    )


@lru_cache(maxsize=_KEPT)
def macs_of_call(call: Call) -> int:
    """Return fvcore's multiply-adds of one run."""

    def macs() -> int:
        with _in_memory_up_to_a_limit(call):
            return count_macs(*call_with_inputs(call))

    return int(kept(f"macs {call.key}", macs))


@lru_cache(maxsize=_KEPT)
def peak_bytes_of_call(call: Call) -> int:
    """Return the most bytes that one run allocates at a time, beyond its inputs and weights."""

    def peak() -> int:
        with torch.device("meta"):
            return peak_bytes(*call_with_inputs(call))

    return int(kept(f"peak {call.key}", peak))


@lru_cache(maxsize=_KEPT)
def cache_bytes_of_call(call: Call) -> int:
    """Return the bytes of the cache that a run leaves behind: of cached self-attention, or prepared for a decoder."""
    if call.method not in ("prefill", "step", "prepare") or call.sub_block.kind == "embedding":
        return 0

    def held() -> int:
        with torch.device("meta"), torch.no_grad():
            module, inputs = call_with_inputs(call)
            result = module(*inputs)
        cache = result if call.method == "prepare" else result[1]
        return sum(tensor.numel() * tensor.element_size() for tensor in tree_iter(cache))

    return int(kept(f"cache {call.key}", held))


def _in_memory_up_to_a_limit(call: Call) -> AbstractContextManager[object]:
    """Let torch keep shapes alone, no numbers, where a tensor would be large: anyone may ask what a giant costs.

    Counts are the same; only they take three times as long, so what is small is built.
    """
    sizes = {name: value for name, value in call.sub_block.settings if not isinstance(value, str)}
    widest, tokens = max(sizes.values()), call.batch * max(call.tokens, call.context)
    scores = sizes.get("heads", 0) * call.batch * call.tokens * max(call.tokens, call.context)
    elements = max(sizes["hidden_size"] * widest, tokens * widest, scores)
    return torch.device("meta") if elements > LARGEST_BUILT else nullcontext()
