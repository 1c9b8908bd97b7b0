"""The torch modules of the sub-blocks: embedding, attention, feed-forward, head.

Shapes: B sequences, T tokens, D hidden size. `padding_mask` (B, T) is True at real tokens; None means all are.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nas.models.attention import build_attention

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


class Embedding(nn.Module):
    """Token embedding plus positions, sinusoidal (Vaswani et al. 2017, section 3.5) or learned."""

    def __init__(self, hidden_size: int, vocabulary_size: int, max_length: int, positions: str) -> None:
        super().__init__()
        self.max_length = max_length
        self.tokens = nn.Embedding(vocabulary_size, hidden_size)
        if positions == "learned":
            self.positions = nn.Parameter(torch.randn(max_length, hidden_size) * 0.02)
        else:
            # Recomputed when built: a constant has no place among the weights
            self.register_buffer("positions", sinusoids(max_length, hidden_size), persistent=False)

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Map tokens (B, T) to (B, T, D); T is at most max_length."""
        return self.tokens(tokens) + self.positions[: tokens.shape[1]]  # type: ignore[no-any-return]


class Residual(nn.Module, ABC):
    """x + f(norm(x)) (pre-norm) or norm(x + f(x)) (post-norm; Xiong et al. 2020, arXiv 2002.04745)."""

    def __init__(self, hidden_size: int, norm_position: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.pre = norm_position == "pre"

    @abstractmethod
    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Return f(x), (B, T, D) to (B, T, D)."""

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        if self.pre:
            return x + self.transform(self.norm(x), padding_mask)
        return self.norm(x + self.transform(x, padding_mask))  # type: ignore[no-any-return]


class AttentionBlock(Residual):
    """An attention type inside its residual connection."""

    def __init__(self, hidden_size: int, norm_position: str, attention: str, **choices: int) -> None:
        super().__init__(hidden_size, norm_position)
        self.attention = build_attention(attention, hidden_size, choices)

    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Return the attention of x to itself."""
        return self.attention(x, padding_mask)  # type: ignore[no-any-return]


class FeedForwardBlock(Residual):
    """Linear, activation, linear, inside its residual connection."""

    def __init__(self, hidden_size: int, norm_position: str, feed_forward_size: int, activation: str) -> None:
        super().__init__(hidden_size, norm_position)
        self.inner = nn.Linear(hidden_size, feed_forward_size)
        self.activation = _ACTIVATIONS[activation]()
        self.outer = nn.Linear(feed_forward_size, hidden_size)

    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the two-layer network of each token."""
        return self.outer(self.activation(self.inner(x)))  # type: ignore[no-any-return]


class ClassificationBlock(nn.Module):
    """Mean over the real tokens, then a linear layer; after pre-norm layers the stack's last norm stands first."""

    def __init__(self, hidden_size: int, norm_position: str, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size) if norm_position == "pre" else nn.Identity()
        self.classes = nn.Linear(hidden_size, outputs)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to logits (B, outputs)."""
        x = self.norm(x)
        if padding_mask is None:
            pooled = x.mean(dim=1)
        else:
            weight = padding_mask.to(x.dtype).unsqueeze(-1)  # (B, T, 1)
            pooled = (x * weight).sum(dim=1) / weight.sum(dim=1)
        return self.classes(pooled)  # type: ignore[no-any-return]


def sinusoids(length: int, hidden_size: int) -> Tensor:
    """Return the sinusoidal position table (length, D): sines in even columns, cosines in odd ones."""
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    pair = torch.arange(hidden_size, dtype=torch.float64) // 2
    angle = position * torch.exp(-math.log(10_000.0) * 2 * pair / hidden_size)
    even = torch.arange(hidden_size) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).to(torch.float32)
