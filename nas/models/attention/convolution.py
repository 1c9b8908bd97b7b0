"""Mixing tokens by a depthwise convolution: each channel a weighted sum of its values at neighbouring tokens."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from nas.models.attention.contract import Cache, CachedAttention
from nas.models.attention.shapes import fixed_shape


class ConvolutionMixer(CachedAttention):
    """`leave(convolution(enter(x)))`, causal (the kernel ends at the token) or centred on the token.

    The cache is one tensor (B, C, W − 1): what entered the convolution of C channels, W tokens wide, at the last
    W − 1 tokens; zeros before the first.
    """

    def __init__(self, channels: int, width: int, *, causal: bool) -> None:
        super().__init__()
        self.channels, self.width, self.causal = channels, width, causal

    @abstractmethod
    def enter(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (B, T, D) to what enters the convolution, (B, T, C), and the gate that `leave` is given."""

    @abstractmethod
    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights (C, 1, W), the last those of the latest token, and the bias (C,) if there is one."""

    @abstractmethod
    def leave(self, y: Tensor, gate: Tensor | None) -> Tensor:
        """Map what the convolution gives, (B, T, C), to (B, T, D)."""

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); zeros enter the convolution where `padding_mask` (B, T) is False."""
        entered, gate = self.enter(x)
        return self._convolve(entered, gate, padding_mask)

    def empty_cache(self, batch: int, length: int) -> Cache:  # noqa: ARG002
        """Return zeros, as stand before the first token."""
        return (self.kernel()[0].new_zeros(batch, self.channels, self.width - 1),)

    def prefill(self, x: Tensor, padding_mask: Tensor | None, cache: Cache) -> tuple[Tensor, Cache]:  # noqa: ARG002
        """Return the outputs, and what entered at each prompt's last real tokens."""
        entered, gate = self.enter(x)
        y = self._convolve(entered, gate, padding_mask)
        b, t, c = fixed_shape(x)[0], fixed_shape(x)[1], self.channels
        count = self.width - 1
        before = functional.pad(entered.transpose(1, 2), (count, 0))  # (B, C, W − 1 + T)
        if padding_mask is None:
            return y, (before[:, :, t:],)
        # Token p stands at p + W − 1, so the last W − 1 of n tokens begin at n
        places = padding_mask.sum(dim=1)[:, None] + torch.arange(count, device=x.device)  # (B, W − 1)
        return y, (before.gather(2, places[:, None, :].expand(b, c, count)),)

    def step(self, x: Tensor, position: Tensor, cache: Cache) -> tuple[Tensor, Cache]:  # noqa: ARG002
        """Convolve the tokens held and the new one."""
        entered, gate = self.enter(x)
        held = torch.cat((cache[0], entered.transpose(1, 2)), dim=2)  # (B, C, W)
        weight, bias = self.kernel()
        y = functional.conv1d(held, weight, bias, groups=self.channels)  # (B, C, 1)
        return self.leave(y.transpose(1, 2), gate), (held[:, :, 1:],)

    def _convolve(self, entered: Tensor, gate: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        if padding_mask is not None:
            entered = entered * padding_mask[:, :, None].to(entered.dtype)
        before = self.width - 1 if self.causal else self.width // 2
        padded = functional.pad(entered.transpose(1, 2), (before, self.width - 1 - before))
        weight, bias = self.kernel()
        y = functional.conv1d(padded, weight, bias, groups=self.channels)  # (B, C, T)
        return self.leave(y.transpose(1, 2), gate)
