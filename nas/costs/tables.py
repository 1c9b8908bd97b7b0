"""Cost tables: what every choice of a space costs, so that an architecture's costs are sums over table rows.

Parameters, multiply-adds, bytes of weights and caches add up over the choices. The peak of activations is a maximum
over them. Both depend a little on one thing that spans layers: how many of the encoder's last layers the decoder reads
at most (`reads`), which is why the tables have a column for each number of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.architecture import MOST_READS, Attention, CrossAttention, StackSettings
from nas.costs.costs import (
    ACTIVATION_BYTES,
    held_bytes,
    held_bytes_of_memory,
    held_bytes_of_preparation,
)
from nas.costs.sub_block_costs import (
    cache_bytes_of_call,
    int8_bytes_of_sub_block,
    macs_of_call,
    parameters_of_sub_block,
)
from nas.space import PartKey, SearchSpace
from nas.space.combinations import Resolved
from nas.space.frames import Frame
from nas.sub_blocks.calls import Call, Phase, Place, phases
from nas.sub_blocks.space_blocks import block_of_option, embedding_of_frame, head_of_frame, memory_of_frame
from nas.sub_blocks.space_calls import calls_of_option
from nas.sub_blocks.sub_block import SubBlock
from nas.workload import Workload

SUMS = ("parameters", "embedding_parameters", "macs_prefill", "macs_step", "int8_bytes", "cache_bytes")
"""What adds up, in the order of the tables' last axis."""
_READS = range(1, MOST_READS + 1)

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PartTable:
    """What the options of one part cost."""

    rows: Integers
    """(frames,): the row of each frame; frames that cost the same share one."""
    sums: Integers
    """(rows, options, len(SUMS)); 0 for options that are not valid there. Repeats are counted."""
    peaks: Integers
    """(rows, options, MOST_READS): bytes at the peak, by the most layers that the decoder reads, less one."""
    valid: NDArray[np.bool_]
    """(rows, options)."""
    reads: Integers
    """(options,): encoder layers that the option reads; 0 but for cross-attention."""


class CostTables:
    """The tables of one space at one workload; each different sub-block is counted once a process."""

    def __init__(self, space: SearchSpace, workload: Workload, *, only_parameters: bool = False) -> None:
        """With `only_parameters` nothing else is counted, and all else is 0."""
        self.space, self.workload = space, workload
        self._phases = () if only_parameters else phases(space.family)
        self._fixed: dict[tuple[object, ...], tuple[Integers, Integers]] = {}
        fixed = [self._of_frame(frame) for frame in space.frames]
        self.fixed_sums = np.stack([sums for sums, _ in fixed])
        """(frames, MOST_READS, len(SUMS)): what does not depend on the layers."""
        self.fixed_peaks = np.stack([peaks for _, peaks in fixed])
        """(frames, MOST_READS)."""
        self.parts = {key: self._part_table(key) for key in space.parts}
        crossed = space.family == "encoder-decoder"
        outputs = [self._output_bytes(frame) if crossed else 0 for frame in space.frames]
        self._outputs: Integers = np.array(outputs, dtype=np.int64)
        repeats = [frame.stacks["encoder"].repeats if crossed else 1 for frame in space.frames]
        self._repeats: Integers = np.array(repeats, dtype=np.int64)

    def kept_bytes(self, key: PartKey, frames: Integers, most_reads: Integers, from_end: int) -> Integers:
        """Return (n,) the bytes that an encoder layer holds for the decoder beside its input, see `kept_outputs`.

        `frames` and `most_reads` are (n,); `from_end` is 1 for the last of the layers, each counted with its repeats.
        """
        if key.stack != "encoder" or not self._outputs.any():
            return np.zeros(len(frames), dtype=np.int64)
        runs_from_end = (from_end - 1) * self._repeats[frames] + 1
        kept: Integers = np.maximum(0, most_reads - runs_from_end - (key.part == "attention"))
        return kept * self._outputs[frames]

    def _part_table(self, key: PartKey) -> PartTable:
        known: dict[tuple[StackSettings, int], int] = {}
        rows, frames = [], []
        for frame in self.space.frames:
            memory = frame.stacks["encoder"].hidden_size if key.part == "cross" else 0
            identity = (frame.stacks[key.stack], memory)
            if identity not in known:
                known[identity] = len(known)
                frames.append(frame)
            rows.append(known[identity])
        options = self.space.parts[key].options
        sums = np.zeros((len(known), len(options), len(SUMS)), dtype=np.int64)
        peaks = np.zeros((len(known), len(options), MOST_READS), dtype=np.int64)
        valid = np.zeros((len(known), len(options)), dtype=np.bool_)
        for row, frame in enumerate(frames):
            for index, value in self.space.resolved(frame, key).items():
                sums[row, index], peaks[row, index] = self._of_option(frame, key, value)
                valid[row, index] = True
        reads = np.array([option.get("reads") or 0 for option in options], dtype=np.int64)
        return PartTable(np.array(rows, dtype=np.int64), sums, peaks, valid, reads)

    def _of_option(self, frame: Frame, key: PartKey, value: Resolved) -> tuple[Integers, Integers]:
        stack = frame.stacks[key.stack]
        block = block_of_option(self.space, frame, key, value)
        prompt, step = (self._calls_of(key.stack, phase, block, value) for phase in ("prefill", "step"))
        sums = [
            parameters_of_sub_block(block),
            0,
            sum(map(macs_of_call, prompt)) * stack.repeats,
            sum(map(macs_of_call, step)) * stack.repeats,
            int8_bytes_of_sub_block(block),
            self._cache_bytes(block, prompt, step) * stack.repeats,
        ]
        return np.array(sums, dtype=np.int64), self._peaks(frame, value, prompt, step)

    def _calls_of(self, stack: str, phase: Phase, block: SubBlock, value: Resolved) -> list[Call]:
        if phase not in self._phases:
            return []
        return calls_of_option(Place(self.space.family, stack, self.workload, phase), block, value)

    @staticmethod
    def _cache_bytes(block: SubBlock, prompt: list[Call], step: list[Call]) -> int:
        if block.kind == "cross_attention":
            return sum(map(cache_bytes_of_call, prompt))
        return sum(map(cache_bytes_of_call, step)) if block.kind == "attention" else 0

    def _peaks(self, frame: Frame, value: Resolved, prompt: list[Call], step: list[Call]) -> Integers:
        if isinstance(value, CrossAttention):
            output = self._output_bytes(frame)
            attend = max(map(held_bytes, step), default=0)
            prepare = [
                max((held_bytes_of_preparation(call, value.reads, most, output) for call in prompt), default=0)
                for most in _READS
            ]
            held: Integers = np.maximum(np.array(prepare), attend)
            return held
        runs = prompt if isinstance(value, Attention) else [*prompt, *step]  # a step of attention moves caches alone
        return np.full(MOST_READS, max(map(held_bytes, runs), default=0))

    def _output_bytes(self, frame: Frame) -> int:
        """Return the bytes of the output of one encoder layer."""
        tokens = self.workload.batch * self.workload.input_length
        return tokens * frame.stacks["encoder"].hidden_size * ACTIVATION_BYTES

    # What is there once ------------------------------------------------------------------------------------

    def _of_frame(self, frame: Frame) -> tuple[Integers, Integers]:
        identity = (*frame.stacks.values(), frame.tied_embeddings)
        known = self._fixed.get(identity)
        if known is None:
            sums = np.zeros((MOST_READS, len(SUMS)), dtype=np.int64)
            peaks = np.zeros(MOST_READS, dtype=np.int64)
            for name in frame.stacks:
                for block in self._once(frame, name):
                    sums += self._sums_once(name, block)
                    calls = self._calls_once(name, block)
                    peaks = np.maximum(peaks, max(map(held_bytes, calls), default=0))
            memory = memory_of_frame(self.space, frame)
            if memory is not None:
                self._add_memory(frame, memory, sums, peaks)
            known = self._fixed[identity] = (sums, peaks)
        return known

    def _once(self, frame: Frame, name: str) -> list[SubBlock]:
        """Return the embedding of a stack, and the head if it is the last one."""
        embedding = embedding_of_frame(self.space, frame, name)
        return [embedding, head_of_frame(self.space, frame)] if name == self.space.stacks[-1] else [embedding]

    def _calls_once(self, name: str, block: SubBlock) -> list[Call]:
        calls = []
        for phase in self._phases:
            place = Place(self.space.family, name, self.workload, phase)
            calls += place.of_embedding(block) if block.kind == "embedding" else place.of_head(block)
        return calls

    def _sums_once(self, name: str, block: SubBlock) -> Integers:
        parameters = parameters_of_sub_block(block)
        embedded = parameters if block.kind == "embedding" else 0
        macs = {"forward": 0, "step": 0}
        for phase in self._phases:
            place = Place(self.space.family, name, self.workload, phase)
            calls = place.of_embedding(block) if block.kind == "embedding" else place.of_head(block)
            macs["step" if phase == "step" else "forward"] += sum(map(macs_of_call, calls))
        row = [parameters, embedded, macs["forward"], macs["step"], int8_bytes_of_sub_block(block), 0]
        return np.array(row, dtype=np.int64)

    def _add_memory(self, frame: Frame, block: SubBlock, sums: Integers, peaks: Integers) -> None:
        """Add the last norm of an encoder: one run for each layer that is read, beside the others' outputs."""
        place = Place(self.space.family, "encoder", self.workload, "prefill")
        (call,) = place.of_memory(block)
        for reads in _READS:
            row = [parameters_of_sub_block(block), 0, reads * macs_of_call(call), 0, int8_bytes_of_sub_block(block), 0]
            sums[reads - 1] += np.array(row, dtype=np.int64)
            held = held_bytes_of_memory(call, reads, self._output_bytes(frame))
            peaks[reads - 1] = max(int(peaks[reads - 1]), held)
