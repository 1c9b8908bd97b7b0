"""Where an attention sub-block stands: what its type is told beside its own choices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """The surroundings of one attention sub-block."""

    hidden_size: int
    causal: bool = False
    """Whether a token sees only itself and those before it."""
    rotary: bool = False
    """Whether queries and keys are rotated by their positions; types with an order of their own ignore it."""
    bias: bool = True
    """Whether linear layers and convolutions add a bias."""
    max_length: int | None = None
    """Longest sequence; given only to types with `fixed_length`."""
    memory_size: int | None = None
    """Of cross-attention: the hidden size of the encoder whose output is read."""
