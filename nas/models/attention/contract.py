"""What every attention type promises.

Shapes: B sequences, T tokens, S tokens of an encoder's output, D hidden size, H heads of E dimensions. A mask is
True at real tokens, of which every sequence has at least one; None means that all are real. What stands at padded
tokens never changes the output at a real one; the output at a padded token is finite and otherwise unspecified.

Everything is functional (no tensor that is passed in is changed) and can be traced by `torch.jit.trace` and exported
to ONNX at fixed shapes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

Cache = tuple[Tensor, ...]
"""What a causal layer remembers of the tokens so far: every tensor is (B, …) and keeps its shape from step to step."""


class SelfAttention(nn.Module, ABC):
    """Mixes the tokens of each sequence: built as `Type(site, **choices)`."""

    @abstractmethod
    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D), `padding_mask` (B, T).

        Where the site is causal, no output depends on later tokens, and padding stands on the right: then the mask
        changes nothing at real tokens.
        """


class CachedAttention(SelfAttention):
    """Self-attention that, where its site is causal, can also be run token by token.

    A cache is begun by `empty_cache`, filled by at most one `prefill`, and carried on by `step`. Together they give
    what `forward` gives for the whole sequence. Only for causal sites.
    """

    @abstractmethod
    def empty_cache(self, batch: int, length: int) -> Cache:
        """Return zeros for `batch` sequences of at most `length` tokens each, in the type and on the device of the
        weights."""

    @abstractmethod
    def prefill(self, x: Tensor, padding_mask: Tensor | None, cache: Cache) -> tuple[Tensor, Cache]:
        """Return `forward(x, padding_mask)` (B, T, D) and the cache after each sequence's own last real token.

        Padding stands on the right. T is at most the cache's `length`. What the cache held before doesn't count.
        """

    @abstractmethod
    def step(self, x: Tensor, position: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Return the output (B, 1, D) for one more token of each sequence, x (B, 1, D), and the cache after it.

        `position` (B,) int64 is the token's index in its own sequence, from 0: the number of tokens that the cache
        has seen of that sequence, less than the cache's `length`.
        """


class CrossAttention(nn.Module, ABC):
    """Lets a decoder's tokens read an encoder's output ("memory"): built as `Type(site, **choices)`."""

    @abstractmethod
    def prepare(self, memory: Tensor, memory_mask: Tensor | None = None) -> Cache:
        """Return what `forward` needs of `memory` (B, S, memory_size), computed once and read for every token
        written; `memory_mask` (B, S)."""

    @abstractmethod
    def forward(self, x: Tensor, prepared: Cache, memory_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); `memory_mask` (B, S) is the one that `prepare` was given."""
