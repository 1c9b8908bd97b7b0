"""Architecture: everything needed to build one model, as one frozen value with a stable id."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.attention_types import ATTENTION_TYPES
from nas.documents import StrictModel, validate
from nas.errors import InvalidInput

SCHEMA = "pocketformer/architecture/1"

Size = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class TaskShape:
    """What a task asks of a model: vocabulary size, number of outputs (classes), and longest input in tokens."""

    vocabulary_size: int
    outputs: int
    max_length: int


class Layer(StrictModel):
    """One Transformer layer: an attention sub-block followed by a feed-forward sub-block."""

    attention: str
    """A name in `ATTENTION_TYPES`."""
    heads: Size | None = None
    key_value_heads: Size | None = None
    """Only of grouped-query attention: a proper divisor of `heads` (equal to it, the layer would be softmax)."""
    feed_forward_size: Size

    @model_validator(mode="after")
    def _fields_fit_the_attention_type(self) -> Layer:
        kind = ATTENTION_TYPES.get(self.attention)
        if kind is None:
            raise InvalidInput.of(
                "attention", self.attention, ", ".join(ATTENTION_TYPES), "name one of these attention types"
            )
        for name in ("heads", "key_value_heads"):
            given = getattr(self, name)
            if name in kind.choices and given is None:
                raise InvalidInput.of(name, None, "a positive integer", f"{kind.name} attention needs `{name}`")
            if name not in kind.choices and given is not None:
                raise InvalidInput.of(name, given, "nothing", f"{kind.name} attention has no `{name}`: remove it")
        if self.heads and self.key_value_heads and not divides_properly(self.key_value_heads, self.heads):
            raise InvalidInput.of(
                "key_value_heads",
                self.key_value_heads,
                f"a divisor of heads ({self.heads}) smaller than it",
                "choose fewer key/value heads, or softmax attention for one per head",
            )
        return self


def divides_properly(key_value_heads: int, heads: int) -> bool:
    """Return whether `heads` query heads can share `key_value_heads` < `heads` key/value heads evenly."""
    return key_value_heads < heads and heads % key_value_heads == 0


class Stack(StrictModel):
    """A stack of layers of one hidden size."""

    hidden_size: Size
    positions: Literal["sinusoidal", "learned"]
    norm_position: Literal["pre", "post"]
    activation: Literal["relu", "gelu"]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=256)]

    @model_validator(mode="after")
    def _heads_divide_hidden_size(self) -> Stack:
        for index, layer in enumerate(self.layers):
            if layer.heads and self.hidden_size % layer.heads:
                raise InvalidInput.of(
                    f"layers[{index}].heads",
                    layer.heads,
                    f"a divisor of hidden_size ({self.hidden_size})",
                    "choose another number of heads or another hidden size",
                )
        return self


class ClassificationHead(StrictModel):
    """Mean over the tokens, then one linear layer to `outputs` classes."""

    type: Literal["classification"] = "classification"
    outputs: Annotated[int, Field(ge=2, le=1_000_000)]


class Architecture(StrictModel):
    """One model, completely: from this alone it is built, counted and exported."""

    family: Literal["encoder"]
    vocabulary_size: Size
    max_length: Size
    """Longest input in tokens; learned positions have this many rows."""
    encoder: Stack
    head: ClassificationHead

    @classmethod
    def from_dict(cls, value: Any, field: str = "architecture") -> Architecture:
        """Build from plain values as `to_dict` gives them; raise `InvalidInput` naming each wrong field."""
        if isinstance(value, dict):
            value = dict(value)
            schema = value.pop("schema", SCHEMA)
            if schema != SCHEMA:
                raise InvalidInput.of(
                    f"{field}.schema", schema, SCHEMA, "use the release of pocketformer that wrote it"
                )
            stated = value.pop("id", None)
            result = validate(cls, value, field)
            if stated is not None and stated != result.id:
                raise InvalidInput.of(
                    f"{field}.id",
                    stated,
                    result.id,
                    "the fields were changed after the id was made: remove `id`",
                )
            return result
        return validate(cls, value, field)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, `schema` and `id` included, fields that do not apply left out."""
        return {"schema": SCHEMA, "id": self.id, **self.model_dump(mode="json", exclude_none=True)}

    @cached_property
    def canonical_json(self) -> str:
        """Return the one text of this architecture: sorted keys, no white space, no fields that do not apply."""
        value = {"schema": SCHEMA, **self.model_dump(mode="json", exclude_none=True)}
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """Return the stable id: `a-` and 80 bits of the canonical JSON's SHA-256 in hexadecimal."""
        return "a-" + hashlib.sha256(self.canonical_json.encode()).hexdigest()[:20]

    @property
    def task_shape(self) -> TaskShape:
        """Return what this architecture offers to a task."""
        return TaskShape(self.vocabulary_size, self.head.outputs, self.max_length)
