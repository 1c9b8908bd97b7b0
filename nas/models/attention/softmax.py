"""Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nas.models.attention.heads import join_heads, split_heads


class SoftmaxAttention(nn.Module):
    """softmax(Q Kᵀ / √E) V with H heads of E = D / H dimensions."""

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `padding_mask` (B, T) is False are not attended to."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))  # (B, H, T, E)
        mask = None if padding_mask is None else padding_mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(join_heads(mixed))  # type: ignore[no-any-return]
