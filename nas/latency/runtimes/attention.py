"""Attention written out, for exporters that would write more of it: fused operators, or guards that nothing needs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def written_out(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    *,
    product: Callable[[Tensor, Tensor], Tensor] = torch.matmul,
) -> Tensor:
    """Return softmax(q kᵀ / √E + mask) v of (B, H, T, E) and (B, H, S, E); `product` is that of matrices.

    Masked scores get −10⁹ and not −∞: every query sees a key, so that no row need be looked at for having none.
    """
    scores = product(q * q.shape[3] ** -0.5, k.transpose(2, 3))
    if is_causal:
        attn_mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores + torch.where(attn_mask, 0.0, -1e9)
    return product(torch.softmax(scores, dim=-1), v)
