"""Rotary positions (RoFormer, Su et al. 2021, arXiv 2104.09864, section 3.2.2), paired by halves as in Llama."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BASE = 10_000.0


class Rotary(nn.Module):
    """Rotates dimensions i and i + E/2 of a head by the angle position · 10000^(−2i/E), i < E/2; E is even."""

    turns: Tensor
    """Radians a token, (E/2,)."""

    def __init__(self, head_size: int) -> None:
        super().__init__()
        turns = BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
        # Recomputed when built: a constant has no place among the weights
        self.register_buffer("turns", turns.to(torch.float32), persistent=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Rotate heads (B, H, T, E) standing at `positions`: (T,), or (B, 1, T) where sequences differ."""
        angles = positions.unsqueeze(-1) * self.turns  # (T, E/2) or (B, 1, T, E/2)
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
