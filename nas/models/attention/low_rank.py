"""Low-rank attention (Linformer, Wang et al. 2020, arXiv 2006.04768, equation 7, E and F shared by the heads)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nas.errors import InvalidInput
from nas.models.attention.contract import SelfAttention
from nas.models.attention.dot_product import attend
from nas.models.attention.heads import split_heads
from nas.models.attention.projections import Projections
from nas.models.attention.shapes import fixed_shape
from nas.models.attention.site import Site


class LowRankAttention(Projections, SelfAttention):
    """softmax(Q (E K)ᵀ / √E) (F V): every query against `rank` learned mixtures of the keys and values.

    E and F are the weights of `key_mixtures` and `value_mixtures`, (rank, max_length) each; of a sequence of T tokens
    the first T columns are used.
    """

    def __init__(self, site: Site, heads: int, rank: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)
        assert site.max_length is not None
        self.max_length = site.max_length
        self.key_mixtures = nn.Linear(site.max_length, rank, bias=False)
        self.value_mixtures = nn.Linear(site.max_length, rank, bias=False)

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); keys and values where `padding_mask` (B, T) is False add nothing to a mixture.

        Raises `InvalidInput` if T is above max_length.
        """
        t = fixed_shape(x)[1]
        if t > self.max_length:
            raise InvalidInput.of("tokens", t, f"at most max_length ({self.max_length})", "shorten the sequence")
        q, k, v = self.qkv(x).chunk(3, dim=-1)  # (B, T, H·E)
        if padding_mask is not None:
            real = padding_mask[:, :, None].to(k.dtype)
            k, v = k * real, v * real
        # As linear layers over time: (B, H·E, T) → (B, H·E, rank)
        k = functional.linear(k.transpose(1, 2), self.key_mixtures.weight[:, :t]).transpose(1, 2)
        v = functional.linear(v.transpose(1, 2), self.value_mixtures.weight[:, :t]).transpose(1, 2)
        q, k, v = (split_heads(part, self.heads) for part in (q, k, v))  # (B, H, T, E), (B, H, rank, E) twice
        return self.combine(attend(q, k, v))
