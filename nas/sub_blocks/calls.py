"""Calls: what one inference asks of each sub-block, at which sizes.

An encoder runs once (`prefill`). A decoder reads its prompt (`prefill`), then goes on token by token (`step`). An
encoder–decoder reads its source and prepares the cross-attentions (`prefill`), then writes token by token (`step`).
A step reads caches with room for all tokens of the workload, so that every step costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from nas.architecture import Architecture, Layer
from nas.sub_blocks.sub_block import LayerBlocks, SubBlock, stack_blocks
from nas.workload import Workload

Phase = Literal["prefill", "step"]
Method = Literal["forward", "prefill", "step", "prepare"]


@dataclass(frozen=True)
class Call:
    """One run of a sub-block."""

    sub_block: SubBlock
    method: Method
    batch: int
    tokens: int
    """Tokens of each sequence that are read in this run."""
    context: int = 0
    """Of cached attention the tokens that the cache has room for, of cross-attention the tokens it attends to."""

    @cached_property
    def key(self) -> str:
        """The canonical text, e.g. `head(hidden_size=64,norm_position=pre,outputs=35).forward(batch=1,tokens=64)`."""
        context = f",context={self.context}" if self.context else ""
        return f"{self.sub_block.key}.{self.method}(batch={self.batch},tokens={self.tokens}{context})"


def phases(family: str) -> tuple[Phase, ...]:
    """Return the phases of an inference of this family, in order."""
    return ("prefill",) if family == "encoder" else ("prefill", "step")


def cache_length(family: str, workload: Workload) -> int:
    """Return the tokens that the self-attention caches of a decoder have room for at a workload."""
    written = max(1, workload.output_length)
    return written if family == "encoder-decoder" else workload.input_length + written


def calls(architecture: Architecture, workload: Workload, phase: Phase, *, repeats: bool = True) -> tuple[Call, ...]:
    """Return every run of a sub-block in a phase of the workload, in order (preparations of a layer stand with it).

    Without `repeats` the layers that run repeatedly with the same weights are listed once.
    """
    family = architecture.family
    result: list[Call] = []
    for name, stack in architecture.stacks:
        blocks = stack_blocks(architecture, name)
        place = Place(family, name, workload, phase)
        result += place.of_embedding(blocks.embedding)
        for layer, choices in zip(blocks.layers, stack.layers, strict=True):
            result += place.of_layer(layer, choices) * (stack.repeats if repeats else 1)
        if name == "encoder" and family == "encoder-decoder":
            read = max(layer.cross.reads for layer in architecture.decoder.layers if layer.cross)  # type: ignore[union-attr]
            result += place.of_memory(blocks.last) * read
        else:
            assert blocks.last is not None
            result += place.of_head(blocks.last)
    return tuple(result)


@dataclass(frozen=True)
class Place:
    """A stack of a family in a phase of a workload: which of its sub-blocks run there, and at which sizes."""

    family: str
    stack: str
    workload: Workload
    phase: Phase

    @property
    def _prompt(self) -> bool:
        """Whether this stack reads the whole input now."""
        return self.phase == "prefill" and not (self.stack == "decoder" and self.family == "encoder-decoder")

    @property
    def _step(self) -> bool:
        return self.phase == "step" and self.stack == "decoder"

    @property
    def _tokens(self) -> int:
        return 1 if self._step else self.workload.input_length

    def _call(self, block: SubBlock, method: Method, tokens: int | None = None, context: int = 0) -> list[Call]:
        return [Call(block, method, self.workload.batch, tokens or self._tokens, context)]

    def of_embedding(self, block: SubBlock) -> list[Call]:
        """Return the runs of an embedding."""
        if not (self._prompt or self._step):
            return []
        return self._call(block, "step" if self._step else "forward")

    def of_attention(self, block: SubBlock) -> list[Call]:
        """Return the runs of a self-attention."""
        if not (self._prompt or self._step):
            return []
        if self.stack == "encoder":
            return self._call(block, "forward")
        length = cache_length(self.family, self.workload)
        return self._call(block, "step" if self._step else "prefill", context=length)

    def of_cross_attention(self, block: SubBlock, reads: int) -> list[Call]:
        """Return the runs of a cross-attention that reads the last `reads` layers of the encoder."""
        source = reads * self.workload.input_length
        return self._call(block, "forward" if self._step else "prepare", context=source)

    def of_feed_forward(self, block: SubBlock) -> list[Call]:
        """Return the runs of a feed-forward network."""
        return self._call(block, "forward") if self._prompt or self._step else []

    def of_memory(self, block: SubBlock | None) -> list[Call]:
        """Return the runs of an encoder's last norm, for one layer that is read."""
        return self._call(block, "forward") if block is not None and self._prompt else []

    def of_head(self, block: SubBlock) -> list[Call]:
        """Return the runs of a head: a language model answers at the last token only."""
        if not (self._prompt or self._step):
            return []
        return self._call(block, "forward", tokens=1 if self.stack == "decoder" else None)

    def of_layer(self, blocks: LayerBlocks, layer: Layer) -> list[Call]:
        """Return the runs of one layer, once."""
        result = self.of_attention(blocks.attention)
        if blocks.cross_attention is not None and layer.cross is not None:
            result += self.of_cross_attention(blocks.cross_attention, layer.cross.reads)
        return result + self.of_feed_forward(blocks.feed_forward)
