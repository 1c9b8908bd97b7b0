"""Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245, section 2.2); with one key/value head it is
multi-query attention (Shazeer 2019, arXiv 1911.02150)."""

from __future__ import annotations

from nas.models.attention.dot_product import DotProductAttention, DotProductCrossAttention
from nas.models.attention.site import Site


class GroupedQueryAttention(DotProductAttention):
    """Softmax attention in which query heads h·G … h·G + G − 1, G = H / K, share key/value head h of K."""

    def __init__(self, site: Site, heads: int, key_value_heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size, key_value_heads)


class GroupedQueryCrossAttention(DotProductCrossAttention):
    """The same from a decoder to an encoder's output."""

    def __init__(self, site: Site, heads: int, key_value_heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size, key_value_heads)
