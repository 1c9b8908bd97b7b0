"""Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245); with one key/value head, multi-query."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nas.models.attention.heads import split_heads


class GroupedQueryAttention(nn.Module):
    """Softmax attention in which G = H / K query heads share each of K key/value heads."""

    def __init__(self, hidden_size: int, heads: int, key_value_heads: int) -> None:
        super().__init__()
        self.heads, self.key_value_heads = heads, key_value_heads
        self.head_size = hidden_size // heads
        self.sizes = [hidden_size, key_value_heads * self.head_size, key_value_heads * self.head_size]
        self.qkv = nn.Linear(hidden_size, sum(self.sizes))
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `padding_mask` (B, T) is False are not attended to."""
        b, t, d = x.shape
        kv, e, g = self.key_value_heads, self.head_size, self.heads // self.key_value_heads
        q, k, v = self.qkv(x).split(self.sizes, dim=-1)
        # The G queries of a group stand behind one another as G·T rows, so keys and values are never copied
        q = q.view(b, t, kv, g, e).permute(0, 2, 3, 1, 4).reshape(b, kv, g * t, e)
        k, v = split_heads(k, kv), split_heads(v, kv)  # (B, K, T, E)
        mask = None if padding_mask is None else padding_mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, K, G·T, E)
        mixed = mixed.view(b, kv, g, t, e).permute(0, 3, 1, 2, 4).reshape(b, t, d)
        return self.output(mixed)  # type: ignore[no-any-return]
