"""Costs of one architecture as sums over its sub-blocks, each sub-block counted once a process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas.architecture import Architecture
from nas.costs.sub_block_costs import (
    BYTES_PER_WEIGHT,
    cache_bytes_of_call,
    int8_bytes_of_sub_block,
    macs_of_call,
    parameters_of_sub_block,
    peak_bytes_of_call,
)
from nas.sub_blocks import Call, calls, phases, weighted_blocks
from nas.workload import Workload

BYTES_PER_MB = 1e6
ACTIVATION_BYTES = 4  # fp32

COST_NAMES = (
    "parameters",
    "parameters_without_embeddings",
    "macs",
    "macs_prefill",
    "macs_step",
    "size_mb",
    "size_int8_mb",
    "kv_cache_mb",
    "peak_activation_mb",
)
_OF_DECODERS = ("macs_prefill", "macs_step", "kv_cache_mb")


def cost_names(family: str) -> tuple[str, ...]:
    """Return the costs that a family of models has: an encoder has no steps and no cache."""
    return tuple(name for name in COST_NAMES if family != "encoder" or name not in _OF_DECODERS)


@dataclass(frozen=True)
class Costs:
    """What a model costs, exactly, at a workload (batch included)."""

    parameters: int
    """Weights that are shared or tied counted once."""
    parameters_without_embeddings: int
    """Without the embedding: token table, learned positions, its projection and norm. A tied head has none anyway."""
    macs: int
    """Multiply-adds of the whole inference: prefill + output length × one step."""
    macs_prefill: int
    """Of reading the input: an encoder's whole pass, a decoder's prompt, an encoder–decoder's source."""
    macs_step: int
    """Of writing one token, caches with room for the whole workload; 0 for an encoder."""
    size_mb: float
    """fp32 weights in 10^6 bytes."""
    size_int8_mb: float
    """Weights in 10^6 bytes, matrices in 8 bits: see `int8_bytes_of_sub_block`."""
    kv_cache_mb: float
    """What decoding remembers between steps, in 10^6 bytes: self-attention caches with room for the whole workload,
    and what cross-attentions prepared of the source. 0 for an encoder."""
    peak_activation_mb: float
    """The most that one pass holds at a time beyond weights and caches, in 10^6 bytes, run operator by operator in
    fp32. See `peak_activation_bytes`."""

    def named(self, family: str) -> dict[str, Any]:
        """Return by name the costs that the family has."""
        values = asdict(self)
        return {name: values[name] for name in cost_names(family)}


def costs_of(architecture: Architecture, workload: Workload) -> Costs:
    """Return the exact costs of an architecture at a workload."""
    blocks = weighted_blocks(architecture)
    runs: dict[str, tuple[Call, ...]] = {p: calls(architecture, workload, p) for p in phases(architecture.family)}
    prefill, step = (sum(map(macs_of_call, runs.get(phase, ()))) for phase in ("prefill", "step"))
    parameters = sum(map(parameters_of_sub_block, blocks))
    return Costs(
        parameters=parameters,
        parameters_without_embeddings=sum(
            parameters_of_sub_block(block) for block in blocks if block.kind != "embedding"
        ),
        macs=prefill + workload.output_length * step,
        macs_prefill=prefill,
        macs_step=step,
        size_mb=parameters * BYTES_PER_WEIGHT / BYTES_PER_MB,
        size_int8_mb=sum(map(int8_bytes_of_sub_block, blocks)) / BYTES_PER_MB,
        kv_cache_mb=cache_bytes(runs) / BYTES_PER_MB,
        peak_activation_mb=peak_activation_bytes(architecture, workload, runs) / BYTES_PER_MB,
    )


def cache_bytes(runs: dict[str, tuple[Call, ...]]) -> int:
    """Return the bytes that the runs of both phases leave for the steps to come."""
    prepared = [call for call in runs["prefill"] if call.method == "prepare"]
    cached = [call for call in runs.get("step", ()) if call.sub_block.kind == "attention"]
    return sum(map(cache_bytes_of_call, (*prepared, *cached)))


def held_bytes(call: Call) -> int:
    """Return the bytes held at the peak of a run that reads a sequence: its input (B, T, D), and what it allocates.

    Self-attention is taken as if it filled no cache: caches are counted apart.
    """
    if call.method == "prefill":
        call = Call(call.sub_block, "forward", call.batch, call.tokens)
    width = 0 if call.sub_block.kind == "embedding" else int(dict(call.sub_block.settings)["hidden_size"])
    return call.batch * call.tokens * width * ACTIVATION_BYTES + peak_bytes_of_call(call)


def held_bytes_of_preparation(call: Call, reads: int, most_reads: int, output_bytes: int) -> int:
    """Return the bytes held at the peak of preparing a cross-attention that reads `reads` encoder layers.

    `output_bytes` are those of one layer's output: `most_reads` of them are kept for all decoder layers, and where
    several are read they are joined to one more tensor.
    """
    joined = reads * output_bytes if reads > 1 else 0
    return most_reads * output_bytes + joined + peak_bytes_of_call(call)


def held_bytes_of_memory(call: Call, most_reads: int, output_bytes: int) -> int:
    """Return the bytes held at the peak of the encoder's last norm: when the last of the outputs that are read is
    normed, all of them and the normed ones before it are there."""
    return (2 * most_reads - 1) * output_bytes + peak_bytes_of_call(call)


def kept_outputs(part: str, from_end: int, most_reads: int) -> int:
    """Return how many outputs of earlier encoder layers are held for the decoder beside a sub-block's own input.

    `part` is `attention`, whose input is the output of the layer before it, or `feed_forward`; `from_end` is 1 in the
    last layer that runs.
    """
    return max(0, most_reads - from_end - (part == "attention"))


def peak_activation_bytes(architecture: Architecture, workload: Workload, runs: dict[str, tuple[Call, ...]]) -> int:
    """Return the most bytes that one pass holds at a time beyond weights, caches and the tokens it is given.

    The passes are the prefill and one step (of a step's self-attention, which moves caches, nothing is counted).
    """
    encoder, decoder = architecture.encoder, architecture.decoder
    if encoder is None or decoder is None:
        return max(held_bytes(c) for phase in runs for c in runs[phase] if not _is_cached_step(c))
    most_reads = max(layer.cross.reads for layer in decoder.layers if layer.cross)
    output = workload.batch * workload.input_length * encoder.hidden_size * ACTIVATION_BYTES
    held = [held_bytes(call) for call in runs["step"] if not _is_cached_step(call)]
    for index, call in enumerate(runs["prefill"]):
        if call.method == "prepare":
            held.append(held_bytes_of_preparation(call, call.context // workload.input_length, most_reads, output))
        elif call.sub_block.kind == "memory":
            held.append(held_bytes_of_memory(call, most_reads, output))
        else:
            # Behind the embedding there are two sub-blocks a layer
            from_end = encoder.depth - (index - 1) // 2 if index else encoder.depth + 1
            held.append(held_bytes(call) + kept_outputs(call.sub_block.kind, from_end, most_reads) * output)
    return max(held)


def _is_cached_step(call: Call) -> bool:
    return call.method == "step" and call.sub_block.kind == "attention"
