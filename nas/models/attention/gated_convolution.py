"""The gated short convolution of LFM2 (Liquid AI 2025, arXiv 2511.23404, section 2)."""

from __future__ import annotations

from torch import Tensor, nn

from nas.models.attention.convolution import ConvolutionMixer
from nas.models.attention.site import Site

WIDTH = 3


class GatedConvolution(ConvolutionMixer):
    """Linear to (B, C, x) of D channels each; y = C ⊙ conv₃(B ⊙ x); linear.

    The convolution is depthwise, causal where the site is, else centred. It has an order of its own.
    """

    def __init__(self, site: Site) -> None:
        d = site.hidden_size
        super().__init__(d, WIDTH, causal=site.causal)
        self.input = nn.Linear(d, 3 * d, bias=site.bias)
        self.convolution = nn.Conv1d(d, d, WIDTH, groups=d, bias=site.bias)
        self.output = nn.Linear(d, d, bias=site.bias)

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return B ⊙ x and the gate C, each (B, T, D)."""
        before, after, value = self.input(x).chunk(3, dim=-1)
        return before * value, after

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights (D, 1, 3) and the bias (D,)."""
        return self.convolution.weight, self.convolution.bias

    def leave(self, y: Tensor, gate: Tensor | None) -> Tensor:
        """Gate and project back."""
        assert gate is not None
        return self.output(gate * y)  # type: ignore[no-any-return]
