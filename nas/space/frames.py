"""Frames: every combination of what is chosen once for a model, number of layers excepted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from nas.architecture import StackSettings, TaskShape, Tied
from nas.space.options import Value
from nas.space_document import SpaceDocument, StackChoices

STACK_FIELDS = (
    "hidden_size",
    "positions",
    "norm",
    "norm_position",
    "activation",
    "bias",
    "embedding_size",
    "embedding_norm",
    "repeats",
)
"""In the order in which they are chosen."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The settings of the stacks and what ties them."""

    stacks: dict[str, StackSettings]
    """By name, `encoder` before `decoder`. Where layers choose their own activation, the one here says nothing."""
    tied_embeddings: Tied
    path: tuple[tuple[str, Value], ...]
    """The choices that lead here, in the order in which they are made."""


def stack_names(document: SpaceDocument) -> tuple[str, ...]:
    """Return the names of the stacks of this document's family."""
    return tuple(name for name in ("encoder", "decoder") if getattr(document, name) is not None)


def field_values(choices: StackChoices, field: str) -> tuple[Any, ...]:
    """Return the options of one field of `STACK_FIELDS` as the document lists them, (None,) where it does not."""
    return getattr(choices, field) or (None,)


def frames_of(document: SpaceDocument, shape: TaskShape) -> Iterator[Frame]:
    """Yield every frame in which the stacks fit each other; whether they have layers is another question."""
    names = stack_names(document)
    prefix = {name: f"{name}." if len(names) > 1 else "" for name in names}
    stacks = [tuple(_stack_settings(getattr(document, name), prefix[name])) for name in names]
    for combination in product(*stacks):
        settings = {name: stack for name, (stack, _) in zip(names, combination, strict=True)}
        path = tuple(step for _, steps in combination for step in steps)
        for tied in document.tied_embeddings:
            if tied == "all":
                tables = {(s.token_size, _rows(name, shape)) for name, s in settings.items()}
                if len(tables) > 1:
                    continue
            yield Frame(settings, tied, (*path, ("tied_embeddings", tied)))


def _rows(stack: str, shape: TaskShape) -> int:
    return shape.outputs if stack == "decoder" else shape.vocabulary_size


def _stack_settings(choices: StackChoices, prefix: str) -> Iterator[tuple[StackSettings, tuple[Any, ...]]]:
    listed = [field_values(choices, field) for field in STACK_FIELDS]
    for values in product(*listed):
        fields = dict(zip(STACK_FIELDS, values, strict=True))
        path = tuple((prefix + field, value) for field, value in fields.items() if value is not None)
        if fields["activation"] is None:
            assert choices.layer.activation is not None
            fields["activation"] = choices.layer.activation[0]
        if fields["embedding_size"] is not None:
            if fields["embedding_size"] > fields["hidden_size"]:
                continue
            if fields["embedding_size"] == fields["hidden_size"]:
                fields["embedding_size"] = None
        yield StackSettings(**fields), path
