"""The linear layers around attention: from tokens to heads of queries, keys and values, and back."""

from __future__ import annotations

from torch import Tensor, nn

from nas.models.attention.heads import join_heads, split_heads
from nas.models.attention.site import Site


class Projections(nn.Module):
    """H query heads and K ≤ H key/value heads of E dimensions, E being D / H unless `head_size` says otherwise."""

    def __init__(
        self, site: Site, heads: int, head_size: int | None = None, key_value_heads: int | None = None
    ) -> None:
        super().__init__()
        self.heads, self.key_value_heads = heads, key_value_heads or heads
        self.head_size = head_size or site.hidden_size // heads
        self.widths = [heads * self.head_size, *[self.key_value_heads * self.head_size] * 2]
        self.qkv = nn.Linear(site.hidden_size, sum(self.widths), bias=site.bias)
        self.output = nn.Linear(self.widths[0], site.hidden_size, bias=site.bias)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, T, D) to queries (B, H, T, E), keys and values (B, K, T, E)."""
        q, k, v = self.qkv(x).split(self.widths, dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.key_value_heads), split_heads(v, self.key_value_heads)

    def combine(self, mixed: Tensor) -> Tensor:
        """Map what the heads give, (B, H, T, E), to (B, T, D)."""
        return self.output(join_heads(mixed))  # type: ignore[no-any-return]


class CrossProjections(nn.Module):
    """The same with queries from the decoder (D dimensions), keys and values from the memory (`memory_size`)."""

    def __init__(
        self, site: Site, heads: int, head_size: int | None = None, key_value_heads: int | None = None
    ) -> None:
        super().__init__()
        assert site.memory_size is not None
        self.heads, self.key_value_heads = heads, key_value_heads or heads
        self.head_size = head_size or site.hidden_size // heads
        self.query = nn.Linear(site.hidden_size, heads * self.head_size, bias=site.bias)
        self.key_value = nn.Linear(site.memory_size, 2 * self.key_value_heads * self.head_size, bias=site.bias)
        self.output = nn.Linear(heads * self.head_size, site.hidden_size, bias=site.bias)

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, S, memory_size) to keys and values (B, K, S, E)."""
        k, v = self.key_value(memory).chunk(2, dim=-1)
        return split_heads(k, self.key_value_heads), split_heads(v, self.key_value_heads)

    def project(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to queries (B, H, T, E)."""
        return split_heads(self.query(x), self.heads)

    def combine(self, mixed: Tensor) -> Tensor:
        """Map what the heads give, (B, H, T, E), to (B, T, D)."""
        return self.output(join_heads(mixed))  # type: ignore[no-any-return]
