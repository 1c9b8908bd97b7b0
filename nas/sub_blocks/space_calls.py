"""The calls of a whole space at a workload: what each of its choices runs."""

from __future__ import annotations

from nas.architecture import Attention, CrossAttention
from nas.space import PartKey, SearchSpace
from nas.space.combinations import Resolved
from nas.space.frames import Frame
from nas.sub_blocks.calls import Call, Phase, Place, phases
from nas.sub_blocks.space_blocks import block_of_option, embedding_of_frame, head_of_frame, memory_of_frame
from nas.sub_blocks.sub_block import SubBlock
from nas.workload import Workload


def calls_of_option(place: Place, block: SubBlock, value: Resolved) -> list[Call]:
    """Return the runs of one option of a layer's part, once."""
    if isinstance(value, CrossAttention):
        return place.of_cross_attention(block, value.reads)
    return place.of_attention(block) if isinstance(value, Attention) else place.of_feed_forward(block)


def calls_of_part(
    space: SearchSpace, frame: Frame, key: PartKey, workload: Workload, phase: Phase
) -> dict[int, list[Call]]:
    """Return option → its runs in one layer, of all options of a part that are valid in the frame."""
    place = Place(space.family, key.stack, workload, phase)
    return {
        index: calls_of_option(place, block_of_option(space, frame, key, value), value)
        for index, value in space.resolved(frame, key).items()
    }


def calls_around(space: SearchSpace, frame: Frame, workload: Workload, phase: Phase) -> list[Call]:
    """Return the runs of what stands once around the layers: embeddings and head, without an encoder's last norm."""
    result: list[Call] = []
    for stack in space.stacks:
        place = Place(space.family, stack, workload, phase)
        result += place.of_embedding(embedding_of_frame(space, frame, stack))
    return result + Place(space.family, space.stacks[-1], workload, phase).of_head(head_of_frame(space, frame))


def calls_of_memory(space: SearchSpace, frame: Frame, workload: Workload, phase: Phase) -> list[Call]:
    """Return the run of an encoder's last norm for one layer that the decoder reads; none where it has none."""
    block = memory_of_frame(space, frame)
    return Place(space.family, "encoder", workload, phase).of_memory(block)


def calls_of_space(space: SearchSpace, workload: Workload) -> tuple[Call, ...]:
    """Return every different call that some architecture of the space makes at the workload, by key."""
    found: set[Call] = set()
    for frame in space.frames:
        for phase in phases(space.family):
            if phase == "step" and not workload.output_length:
                continue
            found.update(calls_around(space, frame, workload, phase))
            found.update(calls_of_memory(space, frame, workload, phase))
            for key in space.parts:
                for runs in calls_of_part(space, frame, key, workload, phase).values():
                    found.update(runs)
    return tuple(sorted(found, key=lambda call: call.key))
