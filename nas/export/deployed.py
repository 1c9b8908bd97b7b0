"""Deployed models: those of `nas.models`, computed by exported programs.

They are what `nas.quality` scores and `nas.models.generation` writes with, so that what is deployed is judged by the
very code that judged the model when it was searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.export.programs import Program, Running, running
from nas.latency.runtimes import runtime
from nas.models import Model
from nas.models.attention.contract import Cache
from nas.models.decoder import DecoderModel, State
from nas.models.encoder import EncoderModel
from nas.models.encoder_decoder import EncoderDecoderModel, Source
from nas.sub_blocks.calls import Phase
from nas.workload import Workload

Arrays = dict[str, NDArray[Any]]


def deployed(
    architecture: Architecture, workload: Workload, programs: Sequence[Program], runtime_name: str
) -> EncoderModel | DecoderModel | EncoderDecoderModel:
    """Return a model whose phases are these programs; it has no weights of its own, and can't be trained.

    It takes any number of sequences, which it gives the programs in batches of the workload's, and none longer than
    the workload's.
    """
    chosen = runtime(runtime_name)
    phases = {
        program.phase: _Phase(program, running(program.path, chosen, tuple(program.inputs), program.outputs), workload)
        for program in programs
    }
    kinds: dict[str, Any] = {"encoder": _Encoder, "decoder": _Decoder, "encoder-decoder": _EncoderDecoder}
    model: Model = kinds[architecture.family](architecture, phases)
    return model.eval()


class _Phase:
    """A program that takes any number of sequences."""

    def __init__(self, program: Program, run: Running, workload: Workload) -> None:
        self.program, self.workload = program, workload
        self._run = run

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the outputs by name; every array has the sequences first, (N, …)."""
        batch, count = self.workload.batch, len(inputs["tokens"])
        found: list[Arrays] = []
        for first in range(0, count, batch):
            rows = np.minimum(np.arange(first, first + batch), count - 1)  # the last batch is filled with its last one
            given = {name: np.ascontiguousarray(array[rows]) for name, array in inputs.items()}
            found.append({name: array[: count - first] for name, array in self._run(given).items()})
        return {name: np.concatenate([each[name] for each in found]) for name in self.program.outputs}

    def read(self, tokens: Tensor, mask: Tensor | None) -> Arrays:
        """Run the phase that reads whole texts (N, T), which may be shorter than the workload's."""
        count, length = tokens.shape
        padded = np.zeros((count, self.workload.input_length), dtype=np.int64)
        padded[:, :length] = tokens.numpy()
        return self({"tokens": padded, "lengths": lengths_of(tokens, mask).numpy()})

    def step(self, tokens: Tensor, position: Tensor, more: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read a token (N,) of each sequence; return the logits (N, V) and every cache."""
        arrays = {name: tensor.numpy() for name, tensor in more.items()}
        found = self({"tokens": tokens.numpy(), "positions": position.numpy(), **arrays})
        return torch.from_numpy(found["logits"]), _tensors(found, [f"next_{name}" for name in self.names("cache")])

    def names(self, what: str) -> list[str]:
        """Return the names of the inputs that are caches, or what cross-attention reads of the source."""
        return [name for name in self.program.inputs if name.startswith(f"{what}_")]

    def empty(self, count: int) -> tuple[Tensor, ...]:
        """Return every cache of `count` sequences of which nothing was read."""
        shapes = [self.program.inputs[name][1] for name in self.names("cache")]
        return tuple(torch.zeros(count, *shape[1:]) for shape in shapes)


def lengths_of(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Return how many tokens of each sequence (N, T) are real, (N,) int64."""
    return torch.full(tokens.shape[:1], tokens.shape[1]) if mask is None else mask.sum(dim=1)


def _tensors(found: Arrays, names: Sequence[str]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(found[name]) for name in names)


class _Encoder(EncoderModel):
    def __init__(self, architecture: Architecture, phases: Mapping[Phase, _Phase]) -> None:
        nn.Module.__init__(self)  # no blocks: the program has the weights
        self.architecture = architecture
        self._read = phases["prefill"]

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        assert segments is None, "programs of encoders take tokens and lengths alone"
        return torch.from_numpy(self._read.read(tokens, padding_mask)["logits"])


class _Decoder(DecoderModel):
    def __init__(self, architecture: Architecture, phases: Mapping[Phase, _Phase]) -> None:
        nn.Module.__init__(self)
        self.architecture = architecture
        self._read, self._next = phases["prefill"], phases["step"]

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        assert padding_mask is None, "what is scored is not padded"
        logits, state = self.prefill(tokens[:, :1], None, tokens.shape[1])
        answers = [logits]
        for place in range(1, tokens.shape[1]):
            logits, state = self.step(tokens[:, place], torch.full(tokens.shape[:1], place), state)
            answers.append(logits)
        return torch.stack(answers, dim=1)

    def prefill(self, tokens: Tensor, padding_mask: Tensor | None, length: int) -> tuple[Tensor, State]:  # noqa: ARG002  (the caches have room for the workload)
        found = self._read.read(tokens, padding_mask)
        return torch.from_numpy(found["logits"]), (_tensors(found, self._next.names("cache")),)

    def step(self, tokens: Tensor, position: Tensor, state: State) -> tuple[Tensor, State]:
        (flat,) = state
        logits, flat = self._next.step(tokens, position, dict(zip(self._next.names("cache"), flat, strict=True)))
        return logits, (flat,)


class _EncoderDecoder(EncoderDecoderModel):
    def __init__(self, architecture: Architecture, phases: Mapping[Phase, _Phase]) -> None:
        nn.Module.__init__(self)
        self.architecture = architecture
        self._read, self._next = phases["prefill"], phases["step"]

    def forward(
        self,
        tokens: Tensor,
        output_tokens: Tensor,
        padding_mask: Tensor | None = None,
        output_mask: Tensor | None = None,  # noqa: ARG002  (nothing behind the padding of what is written is read)
    ) -> Tensor:
        source, state = self.encode(tokens, padding_mask), self.empty_state(len(tokens), output_tokens.shape[1])
        answers = []
        for place in range(output_tokens.shape[1]):
            position = torch.full(tokens.shape[:1], place)
            logits, state = self.step(output_tokens[:, place], position, state, source)
            answers.append(logits)
        return torch.stack(answers, dim=1)

    def encode(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Source:
        found = self._read.read(tokens, padding_mask)
        mask = torch.ones_like(tokens, dtype=torch.bool) if padding_mask is None else padding_mask
        return Source((_tensors(found, self._read.program.outputs),), mask)

    def empty_state(self, batch: int, length: int) -> tuple[Cache, ...]:  # noqa: ARG002  (they have room for the workload)
        return (self._next.empty(batch),)

    def step(
        self, tokens: Tensor, position: Tensor, state: tuple[Cache, ...], source: Source
    ) -> tuple[Tensor, tuple[Cache, ...]]:
        assert source.mask is not None
        (flat,), (read,) = state, source.prepared
        more = dict(zip(self._next.names("cache"), flat, strict=True))
        more |= zip(self._next.names("source"), read, strict=True)
        logits, flat = self._next.step(tokens, position, {**more, "lengths": source.mask.sum(dim=1)})
        return logits, (flat,)
