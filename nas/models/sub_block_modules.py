"""The module of a sub-block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.models.blocks import (
    AttentionBlock,
    CrossAttentionBlock,
    Embedding,
    FeedForwardBlock,
    HeadBlock,
    MemoryBlock,
)
from nas.sub_blocks.sub_block import SubBlock
from nas.workload import Workload

_MODULES: dict[str, type[nn.Module]] = {
    "embedding": Embedding,
    "attention": AttentionBlock,
    "cross_attention": CrossAttentionBlock,
    "feed_forward": FeedForwardBlock,
    "memory": MemoryBlock,
    "head": HeadBlock,
}


def build_sub_block(sub_block: SubBlock) -> nn.Module:
    """Return the module; its inputs are those of its class in `nas.models.blocks`."""
    return _MODULES[sub_block.kind](**dict(sub_block.settings))


def example_input(sub_block: SubBlock, workload: Workload, seed: int = 0) -> Tensor:
    """Return an input of the workload's shape: tokens (B, T) int64 for an embedding, else (B, T, D) float32."""
    settings = dict(sub_block.settings)
    generator = torch.Generator().manual_seed(seed)
    shape = (workload.batch, workload.input_length)
    if sub_block.kind == "embedding":
        return torch.randint(int(settings["vocabulary_size"]), shape, generator=generator)
    return torch.randn(*shape, int(settings["hidden_size"]), generator=generator)
