"""Architecture: everything needed to build one model, as one frozen value with a stable id.

One model has one architecture: a field that says nothing new (a head size that follows from the others, a layer's
activation that is the stack's) is refused. Fields added after the first release have defaults, and a default is left
out of the canonical text, so that an id outlives the fields added later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.documents import StrictModel, validate
from nas.errors import InvalidInput

SCHEMA = "pocketformer/architecture/1"

Size = Annotated[int, Field(ge=1, le=1_000_000)]
Family = Literal["encoder", "decoder", "encoder-decoder"]
Positions = Literal["sinusoidal", "learned", "rotary"]
Norm = Literal["layer", "rms"]
NormPosition = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "gelu-tanh", "swiglu"]
Tied = Literal["none", "output", "all"]
MOST_READS = 3

ATTENTION_CHOICES = ("heads", "head_size", "key_value_heads", "window", "kernel_size", "rank")
"""The fields that attention types choose from, in the order in which they are decided."""


@dataclass(frozen=True)
class TaskShape:
    """What a task asks of a model: vocabulary size, number of outputs (classes), and longest input in tokens."""

    vocabulary_size: int
    outputs: int
    """Classes, regression targets, or the size of the vocabulary that is written."""
    max_length: int
    """Longest input; of a decoder, input and output together."""
    max_output_length: int = 0
    """Longest output of an encoder–decoder."""
    task: str = "classification"
    """A type of head."""


class Attention(StrictModel):
    """One attention sub-block: its type and the choices that the type reads."""

    attention: str
    """A name in `ATTENTION_TYPES`."""
    heads: Size | None = None
    head_size: Size | None = None
    """Only where it is not what the heads' equal share of the hidden size gives."""
    key_value_heads: Size | None = None
    """Only of grouped-query attention: a proper divisor of `heads` (equal to it, the layer would be softmax)."""
    window: Size | None = None
    """Only of local attention: a token sees those less than `window` positions away, itself included."""
    kernel_size: Size | None = None
    """Only of long–short attention: the odd width of its convolution, in tokens."""
    rank: Size | None = None
    """Only of low-rank attention: the number of mixtures that keys and values are reduced to."""

    @model_validator(mode="after")
    def _fields_fit_the_attention_type(self) -> Attention:
        kind = ATTENTION_TYPES.get(self.attention)
        if kind is None:
            raise InvalidInput.of(
                "attention", self.attention, ", ".join(ATTENTION_TYPES), "name one of these attention types"
            )
        for name in ATTENTION_CHOICES:
            given = getattr(self, name)
            if name in kind.choices and given is None:
                raise InvalidInput.of(name, None, "a positive integer", f"{kind.name} attention needs `{name}`")
            if name not in (*kind.choices, *kind.optional) and given is not None:
                raise InvalidInput.of(name, given, "nothing", f"{kind.name} attention has no `{name}`: remove it")
        if self.heads and self.key_value_heads and not divides_properly(self.key_value_heads, self.heads):
            raise InvalidInput.of(
                "key_value_heads",
                self.key_value_heads,
                f"a divisor of heads ({self.heads}) smaller than it",
                "choose fewer key/value heads, or softmax attention for one per head",
            )
        if self.kernel_size and self.kernel_size % 2 == 0:
            raise InvalidInput.of("kernel_size", self.kernel_size, "an odd number", "add or take one")
        return self

    @property
    def kind(self) -> AttentionType:
        """The registry's line of the attention type."""
        return ATTENTION_TYPES[self.attention]

    @property
    def choices(self) -> dict[str, int]:
        """Return the choices that stand, by name."""
        values = {name: getattr(self, name) for name in ATTENTION_CHOICES}
        return {name: value for name, value in values.items() if value is not None}

    def check_within(self, hidden_size: int, *, rotary: bool, causal: bool, max_length: int | None = None) -> None:
        """Raise `InvalidInput`, naming the field, if this attention can't stand in a stack of that kind."""
        kind = self.kind
        room = hidden_size // kind.heads_over
        if hidden_size % kind.heads_over:
            raise InvalidInput.of("attention", self.attention, "an even hidden_size", "choose another hidden size")
        if self.heads and self.head_size is None and room % self.heads:
            words = f"hidden_size / {kind.heads_over} ({room})" if kind.heads_over > 1 else f"hidden_size ({room})"
            raise InvalidInput.of(
                "heads", self.heads, f"a divisor of {words}", "choose another number of heads or another hidden size"
            )
        if self.heads and self.head_size and self.heads * self.head_size == room:
            raise InvalidInput.of(
                "head_size", self.head_size, "nothing, since it follows from heads and hidden_size", "remove it"
            )
        if rotary and not kind.rotary:
            raise InvalidInput.of(
                "attention", self.attention, _names(lambda k: k.rotary), "choose one of these, or other positions"
            )
        if rotary and self.heads and (self.head_size or room // self.heads) % 2:
            raise InvalidInput.of(
                "heads", self.heads, "an even head size under rotary positions", "choose another number of heads"
            )
        if causal and not kind.causal:
            raise InvalidInput.of("attention", self.attention, _names(lambda k: k.causal), "choose a causal type")
        if self.window and max_length is not None and self.window >= max_length:
            raise InvalidInput.of(
                "window",
                self.window,
                f"less than the longest sequence ({max_length} tokens)",
                "choose a smaller window, or softmax attention",
            )


def _names(wanted: Any) -> str:
    return ", ".join(kind.name for kind in ATTENTION_TYPES.values() if wanted(kind))


def divides_properly(key_value_heads: int, heads: int) -> bool:
    """Return whether `heads` query heads can share `key_value_heads` < `heads` key/value heads evenly."""
    return key_value_heads < heads and heads % key_value_heads == 0


class CrossAttention(Attention):
    """The attention of a decoder layer to the encoder's output."""

    reads: Annotated[int, Field(ge=1, le=MOST_READS)] = 1
    """How many of the encoder's last layers it attends to, one after the other along the sequence (HAT, Wang et
    al. 2020, arXiv 2005.14187, section 2.1: "arbitrary encoder–decoder attention")."""

    @model_validator(mode="after")
    def _type_has_a_cross_attention(self) -> CrossAttention:
        if self.kind.cross is None:
            raise InvalidInput.of(
                "attention", self.attention, _names(lambda k: k.cross), "choose a type with cross-attention"
            )
        return self


class Layer(Attention):
    """One Transformer layer: attention, in an encoder–decoder's decoder cross-attention, then feed-forward."""

    feed_forward_size: Size
    activation: Activation | None = None
    """Only where it is not the first layer's, which is the stack's."""
    cross: CrossAttention | None = None


class StackSettings(StrictModel):
    """What holds for a whole stack of layers, and for the embedding in front of it."""

    hidden_size: Size
    positions: Positions
    norm: Norm = "layer"
    norm_position: NormPosition
    activation: Activation
    bias: bool = True
    """Whether linear layers and convolutions add a bias."""
    embedding_size: Size | None = None
    """Of a factorised embedding (ALBERT, Lan et al. 2019, arXiv 1909.11942): less than `hidden_size`."""
    embedding_norm: bool = False
    """Whether a norm follows the embedding, as in BERT."""
    segments: Annotated[int, Field(ge=0, le=16)] = 0
    """Rows of the segment ("token type") embedding, as BERT has for pairs of sentences; 0 for none."""
    repeats: Annotated[int, Field(ge=1, le=64)] = 1
    """How often each layer is run with the same weights before the next (MobileLLM, Liu et al. 2024,
    arXiv 2402.14905, section 2.3: immediate block-wise sharing; with one layer this is ALBERT's sharing)."""

    @model_validator(mode="after")
    def _embedding_is_smaller(self) -> StackSettings:
        if self.embedding_size is not None and self.embedding_size >= self.hidden_size:
            raise InvalidInput.of(
                "embedding_size",
                self.embedding_size,
                f"less than hidden_size ({self.hidden_size})",
                "remove it for an embedding of the hidden size",
            )
        return self

    @property
    def token_size(self) -> int:
        """Dimensions of a row of the token table."""
        return self.embedding_size or self.hidden_size


class Stack(StackSettings):
    """A stack of layers of one hidden size, with the embedding in front of it."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=256)]

    @model_validator(mode="after")
    def _layers_fit_the_stack(self) -> Stack:
        for index, layer in enumerate(self.layers):
            try:
                layer.check_within(self.hidden_size, rotary=self.positions == "rotary", causal=False)
                if layer.cross is not None:
                    layer.cross.check_within(self.hidden_size, rotary=False, causal=False)
            except InvalidInput as error:
                raise error.under(f"layers[{index}]") from error
            if layer.activation == self.activation or (index == 0 and layer.activation):
                raise InvalidInput.of(
                    f"layers[{index}].activation",
                    layer.activation,
                    f"an activation other than the stack's ({self.activation}), after the first layer",
                    "remove it: the stack's activation is that of its first layer",
                )
        return self

    @property
    def depth(self) -> int:
        """Layers that run, each repeat counted."""
        return len(self.layers) * self.repeats


class Head(StrictModel):
    """What stands behind the last layer.

    `classification` and `regression` pool over the tokens (their mean, or BERT's pooler: the first token through a
    linear layer and tanh), `token-classification` and `language-model` answer at every token.
    """

    type: Literal["classification", "regression", "token-classification", "language-model"]
    outputs: Annotated[int, Field(ge=1, le=1_000_000)]
    pooling: Literal["mean", "first"] = "mean"

    @model_validator(mode="after")
    def _fields_fit_the_type(self) -> Head:
        if self.type != "regression" and self.outputs < 2:
            raise InvalidInput.of("outputs", self.outputs, "at least 2", "give the number of classes")
        if self.pooling != "mean" and self.type not in ("classification", "regression"):
            raise InvalidInput.of("pooling", self.pooling, "nothing", f"a {self.type} head pools nothing: remove it")
        return self


class Architecture(StrictModel):
    """One model, completely: from this alone it is built, counted and exported."""

    family: Family
    vocabulary_size: Size
    """Rows of the token table that reads the input; an encoder–decoder's decoder has `head.outputs` rows."""
    max_length: Size
    """Longest input in tokens, of a decoder input and output together; learned positions have this many rows."""
    max_output_length: Size | None = None
    """Longest output in tokens; only of an encoder–decoder."""
    encoder: Stack | None = None
    decoder: Stack | None = None
    tied_embeddings: Tied = "none"
    """`output`: the language-model head uses the decoder's token table; `all`: the encoder's, too."""
    head: Head

    @model_validator(mode="after")
    def _parts_fit_the_family(self) -> Architecture:
        for name in ("encoder", "decoder"):
            given, wanted = getattr(self, name) is not None, name in self.family.split("-")
            if given != wanted:
                allowed = "a stack" if wanted else "nothing"
                step = f"add `{name}`" if wanted else "remove it, or name another family"
                raise InvalidInput.of(
                    name, "a stack" if given else None, f"{allowed} in the family {self.family}", step
                )
        if (self.max_output_length is not None) != (self.family == "encoder-decoder"):
            raise InvalidInput.of(
                "max_output_length",
                self.max_output_length,
                "a length in tokens for an encoder-decoder, nothing otherwise",
                "an encoder-decoder states its longest output, the others have none of their own",
            )
        if (self.head.type == "language-model") == (self.family == "encoder"):
            allowed = "classification, regression or token-classification" if self.encoder else "language-model"
            raise InvalidInput.of("head.type", self.head.type, allowed, f"choose a head for the family {self.family}")
        if self.decoder and any((layer.cross is None) != (self.encoder is None) for layer in self.decoder.layers):
            raise InvalidInput.of(
                "decoder.layers", "cross", "in every layer of an encoder-decoder, in none of a decoder", "add or remove"
            )
        if self.encoder and any(layer.cross for layer in self.encoder.layers):
            raise InvalidInput.of("encoder.layers", "cross", "nothing", "only a decoder has cross-attention: remove it")
        self._check_layers()
        self._check_tables()
        return self

    def _check_layers(self) -> None:
        for name, stack in self.stacks:
            causal, longest = name == "decoder", self.length_of(name)
            for index, layer in enumerate(stack.layers):
                try:
                    layer.check_within(stack.hidden_size, rotary=False, causal=causal, max_length=longest)
                    if layer.cross and self.encoder and layer.cross.reads > self.encoder.depth:
                        raise InvalidInput.of(
                            "cross.reads",
                            layer.cross.reads,
                            f"at most the {self.encoder.depth} layers of the encoder",
                            "read fewer layers",
                        )
                except InvalidInput as error:
                    raise error.under(f"{name}.layers[{index}]") from error

    def _check_tables(self) -> None:
        if self.family == "decoder" and self.head.outputs != self.vocabulary_size:
            raise InvalidInput.of(
                "head.outputs", self.head.outputs, f"the vocabulary_size ({self.vocabulary_size})", "make them equal"
            )
        if self.tied_embeddings != "none" and self.decoder is None:
            raise InvalidInput.of("tied_embeddings", self.tied_embeddings, "none", "an encoder has nothing to tie")
        if self.tied_embeddings == "all":
            if self.encoder is None or self.decoder is None:
                raise InvalidInput.of("tied_embeddings", "all", "none, output", "`all` needs an encoder and a decoder")
            tables = {
                (self.encoder.token_size, self.vocabulary_size),
                (self.decoder.token_size, self.head.outputs),
            }
            if len(tables) > 1:
                raise InvalidInput.of(
                    "tied_embeddings",
                    "all",
                    "none or output, where encoder and decoder differ in embedding size or vocabulary",
                    "give both one embedding_size (or hidden_size) and one vocabulary",
                )

    @property
    def stacks(self) -> tuple[tuple[str, Stack], ...]:
        """Return ("encoder", its stack) and ("decoder", its stack), those that there are."""
        pairs = (("encoder", self.encoder), ("decoder", self.decoder))
        return tuple((name, stack) for name, stack in pairs if stack is not None)

    def length_of(self, stack: str) -> int:
        """Return the longest sequence that the stack of that name sees, in tokens."""
        return self.max_output_length if stack == "decoder" and self.max_output_length else self.max_length

    def for_task(self, shape: TaskShape) -> Architecture:
        """Return the same stacks for another vocabulary, number of outputs and longest sequences.

        Raises `InvalidInput` where the stacks can't be had so, as with an embedding shared by unlike vocabularies.
        """
        changed = {
            "vocabulary_size": shape.vocabulary_size,
            "max_length": shape.max_length,
            "max_output_length": shape.max_output_length or None,
            "head": {"type": shape.task, "outputs": shape.outputs},
        }
        return validate(Architecture, {**self.model_dump(mode="json"), **changed}, "architecture")

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
        """Return the one text of this architecture: sorted keys, no white space, defaults left out."""
        value = {"schema": SCHEMA, **self.model_dump(mode="json", exclude_defaults=True)}
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """Return the stable id: `a-` and 80 bits of the canonical JSON's SHA-256 in hexadecimal."""
        return "a-" + hashlib.sha256(self.canonical_json.encode()).hexdigest()[:20]

    @property
    def task_shape(self) -> TaskShape:
        """Return what this architecture offers to a task."""
        return TaskShape(
            self.vocabulary_size, self.head.outputs, self.max_length, self.max_output_length or 0, self.head.type
        )
