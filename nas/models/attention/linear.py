"""Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236, equations 4 to 7, not causal)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nas.models.attention.heads import join_heads, split_heads


class LinearAttention(nn.Module):
    """φ(Q) (φ(K)ᵀ V) / (φ(Q) Σ φ(K)) with φ(x) = elu(x) + 1: cost grows with T, not with T²."""

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys where `padding_mask` (B, T) is False add nothing to the sums."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))  # (B, H, T, E)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        if padding_mask is not None:
            k = k * padding_mask[:, None, :, None].to(k.dtype)
        memory = k.transpose(-2, -1) @ v  # (B, H, E, E)
        total = k.sum(dim=-2).unsqueeze(-1)  # (B, H, E, 1)
        mixed = (q @ memory) / (q @ total)  # φ > 0, so the divisor is positive
        return self.output(join_heads(mixed))  # type: ignore[no-any-return]
