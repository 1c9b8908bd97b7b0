"""Long–short range attention (Lite Transformer, Wu et al. 2020, arXiv 2004.11886, section 4)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nas.models.attention.contract import Cache, CachedAttention
from nas.models.attention.lightweight_convolution import LightweightConvolution
from nas.models.attention.site import Site
from nas.models.attention.softmax import SoftmaxAttention


class LongShortAttention(CachedAttention):
    """Softmax attention over the first half of the channels, a convolution over the second, side by side.

    Each half has `heads` heads; of the attention they have D / 2 / H dimensions. The cache is the attention's,
    (keys, values), then the convolution's: (B, H, length, E) twice and (B, D / 2, kernel_size − 1).
    """

    def __init__(self, site: Site, heads: int, kernel_size: int) -> None:
        super().__init__()
        half = replace(site, hidden_size=site.hidden_size // 2)
        self.long = SoftmaxAttention(half, heads)
        self.short = LightweightConvolution(half, heads, kernel_size)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        first, second = x.chunk(2, dim=-1)
        return torch.cat((self.long(first, padding_mask), self.short(second, padding_mask)), dim=-1)

    def empty_cache(self, batch: int, length: int) -> Cache:
        """Return both halves' empty caches."""
        return *self.long.empty_cache(batch, length), *self.short.empty_cache(batch, length)

    def prefill(self, x: Tensor, padding_mask: Tensor | None, cache: Cache) -> tuple[Tensor, Cache]:
        """Return the outputs and both halves' caches after the prompts."""
        first, second = x.chunk(2, dim=-1)
        long, attended = self.long.prefill(first, padding_mask, cache[:-1])
        short, convolved = self.short.prefill(second, padding_mask, cache[-1:])
        return torch.cat((long, short), dim=-1), (*attended, *convolved)

    def step(self, x: Tensor, position: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Take one token further in both halves."""
        first, second = x.chunk(2, dim=-1)
        long, attended = self.long.step(first, position, cache[:-1])
        short, convolved = self.short.step(second, position, cache[-1:])
        return torch.cat((long, short), dim=-1), (*attended, *convolved)
