"""The sub-blocks of a whole space: what each of its choices is built as."""

from __future__ import annotations

from nas.architecture import CrossAttention, Head
from nas.space import PartKey, SearchSpace
from nas.space.combinations import Resolved
from nas.space.frames import Frame
from nas.space.options import FeedForward
from nas.sub_blocks.sub_block import (
    SubBlock,
    attention_block,
    cross_attention_block,
    embedding_block,
    feed_forward_block,
    head_block,
    memory_block,
)


def block_of_option(space: SearchSpace, frame: Frame, key: PartKey, value: Resolved) -> SubBlock:
    """Return the sub-block of one option of a layer's part, as `space.resolved(frame, key)` gives it."""
    stack = frame.stacks[key.stack]
    if isinstance(value, FeedForward):
        return feed_forward_block(stack, value.size, value.activation)
    if isinstance(value, CrossAttention):
        return cross_attention_block(stack, value, frame.stacks["encoder"].hidden_size)
    return attention_block(stack, value, causal=key.stack == "decoder", max_length=space.length_of(key.stack))


def embedding_of_frame(space: SearchSpace, frame: Frame, stack: str) -> SubBlock:
    """Return the embedding in front of a stack."""
    shape = space.task_shape
    rows = shape.outputs if stack == "decoder" else shape.vocabulary_size
    shared = stack == "decoder" and frame.tied_embeddings == "all"
    return embedding_block(frame.stacks[stack], rows, space.length_of(stack), shared=shared)


def head_of_frame(space: SearchSpace, frame: Frame) -> SubBlock:
    """Return the head behind the last stack."""
    shape = space.task_shape
    head = Head(type=shape.task, outputs=shape.outputs)  # type: ignore[arg-type]
    return head_block(frame.stacks[space.stacks[-1]], head, tied=frame.tied_embeddings != "none")


def memory_of_frame(space: SearchSpace, frame: Frame) -> SubBlock | None:
    """Return the last norm of an encoder that a decoder reads, or None where there is none."""
    return memory_block(frame.stacks["encoder"]) if space.family == "encoder-decoder" else None


def sub_blocks_of_space(space: SearchSpace) -> tuple[SubBlock, ...]:
    """Return every different sub-block that some architecture of the space has, sorted."""
    found: set[SubBlock] = set()
    for frame in space.frames:
        found |= {embedding_of_frame(space, frame, stack) for stack in space.stacks}
        found.add(head_of_frame(space, frame))
        memory = memory_of_frame(space, frame)
        found |= set() if memory is None else {memory}
        for key in space.parts:
            found |= {block_of_option(space, frame, key, value) for value in space.resolved(frame, key).values()}
    return tuple(sorted(found))
