"""The torch modules of the sub-blocks: embedding, attention, cross-attention, feed-forward, memory, head.

Shapes: B sequences, T tokens, D hidden size, S tokens of the encoder's output. `padding_mask` (B, T) is True at real
tokens; None means all are. In causal models padding stands on the right, so that no real token ever sees it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.models.attention import build_attention, build_cross_attention
from nas.models.attention.contract import Cache, CachedAttention
from nas.models.attention.site import Site

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


class RMSNorm(nn.Module):
    """x / √(mean(x²) + ε) · g (Zhang and Sennrich 2019, arXiv 1910.07467, equation 4).

    Written out, since the exporters know its parts and not torch's own.
    """

    def __init__(self, size: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, D) to (…, D)."""
        return x * torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + self.epsilon) * self.weight


def build_norm(norm: str, size: int) -> nn.Module:
    """Return the norm of that name over the last dimension: `layer` or `rms`."""
    return RMSNorm(size) if norm == "rms" else nn.LayerNorm(size)


class Embedding(nn.Module):
    """Token embedding plus positions, sinusoidal (Vaswani et al. 2017, section 3.5), learned, or none (rotary).

    A table of `embedding_size` columns is followed by a projection to the hidden size (ALBERT, arXiv 1909.11942);
    `norm` is a norm behind the sum (BERT), `segments` the rows of a segment table. A `shared` embedding has no token
    table of its own and is given one with each call.
    """

    def __init__(
        self,
        hidden_size: int,
        vocabulary_size: int,
        max_length: int,
        positions: str,
        *,
        embedding_size: int | None = None,
        embedding_norm: str | None = None,
        segments: int = 0,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.max_length = max_length
        size = embedding_size or hidden_size
        if not shared:
            self.tokens = nn.Embedding(vocabulary_size, size)
        self.project = nn.Linear(size, hidden_size, bias=False) if embedding_size else None
        if segments:
            self.segments = nn.Embedding(segments, hidden_size)
            nn.init.normal_(self.segments.weight, std=0.02)
        self.has_segments = segments > 0
        self.norm = build_norm(embedding_norm, hidden_size) if embedding_norm else None
        self.positions: Tensor | None
        if positions == "learned":
            self.positions = nn.Parameter(torch.randn(max_length, hidden_size) * 0.02)
        elif positions == "sinusoidal":
            # Recomputed when built: a constant has no place among the weights
            self.register_buffer("positions", sinusoids(max_length, hidden_size), persistent=False)
        else:
            self.positions = None

    def forward(
        self,
        tokens: Tensor,
        padding_mask: Tensor | None = None,  # noqa: ARG002  (every sub-block takes one)
        segments: Tensor | None = None,
        table: Tensor | None = None,
    ) -> Tensor:
        """Map tokens (B, T) to (B, T, D); T is at most max_length. `segments` (B, T) are 0 unless given.

        `table` (V, E) is the token table of a shared embedding.
        """
        x = self._look_up(tokens, table)
        if self.has_segments:
            x = x + self.segments(torch.zeros_like(tokens) if segments is None else segments)
        if self.positions is not None:
            x = x + self.positions[: tokens.shape[1]]
        return x if self.norm is None else self.norm(x)

    def step(self, tokens: Tensor, position: Tensor, table: Tensor | None = None) -> Tensor:
        """Map the next token of each sequence (B, 1), which stands at `position` (B,), to (B, 1, D)."""
        x = self._look_up(tokens, table)
        if self.has_segments:
            x = x + self.segments(torch.zeros_like(tokens))
        if self.positions is not None:
            x = x + self.positions[position].unsqueeze(1)
        return x if self.norm is None else self.norm(x)

    def _look_up(self, tokens: Tensor, table: Tensor | None) -> Tensor:
        x = self.tokens(tokens) if table is None else functional.embedding(tokens, table)
        return x if self.project is None else self.project(x)


class Residual(nn.Module, ABC):
    """x + f(norm(x)) (pre-norm) or norm(x + f(x)) (post-norm; Xiong et al. 2020, arXiv 2002.04745)."""

    def __init__(self, hidden_size: int, norm_position: str, norm: str = "layer") -> None:
        super().__init__()
        self.norm = build_norm(norm, hidden_size)
        self.pre = norm_position == "pre"

    def before(self, x: Tensor) -> Tensor:
        """Return what f is given."""
        return self.norm(x) if self.pre else x

    def after(self, x: Tensor, transformed: Tensor) -> Tensor:
        """Return what the sub-block gives, from its input and what f gave."""
        total = x + transformed
        return total if self.pre else self.norm(total)


class TokenResidual(Residual):
    """A residual sub-block that needs nothing but the sequence itself."""

    @abstractmethod
    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Return f(x), (B, T, D) to (B, T, D)."""

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        return self.after(x, self.transform(self.before(x), padding_mask))


class AttentionBlock(TokenResidual):
    """An attention type inside its residual connection."""

    def __init__(
        self,
        hidden_size: int,
        norm_position: str,
        attention: str,
        *,
        norm: str = "layer",
        bias: bool = True,
        causal: bool = False,
        rotary: bool = False,
        max_length: int | None = None,
        **choices: int,
    ) -> None:
        super().__init__(hidden_size, norm_position, norm)
        site = Site(hidden_size, causal=causal, rotary=rotary, bias=bias, max_length=max_length)
        self.attention = build_attention(attention, site, choices)

    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Return the attention of x to itself."""
        return self.attention(x, padding_mask)  # type: ignore[no-any-return]

    @property
    def _cached(self) -> CachedAttention:
        assert isinstance(self.attention, CachedAttention)  # the registry says so of every causal type
        return self.attention

    def empty_cache(self, batch: int, length: int) -> Cache:
        """Return the cache for `length` tokens of `batch` sequences before any of them."""
        return self._cached.empty_cache(batch, length)

    def prefill(self, x: Tensor, padding_mask: Tensor | None, *cache: Tensor) -> tuple[Tensor, Cache]:
        """Map the prompt (B, T, D) to (B, T, D) and fill the cache with it."""
        y, filled = self._cached.prefill(self.before(x), padding_mask, cache)
        return self.after(x, y), filled

    def step(self, x: Tensor, position: Tensor, *cache: Tensor) -> tuple[Tensor, Cache]:
        """Map the next token (B, 1, D), which stands at `position` (B,), to (B, 1, D), and add it to the cache."""
        y, filled = self._cached.step(self.before(x), position, cache)
        return self.after(x, y), filled


class CrossAttentionBlock(Residual):
    """A decoder's attention to the encoder's output, inside its residual connection."""

    def __init__(
        self,
        hidden_size: int,
        memory_size: int,
        norm_position: str,
        attention: str,
        *,
        norm: str = "layer",
        bias: bool = True,
        **choices: int,
    ) -> None:
        super().__init__(hidden_size, norm_position, norm)
        site = Site(hidden_size, bias=bias, memory_size=memory_size)
        self.attention = build_cross_attention(attention, site, choices)

    def prepare(self, memory: Tensor, memory_mask: Tensor | None = None) -> Cache:
        """Return what attention needs of the encoder's output (B, S, D'), once for all tokens to come."""
        return self.attention.prepare(memory, memory_mask)

    def forward(self, x: Tensor, memory_mask: Tensor | None, *prepared: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D), attending to what was prepared."""
        return self.after(x, self.attention(self.before(x), prepared, memory_mask))


class FeedForwardBlock(TokenResidual):
    """Linear, activation, linear, inside its residual connection.

    With `swiglu` the inner layer is twice as wide: swish(a) · b (Shazeer 2020, arXiv 2002.05202, equation 6).
    """

    def __init__(
        self,
        hidden_size: int,
        norm_position: str,
        feed_forward_size: int,
        activation: str,
        *,
        norm: str = "layer",
        bias: bool = True,
    ) -> None:
        super().__init__(hidden_size, norm_position, norm)
        self.gated = activation == "swiglu"
        self.inner = nn.Linear(hidden_size, (1 + self.gated) * feed_forward_size, bias=bias)
        self.activation = activation
        self.outer = nn.Linear(feed_forward_size, hidden_size, bias=bias)

    def transform(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the two-layer network of each token."""
        inner = self.inner(x)
        if self.gated:
            gate, value = inner.chunk(2, dim=-1)
            return self.outer(functional.silu(gate) * value)  # type: ignore[no-any-return]
        return self.outer(_ACTIVATIONS[self.activation](inner))  # type: ignore[no-any-return]


class MemoryBlock(nn.Module):
    """The last norm of a pre-norm encoder, before its output is read by cross-attention."""

    def __init__(self, hidden_size: int, norm: str = "layer") -> None:
        super().__init__()
        self.norm = build_norm(norm, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, S, D) to (B, S, D)."""
        return self.norm(x)  # type: ignore[no-any-return]


class HeadBlock(nn.Module):
    """What answers: pooled over the tokens, or at every token; after pre-norm layers the last norm stands first.

    `pooling`: the mean over the real tokens; or the first token through a linear layer and tanh (BERT, Devlin et al.
    2018, arXiv 1810.04805); or none. A `tied` head multiplies by the token table that it is given with each call,
    behind a projection where the table has `embedding_size` columns.
    """

    def __init__(
        self,
        hidden_size: int,
        norm_position: str,
        outputs: int,
        *,
        norm: str = "layer",
        pooling: str = "mean",
        bias: bool = True,
        tied: bool = False,
        embedding_size: int | None = None,
    ) -> None:
        super().__init__()
        self.norm = build_norm(norm, hidden_size) if norm_position == "pre" else nn.Identity()
        self.pooling = pooling
        self.pooler = nn.Linear(hidden_size, hidden_size) if pooling == "first" else None
        self.project = nn.Linear(hidden_size, embedding_size, bias=False) if tied and embedding_size else None
        self.classes = None if tied else nn.Linear(hidden_size, outputs, bias=bias)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None, table: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to logits (B, outputs), or (B, T, outputs) without pooling; `table` (outputs, E) if tied."""
        x = self.norm(x)
        if self.pooler is not None:
            x = torch.tanh(self.pooler(x[:, 0]))
        elif self.pooling == "mean":
            x = _mean(x, padding_mask)
        if self.classes is not None:
            return self.classes(x)  # type: ignore[no-any-return]
        assert table is not None
        return functional.linear(x if self.project is None else self.project(x), table)


def _mean(x: Tensor, padding_mask: Tensor | None) -> Tensor:
    if padding_mask is None:
        return x.mean(dim=1)
    weight = padding_mask.to(x.dtype).unsqueeze(-1)  # (B, T, 1)
    return (x * weight).sum(dim=1) / weight.sum(dim=1)


def scale_tied_table(table: Tensor) -> None:
    """Draw a token table (V, E) anew that is also multiplied by: so small that logits start near zero."""
    nn.init.normal_(table, std=table.shape[1] ** -0.5)


def sinusoids(length: int, hidden_size: int) -> Tensor:
    """Return the sinusoidal position table (length, D): sines in even columns, cosines in odd ones."""
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    pair = torch.arange(hidden_size, dtype=torch.float64) // 2
    angle = position * torch.exp(-math.log(10_000.0) * 2 * pair / hidden_size)
    even = torch.arange(hidden_size) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).to(torch.float32)
