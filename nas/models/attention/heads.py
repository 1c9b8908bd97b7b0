"""Splitting a projection into heads and joining what the heads give."""

from __future__ import annotations

from torch import Tensor

from nas.models.attention.shapes import fixed_shape


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Map (B, T, H·E) to (B, H, T, E)."""
    b, t, width = fixed_shape(x)
    return x.view(b, t, heads, width // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Map (B, H, T, E) to (B, T, H·E)."""
    b, h, t, e = fixed_shape(x)
    return x.transpose(1, 2).reshape(b, t, h * e)
