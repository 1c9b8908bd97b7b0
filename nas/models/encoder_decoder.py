"""The encoder–decoder model: reads the source once, then writes token by token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.attention.contract import Cache
from nas.models.blocks import AttentionBlock, CrossAttentionBlock, FeedForwardBlock, scale_tied_table
from nas.models.sub_block_modules import build_sub_block
from nas.sub_blocks.sub_block import stack_blocks


@dataclass(frozen=True)
class Source:
    """What the decoder needs of the source: every tensor has the batch first."""

    prepared: tuple[Cache, ...]
    """One for each decoder layer that runs."""
    mask: Tensor | None
    """(B, S), True at real tokens; None if all are."""


@dataclass(frozen=True)
class _DecoderLayer:
    attention: AttentionBlock
    cross: CrossAttentionBlock
    feed_forward: FeedForwardBlock
    reads: int


class EncoderDecoderModel(nn.Module):
    """An encoder, and a decoder that attends to its last layers, built from an architecture alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        encoder, decoder = (stack_blocks(architecture, name) for name in ("encoder", "decoder"))
        self.encoder_repeats, self.decoder_repeats = encoder.repeats, decoder.repeats
        self.tied = architecture.tied_embeddings
        self.encoder_blocks = nn.ModuleList(build_sub_block(block) for block in encoder)
        self.decoder_blocks = nn.ModuleList(build_sub_block(block) for block in decoder)
        if self.tied != "none":
            scale_tied_table(self._output_table())
        self.has_memory_norm = encoder.last is not None
        assert architecture.decoder is not None
        self.reads = [layer.cross.reads for layer in architecture.decoder.layers if layer.cross]

    def forward(
        self,
        tokens: Tensor,
        output_tokens: Tensor,
        padding_mask: Tensor | None = None,
        output_mask: Tensor | None = None,
    ) -> Tensor:
        """Map a source (B, S) and what was written so far (B, T) to logits (B, T, V) of the token after each.

        The masks are True at real tokens; what was written is padded on the right.
        """
        memories = self._encode(tokens, padding_mask)
        x = self._embed(output_tokens)
        for layer in self._layers():
            x = layer.attention(x, output_mask)
            mask = _repeated(padding_mask, layer.reads)
            x = layer.cross(x, mask, *layer.cross.prepare(_joined(memories, layer.reads), mask))
            x = layer.feed_forward(x)
        return self._answer(x)

    def encode(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Source:
        """Read the source (B, S) once, and return what every later step needs of it."""
        memories = self._encode(tokens, padding_mask)
        prepared = tuple(
            layer.cross.prepare(_joined(memories, layer.reads), _repeated(padding_mask, layer.reads))
            for layer in self._layers()
        )
        return Source(prepared, padding_mask)

    def empty_state(self, batch: int, length: int) -> tuple[Cache, ...]:
        """Return the state of a decoder that has written nothing, with room for `length` tokens a sequence."""
        return tuple(layer.attention.empty_cache(batch, length) for layer in self._layers())

    def step(
        self, tokens: Tensor, position: Tensor, state: tuple[Cache, ...], source: Source
    ) -> tuple[Tensor, tuple[Cache, ...]]:
        """Read the token (B,) written last, which stands at `position` (B,); the first one is a start token.

        Return the logits (B, V) of the token after it, and the new state; the old one is left as it was.
        """
        table = self._output_table() if self.tied == "all" else None
        x = self.decoder_blocks[0].step(tokens.unsqueeze(1), position, table)  # type: ignore[operator]
        caches = []
        for layer, cache, prepared in zip(self._layers(), state, source.prepared, strict=True):
            x, filled = layer.attention.step(x, position, *cache)
            x = layer.cross(x, _repeated(source.mask, layer.reads), *prepared)
            x = layer.feed_forward(x)
            caches.append(filled)
        return self._answer(x).squeeze(1), tuple(caches)

    def _encode(self, tokens: Tensor, padding_mask: Tensor | None) -> list[Tensor]:
        """Return the outputs (B, S, D) of the encoder's last layers, as many as are read, the last one first."""
        embedding, *layers = list(self.encoder_blocks)
        memory_norm = layers.pop() if self.has_memory_norm else nn.Identity()
        first_read = len(layers) // 2 * self.encoder_repeats - max(self.reads)  # of the layers that run, from 0
        x = embedding(tokens)
        outputs: list[Tensor] = []
        for index in range(len(layers) // 2 * self.encoder_repeats):
            place = index // self.encoder_repeats * 2
            x = layers[place](x, padding_mask)
            x = layers[place + 1](x)
            if index >= first_read:
                outputs.insert(0, x)
        return [memory_norm(output) for output in outputs]

    def _embed(self, tokens: Tensor) -> Tensor:
        table = self._output_table() if self.tied == "all" else None
        return self.decoder_blocks[0](tokens, None, None, table)  # type: ignore[no-any-return]

    def _layers(self) -> list[_DecoderLayer]:
        blocks = list(self.decoder_blocks)[1:-1]
        layers = [
            _DecoderLayer(attention, cross, feed_forward, reads)  # type: ignore[arg-type]
            for attention, cross, feed_forward, reads in zip(
                blocks[::3], blocks[1::3], blocks[2::3], self.reads, strict=True
            )
        ]
        return [layer for layer in layers for _ in range(self.decoder_repeats)]

    def _output_table(self) -> Tensor:
        owner = self.encoder_blocks[0] if self.tied == "all" else self.decoder_blocks[0]
        return owner.tokens.weight  # type: ignore[union-attr, return-value]

    def _answer(self, x: Tensor) -> Tensor:
        table = self._output_table() if self.tied != "none" else None
        return self.decoder_blocks[-1](x, None, table)  # type: ignore[no-any-return]


def _joined(memories: list[Tensor], reads: int) -> Tensor:
    """Return the outputs of the last `reads` layers, (B, reads · S, D)."""
    return memories[0] if reads == 1 else torch.cat(memories[:reads], dim=1)


def _repeated(mask: Tensor | None, reads: int) -> Tensor | None:
    return mask if mask is None or reads == 1 else mask.repeat(1, reads)
