"""Costs of one sub-block, each counted once a process, or once a machine: see `nas.costs.kept_counts`.

What counts is imported with the first count that is not kept: so a service starts sooner, and holds no torch.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from nas.costs.kept_counts import kept
from nas.sub_blocks import Call, SubBlock

BYTES_PER_WEIGHT = 4  # fp32
_KEPT = 65_536


@lru_cache(maxsize=_KEPT)
def _weight_shapes(sub_block: SubBlock) -> list[list[int]]:
    def shapes() -> list[list[int]]:
        from nas.costs.counting import weight_shapes

        return weight_shapes(sub_block)

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

    def counted() -> int:
        from nas.costs.counting import macs

        return macs(call)

    return int(kept(f"macs {call.key}", counted))


@lru_cache(maxsize=_KEPT)
def peak_bytes_of_call(call: Call) -> int:
    """Return the most bytes that one run allocates at a time, beyond its inputs and weights."""

    def counted() -> int:
        from nas.costs.counting import peak

        return peak(call)

    return int(kept(f"peak {call.key}", counted))


@lru_cache(maxsize=_KEPT)
def cache_bytes_of_call(call: Call) -> int:
    """Return the bytes of the cache that a run leaves behind: of cached self-attention, or prepared for a decoder."""
    if call.method not in ("prefill", "step", "prepare") or call.sub_block.kind == "embedding":
        return 0

    def counted() -> int:
        from nas.costs.counting import left_in_cache

        return left_in_cache(call)

    return int(kept(f"cache {call.key}", counted))
