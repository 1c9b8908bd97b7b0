"""Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.2)."""

from __future__ import annotations

from nas.models.attention.dot_product import DotProductAttention, DotProductCrossAttention
from nas.models.attention.site import Site


class SoftmaxAttention(DotProductAttention):
    """softmax(Q Kᵀ / √E) V with H heads of E dimensions, each with keys and values of its own."""

    def __init__(self, site: Site, heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)


class SoftmaxCrossAttention(DotProductCrossAttention):
    """The same from a decoder to an encoder's output."""

    def __init__(self, site: Site, heads: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)
