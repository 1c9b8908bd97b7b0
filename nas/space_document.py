"""What the document of a search space may say: its fields, checked one by one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from nas.attention_types import ATTENTION_TYPES
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


class LayerChoices(StrictModel):
    """What is chosen anew for every layer."""

    attention: Annotated[dict[str, dict[str, Sizes]], Field(min_length=1)]
    feed_forward_ratio: Sizes

    @field_validator("attention")
    @classmethod
    def _choices_fit_the_types(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, choices in value.items():
            kind = ATTENTION_TYPES.get(name)
            if kind is None:
                raise InvalidInput.of(name, name, ", ".join(ATTENTION_TYPES), "name one of these attention types")
            if set(choices) != set(kind.choices):
                raise InvalidInput.of(
                    name, sorted(choices), f"exactly {', '.join(kind.choices)}", "give each a list of values"
                )
        return value


class StackChoices(StrictModel):
    """What is chosen for a stack: once, and for each of its layers."""

    depth: Depths
    hidden_size: Sizes
    positions: Annotated[
        tuple[Literal["sinusoidal", "learned"], ...], Field(min_length=1), AfterValidator(without_repeats)
    ]
    norm_position: Annotated[tuple[Literal["pre", "post"], ...], Field(min_length=1), AfterValidator(without_repeats)]
    activation: Annotated[tuple[Literal["relu", "gelu"], ...], Field(min_length=1), AfterValidator(without_repeats)]
    layer: LayerChoices


class TaskShapeDocument(StrictModel):
    """The task shape of a space that no task is bound to."""

    vocabulary_size: Annotated[int, Field(ge=2, le=1_000_000)]
    outputs: Annotated[int, Field(ge=2, le=1_000_000)]
    max_length: Annotated[int, Field(ge=1, le=8192)]


class SpaceDocument(StrictModel):
    """A search space as a YAML or JSON document."""

    schema_: Annotated[Literal["pocketformer/search-space/1"], Field(alias="schema")] = "pocketformer/search-space/1"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    description: Annotated[str, Field(max_length=2000)] = ""
    family: Literal["encoder"]
    task_shape: TaskShapeDocument
    encoder: StackChoices
