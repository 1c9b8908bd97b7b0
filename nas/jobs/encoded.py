"""The architectures of a job's trials as arrays of its space, kept and brought up to date: none ever changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture, TaskShape
from nas.jobs.spaces import space_of
from nas.space import Encoded, Genotype, PartKey, SearchSpace
from nas.store.records import JobRecord
from nas.store.store import Store

KEPT = 16


@dataclass(frozen=True)
class EncodedTrials:
    """Every trial of a job whose architecture is in its space."""

    last: int
    """The highest number that was read."""
    numbers: NDArray[np.int64]
    """(N,), rising."""
    encoded: Encoded


_kept: OrderedDict[tuple[str, str], EncodedTrials] = OrderedDict()
_lock = Lock()


def encoded_trials(store: Store, job: JobRecord) -> EncodedTrials:
    """Return the trials that are recorded by now, in whatever state."""
    key = (store.address, job.id)
    with _lock:
        known = _kept.get(key)
    space = search_space_of(job)
    if known is None:
        known = EncodedTrials(-1, np.empty(0, dtype=np.int64), space.encode([]))
    rows = store.trial_architectures(job.id, after=known.last)
    if rows:
        numbers, encoded = _encoded(space, rows)
        known = EncodedTrials(rows[-1][0], np.concatenate([known.numbers, numbers]), _joined(known.encoded, encoded))
    with _lock:
        _kept[key] = known
        _kept.move_to_end(key)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return known


def search_space_of(job: JobRecord) -> SearchSpace:
    """Return the space that a job searches."""
    return space_of(job.document["search_space"], TaskShape(**job.document["task_shape"]))


def _encoded(space: SearchSpace, rows: Iterable[tuple[int, dict[str, Any]]]) -> tuple[NDArray[np.int64], Encoded]:
    reader = _Reader(space)
    found = [(number, genotype) for number, document in rows if (genotype := reader.genotype(document)) is not None]
    return np.array([number for number, _ in found], dtype=np.int64), space.encode_genotypes([g for _, g in found])


def _joined(first: Encoded, second: Encoded) -> Encoded:
    layers = {key: np.concatenate([options, second.layers[key]]) for key, options in first.layers.items()}
    return Encoded(np.concatenate([first.frames, second.frames]), layers)


class _Reader:
    """Reads the documents of recorded architectures of one space.

    To check a document takes as long as to read twenty, so it is done for the first one with each frame and for the
    first one with each layer in it; what a layer is does not depend on the layers beside it.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._frames: dict[str, int] = {}
        self._options: dict[tuple[int, str, str], dict[PartKey, int]] = {}

    def genotype(self, document: dict[str, Any]) -> Genotype | None:
        """Return the choices behind an architecture; None outside the space."""
        stacks = {name: document[name] for name in self._space.stacks if name in document}
        around = {name: value for name, value in document.items() if name not in stacks and name != "id"}
        bare = {name: {k: v for k, v in stack.items() if k != "layers"} for name, stack in stacks.items()}
        depths = {name: len(stack["layers"]) for name, stack in stacks.items()}
        text = repr((around, bare, depths))  # a fifth of the time that JSON takes
        layers = {name: [repr(layer) for layer in stack["layers"]] for name, stack in stacks.items()}
        frame = self._frames.get(text)
        if frame is None or not all(
            (frame, name, layer) in self._options for name, texts in layers.items() for layer in texts
        ):
            return self._checked(document, text, layers)
        options: dict[PartKey, tuple[int, ...]] = {
            key: tuple(self._options[frame, key.stack, layer][key] for layer in layers[key.stack])
            for key in self._space.parts
        }
        return Genotype(frame, options)

    def _checked(self, document: dict[str, Any], text: str, layers: dict[str, list[str]]) -> Genotype | None:
        genotype = self._space.genotype(Architecture.from_dict(document))
        if genotype is None:
            return None
        self._frames[text] = genotype.frame
        for name, texts in layers.items():
            for place, layer in enumerate(texts):
                self._options[genotype.frame, name, layer] = {
                    key: options[place] for key, options in genotype.layers.items() if key.stack == name
                }
        return genotype
