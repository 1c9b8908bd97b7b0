"""The decoder model: a causal language model that reads a prompt at once and goes on token by token."""

from __future__ import annotations

from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.attention.contract import Cache
from nas.models.blocks import AttentionBlock, FeedForwardBlock, scale_tied_table
from nas.models.sub_block_modules import build_sub_block
from nas.sub_blocks.sub_block import stack_blocks

State = tuple[Cache, ...]
"""One cache a layer that runs, in their order; every tensor has the batch first."""


class DecoderModel(nn.Module):
    """A decoder with its language-model head, built from an architecture alone.

    Sequences of one batch may differ in length: shorter ones are padded on the right.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        blocks = stack_blocks(architecture, "decoder")
        self.repeats = blocks.repeats
        self.tied = architecture.tied_embeddings != "none"
        self.blocks = nn.ModuleList(build_sub_block(block) for block in blocks)
        if self.tied:
            scale_tied_table(self.blocks[0].tokens.weight)  # type: ignore[union-attr, arg-type]

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, T) int64 to logits (B, T, V) of the token after each; the mask is True at real tokens."""
        x = self.blocks[0](tokens)
        for attention, feed_forward in self._layers():
            x = attention(x, padding_mask)
            x = feed_forward(x)
        return self._answer(x)

    def prefill(self, tokens: Tensor, padding_mask: Tensor | None, length: int) -> tuple[Tensor, State]:
        """Read the prompts (B, T); return the logits (B, V) of the token after each, and the state to go on from.

        The state has room for `length` tokens a sequence, prompt included; without a mask no prompt is padded.
        """
        x = self.blocks[0](tokens)
        state = []
        for attention, feed_forward in self._layers():
            x, cache = attention.prefill(x, padding_mask, *attention.empty_cache(tokens.shape[0], length))
            x = feed_forward(x)
            state.append(cache)
        if padding_mask is None:
            last = x[:, -1:]
        else:
            index = padding_mask.sum(dim=1, keepdim=True) - 1  # (B, 1)
            last = x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[2]))
        return self._answer(last).squeeze(1), tuple(state)

    def step(self, tokens: Tensor, position: Tensor, state: State) -> tuple[Tensor, State]:
        """Read the next token of each sequence (B,), which stands at `position` (B,).

        Return the logits (B, V) of the token after it, and the new state; the old one is left as it was.
        """
        x = self.blocks[0].step(tokens.unsqueeze(1), position)  # type: ignore[operator]
        caches = []
        for (attention, feed_forward), cache in zip(self._layers(), state, strict=True):
            x, filled = attention.step(x, position, *cache)
            x = feed_forward(x)
            caches.append(filled)
        return self._answer(x).squeeze(1), tuple(caches)

    def _layers(self) -> list[tuple[AttentionBlock, FeedForwardBlock]]:
        layers = list(self.blocks)[1:-1]
        pairs = zip(layers[::2], layers[1::2], strict=True)
        return [pair for pair in pairs for _ in range(self.repeats)]  # type: ignore[misc]

    def _answer(self, x: Tensor) -> Tensor:
        table = self.blocks[0].tokens.weight if self.tied else None  # type: ignore[union-attr]
        return self.blocks[-1](x, None, table)  # type: ignore[no-any-return]
