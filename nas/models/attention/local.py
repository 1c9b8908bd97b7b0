"""Local attention: a sliding window over the tokens (Longformer, Beltagy et al. 2020, arXiv 2004.05150, section 3.1;
causal, as in Mistral 7B, Jiang et al. 2023, arXiv 2310.06825, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.models.attention.dot_product import DotProductAttention, attend
from nas.models.attention.shapes import fixed_shape
from nas.models.attention.site import Site


class LocalAttention(DotProductAttention):
    """Softmax attention in which query i sees the keys j with |i − j| < window; causal, 0 ≤ i − j < window.

    The cache is a ring: it has min(window, length) slots, and a token takes the slot of the one `window` before it.
    """

    def __init__(self, site: Site, heads: int, window: int, head_size: int | None = None) -> None:
        super().__init__(site, heads, head_size)
        self.window = window

    def mix(self, q: Tensor, k: Tensor, v: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Map queries, keys and values (B, H, T, E) to (B, H, T, E)."""
        t = fixed_shape(q)[2]
        if t <= self.window:
            return super().mix(q, k, v, padding_mask)
        if self.causal:  # padding stands on the right, where no real token sees it
            padding_mask = None
        if t <= 2 * self.window:  # blocks would cost no less
            place = torch.arange(t, device=q.device)
            mask = self._visible(place[:, None] - place, place.expand(t, t), padding_mask)  # (B or 1, T, T)
            return attend(q, k, v, mask[:, None])
        return self._mix_in_blocks(q, k, v, padding_mask)

    def slots(self, length: int) -> int:
        """Return how many tokens of a sequence of `length` the cache holds."""
        return min(self.window, length)

    def fill(self, held: Tensor, new: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Write the last tokens of each prompt (B, H, T, E) over a ring (B, H, slots, E)."""
        b, h, slots, e = fixed_shape(held)
        t = fixed_shape(new)[2]
        if padding_mask is None:
            last = torch.full((b, 1), t - 1, device=new.device)
        else:
            last = padding_mask.sum(dim=1, keepdim=True) - 1  # (B, 1)
        # The last position up to `last` that stands in the slot; below 0 where none does. The dividend, last − slot, is
        # kept above 0, of which alone every runtime has the same remainder: ExecuTorch's has the dividend's sign. And a
        # number added to integers makes floats of them where int8 is prepared, so it is part of a tensor
        place = last - (last + torch.arange(slots, 0, -1, device=new.device)) % slots  # (B, slots)
        taken = new.gather(2, place.clamp(min=0)[:, None, :, None].expand(b, h, slots, e))
        return torch.where((place >= 0)[:, None, :, None], taken, held)

    def _mix_in_blocks(self, q: Tensor, k: Tensor, v: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Let each block of W = `window` queries see its own block of keys and the neighbouring ones: T · 2 W scores
        where causal, else T · 3 W."""
        b, h, t, e = fixed_shape(q)
        w = self.window
        n = -(-t // w)  # blocks
        behind = n * w - t
        seen = 2 if self.causal else 3  # blocks of keys: the one before, its own, the one after

        def neighbourhoods(x: Tensor) -> Tensor:
            """Map (B, H, T, E) to (B·N, H, seen·W, E), zeros where there is no token."""
            e = fixed_shape(x)[3]
            x = functional.pad(x, (0, 0, w, behind + (seen - 2) * w)).view(b, h, n + seen - 1, w, e)
            x = torch.cat([x[:, :, i : i + n] for i in range(seen)], dim=3)  # (B, H, N, seen·W, E)
            return x.transpose(1, 2).reshape(b * n, h, seen * w, e)

        queries = functional.pad(q, (0, 0, 0, behind)).view(b, h, n, w, e).transpose(1, 2).reshape(b * n, h, w, e)
        block, row = torch.arange(n, device=q.device), torch.arange(w, device=q.device)
        column = torch.arange(seen * w, device=q.device)
        key = ((block * w - w)[:, None] + column)[:, None, :].expand(n, w, seen * w)  # positions
        mask = self._visible((w + row[:, None] - column).expand(n, w, seen * w), key, padding_mask, t)
        mask = mask.expand(b, n, w, seen * w).reshape(b * n, 1, w, seen * w)
        mixed = attend(queries, neighbourhoods(k), neighbourhoods(v), mask)  # (B·N, H, W, E)
        e = fixed_shape(v)[3]
        return mixed.view(b, n, h, w, e).transpose(1, 2).reshape(b, h, n * w, e)[:, :, :t]

    def _visible(self, distance: Tensor, key: Tensor, padding_mask: Tensor | None, length: int | None = None) -> Tensor:
        """Return whether each query sees each key, (B or 1, …), from i − j and j, both (…)."""
        visible = (distance >= 0 if self.causal else distance > -self.window) & (distance < self.window)
        if length is not None:
            visible = visible & (key >= 0) & (key < length)
            key = key.clamp(0, length - 1)
        visible = visible[None]
        if padding_mask is not None:
            visible = visible & padding_mask[:, key]
        # A token of nothing but padding around it must still see something: itself
        return visible | (distance == 0)
