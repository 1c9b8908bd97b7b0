"""What the document of a search space may say: its fields, checked one by one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from nas.architecture import MOST_READS, Activation, Family, Norm, NormPosition, Positions, Tied
from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.documents import StrictModel
from nas.errors import InvalidInput


def without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values; raise `InvalidInput` if one stands twice."""
    if len(set(values)) != len(values):
        raise InvalidInput.of("", list(values), "values that differ from each other", "remove the repeated ones")
    return values


Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Field(min_length=1), AfterValidator(without_repeats)
]
Depths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1), AfterValidator(without_repeats)
]
Repeats = Annotated[
    tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1), AfterValidator(without_repeats)
]
Reads = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_READS)], ...], Field(min_length=1), AfterValidator(without_repeats)
]
Flags = Annotated[tuple[bool, ...], Field(min_length=1), AfterValidator(without_repeats)]
Activations = Annotated[tuple[Activation, ...], Field(min_length=1), AfterValidator(without_repeats)]
Part = Literal["attention", "cross", "feed_forward"]

TOTAL_SIZE = "attention_size"
"""In a space, instead of `head_size`: all heads together have so many dimensions, however many they are."""


def _check_choices(value: dict[str, dict[str, Any]], allowed: dict[str, AttentionType]) -> dict[str, dict[str, Any]]:
    for name, choices in value.items():
        kind = allowed.get(name)
        if kind is None:
            raise InvalidInput.of(name, name, ", ".join(allowed), "name one of these attention types")
        optional = {*kind.optional, *([TOTAL_SIZE] if "head_size" in kind.optional else [])}
        if not set(kind.choices) <= set(choices) <= {*kind.choices, *optional}:
            words = f"exactly {', '.join(kind.choices) or 'nothing'}"
            words += f"; if wanted {' or '.join(sorted(optional))}" if optional else ""
            raise InvalidInput.of(name, sorted(choices), words, "give each a list of values")
        if {"head_size", TOTAL_SIZE} <= set(choices):
            raise InvalidInput.of(name, sorted(choices), f"head_size or {TOTAL_SIZE}, not both", "remove one of them")
        even = [size for size in choices.get("kernel_size", ()) if size % 2 == 0]
        if even:
            raise InvalidInput.of(f"{name}.kernel_size", even[0], "odd numbers", "add or take one")
    return value


class CrossChoices(StrictModel):
    """What is chosen for the cross-attention of a decoder layer."""

    attention: Annotated[dict[str, dict[str, Sizes]], Field(min_length=1)]
    reads: Reads = (1,)

    @field_validator("attention")
    @classmethod
    def _choices_fit_the_types(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return _check_choices(value, {name: kind for name, kind in ATTENTION_TYPES.items() if kind.cross})


class LayerChoices(StrictModel):
    """What is chosen anew for every layer, or once for all where `uniform` names it."""

    attention: Annotated[dict[str, dict[str, Sizes]], Field(min_length=1)]
    cross: CrossChoices | None = None
    feed_forward_ratio: Sizes | None = None
    """Multiples of the hidden size."""
    feed_forward_size: Sizes | None = None
    activation: Activations | None = None

    @field_validator("attention")
    @classmethod
    def _choices_fit_the_types(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return _check_choices(value, ATTENTION_TYPES)

    @model_validator(mode="after")
    def _one_feed_forward(self) -> LayerChoices:
        given = [n for n in ("feed_forward_ratio", "feed_forward_size") if getattr(self, n) is not None]
        if len(given) != 1:
            raise InvalidInput.of(
                "feed_forward_ratio",
                " and ".join(given) or None,
                "a list of multiples of the hidden size; or, instead, feed_forward_size",
                "remove one of them" if given else "add one of them",
            )
        return self


class StackChoices(StrictModel):
    """What is chosen for a stack: once, and for each of its layers."""

    depth: Depths
    hidden_size: Sizes
    positions: Annotated[tuple[Positions, ...], Field(min_length=1), AfterValidator(without_repeats)]
    norm: Annotated[tuple[Norm, ...], Field(min_length=1), AfterValidator(without_repeats)] = ("layer",)
    norm_position: Annotated[tuple[NormPosition, ...], Field(min_length=1), AfterValidator(without_repeats)]
    activation: Activations | None = None
    bias: Flags = (True,)
    embedding_size: Sizes | None = None
    """A factorised embedding; one equal to the hidden size is not factorised."""
    embedding_norm: Flags = (False,)
    repeats: Repeats = (1,)
    layer: LayerChoices
    uniform: Annotated[tuple[Part, ...], AfterValidator(without_repeats)] = ()
    """The parts of a layer that are chosen once for all layers."""

    @model_validator(mode="after")
    def _one_activation(self) -> StackChoices:
        if (self.activation is None) == (self.layer.activation is None):
            raise InvalidInput.of(
                "activation",
                None if self.activation is None else list(self.activation),
                "a list here or in `layer`, not in both",
                "add one" if self.activation is None else "remove one of them",
            )
        if "cross" in self.uniform and self.layer.cross is None:
            raise InvalidInput.of("uniform", "cross", "attention, feed_forward", "these layers have no cross-attention")
        return self


class TaskShapeDocument(StrictModel):
    """The task shape of a space that no task is bound to."""

    vocabulary_size: Annotated[int, Field(ge=2, le=1_000_000)]
    outputs: Annotated[int, Field(ge=1, le=1_000_000)]
    max_length: Annotated[int, Field(ge=1, le=8192)]
    max_output_length: Annotated[int, Field(ge=0, le=8192)] = 0


class SpaceDocument(StrictModel):
    """A search space as a YAML or JSON document."""

    schema_: Annotated[Literal["pocketformer/search-space/1"], Field(alias="schema")] = "pocketformer/search-space/1"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    description: Annotated[str, Field(max_length=2000)] = ""
    family: Family
    task_shape: TaskShapeDocument
    encoder: StackChoices | None = None
    decoder: StackChoices | None = None
    tied_embeddings: Annotated[tuple[Tied, ...], Field(min_length=1), AfterValidator(without_repeats)] = ("none",)

    @model_validator(mode="after")
    def _parts_fit_the_family(self) -> SpaceDocument:
        for name in ("encoder", "decoder"):
            given, wanted = getattr(self, name) is not None, name in self.family.split("-")
            if given != wanted:
                allowed = f"the choices of the {name}" if wanted else f"nothing in the family {self.family}"
                raise InvalidInput.of(
                    name, "choices" if given else None, allowed, f"add `{name}`" if wanted else "remove it"
                )
            stack = getattr(self, name)
            crossed = name == "decoder" and self.family == "encoder-decoder"
            if stack is not None and (stack.layer.cross is not None) != crossed:
                raise InvalidInput.of(
                    f"{name}.layer.cross",
                    "choices" if stack.layer.cross else None,
                    "choices in the decoder of an encoder-decoder, nothing elsewhere",
                    "add it" if crossed else "remove it",
                )
        self._check_types()
        self._check_task_shape()
        return self

    def _check_types(self) -> None:
        unfit = [n for n in (self.decoder.layer.attention if self.decoder else ()) if not ATTENTION_TYPES[n].causal]
        if unfit:
            causal = ", ".join(kind.name for kind in ATTENTION_TYPES.values() if kind.causal)
            raise InvalidInput.of(
                f"decoder.layer.attention.{unfit[0]}", unfit[0], causal, "choose types that can hide later tokens"
            )

    def _check_task_shape(self) -> None:
        shape = self.task_shape
        if (shape.max_output_length > 0) != (self.family == "encoder-decoder"):
            raise InvalidInput.of(
                "task_shape.max_output_length",
                shape.max_output_length,
                "the longest output of an encoder-decoder, 0 otherwise",
                "correct it",
            )
        if self.family == "decoder" and shape.outputs != shape.vocabulary_size:
            raise InvalidInput.of(
                "task_shape.outputs", shape.outputs, f"the vocabulary_size ({shape.vocabulary_size})", "make them equal"
            )
        if self.family != "encoder-decoder" and "all" in self.tied_embeddings:
            raise InvalidInput.of("tied_embeddings", "all", "none, output", "only an encoder-decoder has two tables")
        if self.family == "encoder" and set(self.tied_embeddings) != {"none"}:
            raise InvalidInput.of(
                "tied_embeddings", list(self.tied_embeddings), "none", "an encoder has nothing to tie: remove it"
            )
        for name in ("encoder", "decoder"):
            stack = getattr(self, name)
            longest = shape.max_output_length if name == "decoder" and shape.max_output_length else shape.max_length
            for kind, choices in (stack.layer.attention if stack else {}).items():
                for index, window in enumerate(choices.get("window", ())):
                    if window >= longest:
                        raise InvalidInput.of(
                            f"{name}.layer.attention.{kind}.window[{index}]",
                            window,
                            f"less than the longest sequence ({longest} tokens)",
                            "choose a smaller window, or add softmax attention, which sees everything",
                        )
