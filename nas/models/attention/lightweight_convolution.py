"""Lightweight convolution (Wu et al. 2019, arXiv 1901.10430, section 3.2, with the GLU of its section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.models.attention.convolution import ConvolutionMixer
from nas.models.attention.site import Site


class LightweightConvolution(ConvolutionMixer):
    """Linear D → 2 D, GLU, a depthwise convolution, linear D → D.

    The D channels fall into `heads` equal groups; those of a group share one kernel, which a softmax over its width
    normalises. As in the paper the convolution has no bias: it would only add to the last linear layer's.
    """

    def __init__(self, site: Site, heads: int, kernel_size: int) -> None:
        d = site.hidden_size
        super().__init__(d, kernel_size, causal=site.causal)
        self.input = nn.Linear(d, 2 * d, bias=site.bias)
        self.weight = nn.Parameter(torch.empty(heads, kernel_size))
        nn.init.xavier_uniform_(self.weight)  # as the paper's authors
        self.output = nn.Linear(d, d, bias=site.bias)

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a ⊙ σ(b), (B, T, D), of the linear layer's halves a and b."""
        return functional.glu(self.input(x), dim=-1), None

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Return each channel's normalised weights, (D, 1, W)."""
        heads, size = self.weight.shape[0], self.channels // self.weight.shape[0]
        shared = self.weight.softmax(dim=-1)[:, None, :].expand(heads, size, self.width)
        return shared.reshape(self.channels, 1, self.width), None

    def leave(self, y: Tensor, gate: Tensor | None) -> Tensor:  # noqa: ARG002
        """Project."""
        return self.output(y)  # type: ignore[no-any-return]
