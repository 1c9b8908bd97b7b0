"""Costs of one architecture as sums over its sub-blocks, each sub-block counted once a process."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch

from nas.architecture import Architecture
from nas.costs.fvcore_counts import count_macs
from nas.models import SubBlock, build_model, build_sub_block, example_input, sub_blocks
from nas.workload import Workload

BYTES_PER_WEIGHT = 4  # fp32
LARGEST_BUILT = 8_000_000
"""Elements of the largest tensor that is made in order to count it."""


@dataclass(frozen=True)
class Costs:
    """What a model costs, exactly."""

    parameters: int
    parameters_without_embeddings: int
    """Without token embedding and learned positions."""
    macs: int
    """Multiply-adds of one forward pass at the workload, all sequences of the batch together."""
    size_mb: float
    """fp32 weights in 10^6 bytes."""


def costs_of(architecture: Architecture, workload: Workload) -> Costs:
    """Return the exact costs; the multiply-adds are those of the whole workload (batch included)."""
    blocks = sub_blocks(architecture)
    parameters = sum(map(parameters_of_sub_block, blocks))
    return Costs(
        parameters=parameters,
        parameters_without_embeddings=sum(
            parameters_of_sub_block(block) for block in blocks if block.kind != "embedding"
        ),
        macs=sum(macs_of_sub_block(block, workload) for block in blocks),
        size_mb=parameters * BYTES_PER_WEIGHT / 1e6,
    )


@lru_cache(maxsize=65_536)
def parameters_of_sub_block(sub_block: SubBlock) -> int:
    """Return the number of trainable parameters of one sub-block."""
    with _in_memory_up_to_a_limit(sub_block, Workload(input_length=1)):
        return sum(p.numel() for p in build_sub_block(sub_block).parameters())


@lru_cache(maxsize=65_536)
def macs_of_sub_block(sub_block: SubBlock, workload: Workload) -> int:
    """Return fvcore's multiply-adds of one sub-block at the workload."""
    with _in_memory_up_to_a_limit(sub_block, workload):
        return count_macs(build_sub_block(sub_block), (example_input(sub_block, workload),))


def _in_memory_up_to_a_limit(sub_block: SubBlock, workload: Workload) -> AbstractContextManager[object]:
    """Let torch keep shapes alone, no numbers, where a tensor would be large: anyone may ask what a giant costs.

    Counts are the same; only they take three times as long, so what is small is built.
    """
    sizes = {name: value for name, value in sub_block.settings if isinstance(value, int)}
    widest, tokens = max(sizes.values()), workload.batch * workload.input_length
    scores = sizes.get("heads", 0) * tokens * workload.input_length
    elements = max(sizes["hidden_size"] * widest, tokens * widest, scores)
    return torch.device("meta") if elements > LARGEST_BUILT else nullcontext()


def whole_model_macs(architecture: Architecture, workload: Workload) -> int:
    """Return fvcore's multiply-adds of the whole model at once: slow, the check of `costs_of`."""
    first = sub_blocks(architecture)[0]
    return count_macs(build_model(architecture), (example_input(first, workload),))
