"""Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236: equations 4 to 7; causal, 8 to 12)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.models.attention.contract import Cache, CachedAttention, CrossAttention
from nas.models.attention.projections import CrossProjections, Projections
from nas.models.attention.shapes import fixed_shape
from nas.models.attention.site import Site

CHUNK = 64
"""Tokens that a causal layer takes at once: within a chunk by its scores, between chunks by running sums."""

EPSILON = 1e-6
"""Added to the divisor, as by the paper's authors: in 32 bits φ is 0 below −17, and a first token's divisor with it."""


class LinearAttention(Projections, CachedAttention):
    """φ(Q) (φ(K)ᵀ V) / (φ(Q) Σ φ(K)) with φ(x) = elu(x) + 1: cost grows with T, not with T².

    The cache is (Σ φ(k) vᵀ, Σ φ(k)): (B, H, E, E) and (B, H, E, 1), whatever the length.
    """

    def __init__(self, site: Site, heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)
        self.causal = site.causal

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `padding_mask` (B, T) is False add nothing to the sums."""
        q, k, v = self._features(x)
        if self.causal:  # padding stands on the right, in no real token's sums
            return self.combine(_mix_causally(q, k, v))
        return self.combine(_read(q, _memorise(k, v, padding_mask)))

    def empty_cache(self, batch: int, length: int) -> Cache:  # noqa: ARG002
        """Return sums over no token."""
        shape = (batch, self.heads, self.head_size)
        return self.qkv.weight.new_zeros(*shape, self.head_size), self.qkv.weight.new_zeros(*shape, 1)

    def prefill(self, x: Tensor, padding_mask: Tensor | None, cache: Cache) -> tuple[Tensor, Cache]:  # noqa: ARG002
        """Return the outputs and the sums over each prompt's real tokens."""
        q, k, v = self._features(x)
        return self.combine(_mix_causally(q, k, v)), _memorise(k, v, padding_mask)

    def step(self, x: Tensor, position: Tensor, cache: Cache) -> tuple[Tensor, Cache]:  # noqa: ARG002
        """Add one token to the sums, and read them."""
        q, k, v = self._features(x)
        memory, total = _memorise(k, v)
        cache = (cache[0] + memory, cache[1] + total)
        return self.combine(_read(q, cache)), cache

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return φ(q), φ(k) and v, each (B, H, T, E)."""
        q, k, v = self.project(x)
        return _phi(q), _phi(k), v


class LinearCrossAttention(CrossProjections, CrossAttention):
    """The same from a decoder to an encoder's output: each token written reads E × E sums, however long the input."""

    def __init__(self, site: Site, heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)

    def prepare(self, memory: Tensor, memory_mask: Tensor | None = None) -> Cache:
        """Return (Σ φ(k) vᵀ, Σ φ(k)), (B, H, E, E) and (B, H, E, 1), over the real tokens."""
        k, v = self.project_memory(memory)
        return _memorise(_phi(k), v, memory_mask)

    def forward(self, x: Tensor, prepared: Cache, memory_mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Map (B, T, D) to (B, T, D); the mask was heeded by `prepare`."""
        return self.combine(_read(_phi(self.project(x)), prepared))


def _phi(x: Tensor) -> Tensor:
    return functional.elu(x) + 1


def _memorise(k: Tensor, v: Tensor, mask: Tensor | None = None) -> Cache:
    """Sum φ(k) vᵀ and φ(k), both from (B, H, T, E), over the tokens where `mask` (B, T) is True."""
    if mask is not None:
        k = k * mask[:, None, :, None].to(k.dtype)
    return k.transpose(-2, -1) @ v, k.sum(dim=-2).unsqueeze(-1)


def _read(q: Tensor, sums: Cache) -> Tensor:
    """Return (φ(q) Σ φ(k) vᵀ) / (φ(q) Σ φ(k)), (B, H, T, E)."""
    memory, total = sums
    return (q @ memory) / (q @ total + EPSILON)


def _mix_causally(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Map φ(q), φ(k), v (B, H, T, E) to (B, H, T, E): at each token the sums over the tokens up to it.

    T · (C + E) · E multiply-adds a head rather than T² · E, in chunks of C tokens.
    """
    b, h, t, e = fixed_shape(q)
    c = min(CHUNK, t)
    n = -(-t // c)
    # Queries are filled up with ones, not zeros, so that no divisor is 0, whose gradient would not be finite
    q = functional.pad(q, (0, 0, 0, n * c - t), value=1.0).view(b, h, n, c, e)
    k, v = (functional.pad(x, (0, 0, 0, n * c - t)).view(b, h, n, c, e) for x in (k, v))
    scores = (q @ k.transpose(-2, -1)).tril()  # (B, H, N, C, C)
    mixed, divisor = scores @ v, scores.sum(dim=-1, keepdim=True)
    if n > 1:
        memory, total = (  # before each chunk: nothing before the first
            torch.cumsum(functional.pad(sums, (0, 0, 0, 0, 1, 0)), dim=2)
            for sums in _memorise(k[:, :, :-1], v[:, :, :-1])
        )
        mixed, divisor = mixed + q @ memory, divisor + q @ total
    return (mixed / (divisor + EPSILON)).reshape(b, h, n * c, e)[:, :, :t]
