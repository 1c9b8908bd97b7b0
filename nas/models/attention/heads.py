"""Splitting a projection into heads and joining what the heads give."""

from __future__ import annotations

from torch import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Map (B, T, H·E) to (B, H, T, E)."""
    b, t, width = x.shape
    return x.view(b, t, heads, width // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Map (B, H, T, E) to (B, T, H·E)."""
    b, h, t, e = x.shape
    return x.transpose(1, 2).reshape(b, t, h * e)
