"""The encoder model: its sub-blocks, one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.sub_block_modules import build_sub_block
from nas.sub_blocks.sub_block import stack_blocks


class EncoderModel(nn.Module):
    """An encoder with its head, built from an architecture alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        blocks = stack_blocks(architecture, "encoder")
        self.repeats = blocks.repeats
        self.blocks = nn.ModuleList(build_sub_block(block) for block in blocks)

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """Map tokens (B, T) int64 to logits: (B, outputs), or (B, T, outputs) of a token classification.

        `padding_mask` (B, T) is True at real tokens; `segments` (B, T) are the rows of the segment table, if any.
        """
        embedding, *layers, head = self.blocks
        x = embedding(tokens, padding_mask, segments)
        for attention, feed_forward in zip(layers[::2], layers[1::2], strict=True):
            for _ in range(self.repeats):
                x = attention(x, padding_mask)  # two statements, so that the old x is let go between them
                x = feed_forward(x, padding_mask)
        return head(x, padding_mask)  # type: ignore[no-any-return]
