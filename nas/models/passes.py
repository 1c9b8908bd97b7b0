"""Passes: one phase of a whole model as one module, for what traces or exports modules and knows only tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.build import Model, build_model
from nas.models.decoder import DecoderModel
from nas.models.encoder import EncoderModel
from nas.models.encoder_decoder import EncoderDecoderModel, Source
from nas.sub_blocks.calls import Phase, cache_length
from nas.workload import Workload


class Pass(nn.Module):
    """A phase of a model at a workload.

    `prefill` maps tokens (B, T) to the logits of an encoder; to logits (B, V) and every cache of a decoder; to what
    each cross-attention of an encoder–decoder reads. `step` maps tokens (B,), positions (B,), every cache and, in an
    encoder–decoder, what each cross-attention reads to logits (B, V) and every cache.

    Texts are as long as the workload says, unless the pass takes their `lengths` (B,) as its last input: then it reads
    shorter ones, padded on the right. A decoder's step needs none.
    """

    def __init__(self, model: Model, workload: Workload, phase: Phase, *, lengths: bool = False) -> None:
        super().__init__()
        self.model = model
        self.phase = phase
        self.lengths = lengths and not (phase == "step" and isinstance(model, DecoderModel))
        self.length = cache_length(model.architecture.family, workload)
        self.workload = workload
        self.shapes: tuple[int, ...] = ()
        """How many tensors each cache has."""
        self.example = self._example(workload)
        """Inputs of the workload's shapes: tokens and positions int64, the rest float32."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the phase."""
        mask = None
        if self.lengths:
            *inputs, lengths = inputs  # type: ignore[assignment]
            mask = torch.arange(self.workload.input_length, device=lengths.device) < lengths.unsqueeze(1)  # (B, T)
        if isinstance(self.model, EncoderModel):
            return (self.model(inputs[0], mask),)
        if self.phase == "prefill":
            if isinstance(self.model, DecoderModel):
                logits, state = self.model.prefill(inputs[0], mask, self.length)
                return logits, *_flat(state)
            return _flat(self.model.encode(inputs[0], mask).prepared)
        tokens, position, *rest = inputs
        caches = _grouped(rest, self.shapes)
        if isinstance(self.model, DecoderModel):
            logits, state = self.model.step(tokens, position, caches)
        else:
            layers = len(caches) // 2
            source = Source(caches[layers:], mask)
            logits, state = self.model.step(tokens, position, caches[:layers], source)
        return logits, *_flat(state)

    def _example(self, workload: Workload) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        architecture, batch = self.model.architecture, workload.batch
        shape = (batch, workload.input_length)
        prompt = torch.randint(architecture.vocabulary_size, shape, generator=generator)
        lengths = (torch.full((batch,), workload.input_length),) if self.lengths else ()
        if self.phase == "prefill":
            return prompt, *lengths
        with torch.inference_mode():
            if isinstance(self.model, DecoderModel):
                caches = self.model.prefill(prompt, None, self.length)[1]
            else:
                assert isinstance(self.model, EncoderDecoderModel)
                caches = (*self.model.empty_state(batch, self.length), *self.model.encode(prompt).prepared)
        self.shapes = tuple(len(cache) for cache in caches)
        tokens = torch.randint(architecture.head.outputs, (batch,), generator=generator)
        flat = tuple(tensor.clone() for tensor in _flat(caches))  # no inference tensors
        return tokens, torch.full((batch,), self.length - 1), *flat, *lengths

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what an application calls the inputs and the outputs, in their order.

        `cache_i_j` is tensor j of the cache of decoder layer i, `source_i_j` of what its cross-attention reads; a step
        gives the caches for the next step back as `next_cache_i_j`.
        """
        lengths = ("lengths",) if self.lengths else ()
        if isinstance(self.model, EncoderModel):
            return ("tokens", *lengths), ("logits",)
        step = self if self.phase == "step" else Pass(self.model, self.workload, "step")
        layers = len(step.shapes) if isinstance(self.model, DecoderModel) else len(step.shapes) // 2
        held = tuple(f"cache_{i}_{j}" for i, count in enumerate(step.shapes[:layers]) for j in range(count))
        read = tuple(f"source_{i}_{j}" for i, count in enumerate(step.shapes[layers:]) for j in range(count))
        if self.phase == "step":
            return ("tokens", "positions", *held, *read, *lengths), ("logits", *(f"next_{name}" for name in held))
        return ("tokens", *lengths), (("logits", *held) if isinstance(self.model, DecoderModel) else read)


def pass_of(
    architecture: Architecture, workload: Workload, phase: Phase, seed: int | None = 0, *, lengths: bool = False
) -> Pass:
    """Build a model and return a phase of it, in evaluation mode; the weights depend on the seed alone."""
    return Pass(build_model(architecture, seed), workload, phase, lengths=lengths).eval()


def _flat(caches: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(tensor for cache in caches for tensor in cache)


def _grouped(tensors: Sequence[Tensor], shapes: Sequence[int]) -> Any:
    result, start = [], 0
    for count in shapes:
        result.append(tuple(tensors[start : start + count]))
        start += count
    return tuple(result)
