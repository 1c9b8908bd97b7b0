"""The whole model: its sub-blocks, one after the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.sub_blocks import build_sub_block, sub_blocks


class Transformer(nn.Module):
    """An encoder with its head, built from an architecture alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.blocks = nn.ModuleList(build_sub_block(block) for block in sub_blocks(architecture))

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, T) int64 to logits (B, outputs); `padding_mask` (B, T) is True at real tokens."""
        x = tokens
        for block in self.blocks:
            x = block(x, padding_mask)
        return x


def build_model(architecture: Architecture, seed: int | None = None) -> Transformer:
    """Build the model in evaluation mode; with a seed the initial weights depend on nothing else."""
    if seed is None:
        return Transformer(architecture).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Transformer(architecture).eval()
