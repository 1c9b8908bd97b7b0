"""Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1): what softmax, grouped-query and
local attention share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.models.attention.contract import Cache, CachedAttention, CrossAttention
from nas.models.attention.projections import CrossProjections, Projections
from nas.models.attention.rotary import Rotary
from nas.models.attention.shapes import fixed_shape
from nas.models.attention.site import Site


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """Return softmax(q kᵀ / √E) v, (B, H, T, F), of queries (B, H, T, E), keys (B, K, S, E), K | H, and values
    (B, K, S, F).

    `mask` (…, 1 or T, S) is True where a query sees a key, which is at least once a query. `causal` (T = S, without
    a mask): query i sees the keys up to i.
    """
    b, h, t, e = fixed_shape(q)
    heads, s = fixed_shape(k)[1:3]
    groups = h // heads
    if groups == 1:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and t > 1)
    # The G queries of a group stand behind one another as G·T rows, so keys and values are never copied
    rows = q.reshape(b, heads, groups * t, e)
    if causal and t > 1:
        mask = torch.ones(t, s, dtype=torch.bool, device=q.device).tril()
    if mask is not None and mask.dim() > 1 and fixed_shape(mask)[-2] > 1:
        mask = torch.cat([mask] * groups, dim=-2)
    return functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask).reshape(b, h, t, fixed_shape(v)[3])


class DotProductAttention(Projections, CachedAttention):
    """Every query against every key that it may see.

    The cache is (keys, values), each (B, K, slots, E): the token at position p stands in slot p mod slots, and there
    are as many slots as tokens.
    """

    def __init__(
        self, site: Site, heads: int, head_size: int | None = None, key_value_heads: int | None = None
    ) -> None:
        super().__init__(site, heads, head_size, key_value_heads)
        self.causal = site.causal
        self.rotary = Rotary(self.head_size) if site.rotary else None

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `padding_mask` (B, T) is False are not attended to."""
        return self.combine(self.mix(*self._rotated(x), padding_mask))

    def weights(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Return how much each token takes of each, (B, H, T, T) with rows that sum to 1, of x (B, T, D)."""
        q, k, _ = self._rotated(x)
        b, t, _ = fixed_shape(x)
        which = torch.eye(t, device=x.device, dtype=x.dtype).expand(b, self.key_value_heads, t, t)
        return self.mix(q, k, which, padding_mask)

    def empty_cache(self, batch: int, length: int) -> Cache:
        """Return empty slots for keys and values."""
        shape = (batch, self.key_value_heads, self.slots(length), self.head_size)
        return self.qkv.weight.new_zeros(shape), self.qkv.weight.new_zeros(shape)

    def prefill(self, x: Tensor, padding_mask: Tensor | None, cache: Cache) -> tuple[Tensor, Cache]:
        """Return the outputs and the keys and values of the prompt in their slots."""
        q, k, v = self._rotated(x)
        y = self.combine(self.mix(q, k, v, padding_mask))
        return y, (self.fill(cache[0], k, padding_mask), self.fill(cache[1], v, padding_mask))

    def step(self, x: Tensor, position: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Write one token's key and value into its slot, and attend to the slots written so far."""
        q, k, v = self._rotated(x, position)
        slots = fixed_shape(cache[0])[2]
        slot, place = torch.arange(slots, device=x.device), position[:, None]  # (slots,), (B, 1)
        own = (slot == place % slots)[:, None, :, None]  # (B, 1, slots, 1)
        keys, values = torch.where(own, k, cache[0]), torch.where(own, v, cache[1])
        written = (slot <= place)[:, None, None, :]  # (B, 1, 1, slots): all, once the positions have gone round
        return self.combine(attend(q, keys, values, written)), (keys, values)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Map queries (B, H, T, E), keys and values (B, K, T, E) to (B, H, T, E)."""
        if self.causal:  # padding stands on the right, where no real token sees it
            return attend(q, k, v, causal=True)
        return attend(q, k, v, None if padding_mask is None else padding_mask[:, None, None, :])

    def slots(self, length: int) -> int:
        """Return how many tokens of a sequence of `length` the cache holds."""
        return length

    def fill(self, held: Tensor, new: Tensor, padding_mask: Tensor | None) -> Tensor:  # noqa: ARG002
        """Write a prompt's keys or values (B, K, T, E) over a cache's (B, K, slots, E).

        Padded tokens are written too: `step` overwrites each before it is first seen.
        """
        return torch.cat((new, held[:, :, fixed_shape(new)[2] :]), dim=2)

    def _rotated(self, x: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Project the tokens x (B, T, D), at 0 … T−1 or, being one a sequence, at `position` (B,)."""
        q, k, v = self.project(x)
        if self.rotary is not None:
            places = torch.arange(fixed_shape(x)[1], device=x.device) if position is None else position[:, None, None]
            q, k = self.rotary(q, places), self.rotary(k, places)
        return q, k, v


class DotProductCrossAttention(CrossProjections, CrossAttention):
    """Every query of the decoder against every key of the memory."""

    def prepare(self, memory: Tensor, memory_mask: Tensor | None = None) -> Cache:  # noqa: ARG002
        """Return keys and values, each (B, K, S, E)."""
        return self.project_memory(memory)

    def forward(self, x: Tensor, prepared: Cache, memory_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `memory_mask` (B, S) is False are not attended to."""
        keys, values = prepared
        mask = None if memory_mask is None else memory_mask[:, None, None, :]
        return self.combine(attend(self.project(x), keys, values, mask))
