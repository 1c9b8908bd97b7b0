"""Sub-blocks: the parts a model is the sum of, as values that can be counted and measured once and reused.

A model is the sequence of its sub-blocks and nothing else, so parameters, operations and (up to what isolation
hides) latency of a model are sums over `sub_blocks(architecture)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.attention_types import ATTENTION_TYPES
from nas.models.blocks import AttentionBlock, ClassificationBlock, Embedding, FeedForwardBlock
from nas.workload import Workload

_MODULES: dict[str, type[nn.Module]] = {
    "embedding": Embedding,
    "attention": AttentionBlock,
    "feed_forward": FeedForwardBlock,
    "head": ClassificationBlock,
}


@dataclass(frozen=True, order=True)
class SubBlock:
    """One sub-block: its kind and the arguments of its module, sorted by name."""

    kind: str
    settings: tuple[tuple[str, int | str], ...]

    @classmethod
    def of(cls, kind: str, **settings: int | str) -> SubBlock:
        """Build from keyword arguments."""
        return cls(kind, tuple(sorted(settings.items())))

    @cached_property
    def key(self) -> str:
        """The canonical text, e.g. `head(hidden_size=64,norm_position=pre,outputs=35)`."""
        return f"{self.kind}({','.join(f'{name}={value}' for name, value in self.settings)})"


def sub_blocks(architecture: Architecture) -> tuple[SubBlock, ...]:
    """Return the sub-blocks of a model in the order they run; equal ones are equal values."""
    stack = architecture.encoder
    d, norm = stack.hidden_size, stack.norm_position
    blocks = [
        SubBlock.of(
            "embedding",
            hidden_size=d,
            vocabulary_size=architecture.vocabulary_size,
            max_length=architecture.max_length,
            positions=stack.positions,
        )
    ]
    for layer in stack.layers:
        choices: dict[str, Any] = {name: getattr(layer, name) for name in ATTENTION_TYPES[layer.attention].choices}
        blocks += [
            SubBlock.of("attention", hidden_size=d, norm_position=norm, attention=layer.attention, **choices),
            SubBlock.of(
                "feed_forward",
                hidden_size=d,
                norm_position=norm,
                feed_forward_size=layer.feed_forward_size,
                activation=stack.activation,
            ),
        ]
    blocks.append(SubBlock.of("head", hidden_size=d, norm_position=norm, outputs=architecture.head.outputs))
    return tuple(blocks)


def build_sub_block(sub_block: SubBlock) -> nn.Module:
    """Return the module: forward(x, padding_mask=None), x: tokens (B, T) for an embedding, else (B, T, D)."""
    return _MODULES[sub_block.kind](**dict(sub_block.settings))


def example_input(sub_block: SubBlock, workload: Workload, seed: int = 0) -> Tensor:
    """Return an input of the workload's shape: tokens (B, T) int64 for an embedding, else (B, T, D) float32."""
    settings = dict(sub_block.settings)
    generator = torch.Generator().manual_seed(seed)
    shape = (workload.batch, workload.input_length)
    if sub_block.kind == "embedding":
        return torch.randint(int(settings["vocabulary_size"]), shape, generator=generator)
    return torch.randn(*shape, int(settings["hidden_size"]), generator=generator)
