"""The form of the `transformers` library: configuration and weights of the model there that computes the same.

Only some architectures have an equal: that of BERT, GPT-2, Llama, Mistral or LFM2 (of convolutions alone). What has one
is written without that library, which is needed for the check alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.architecture import Architecture, Layer, Stack
from nas.errors import InvalidInput, MissingPackage, PocketformerError
from nas.latency.runtimes.executorch import quieten_torchao
from nas.models import DecoderModel, EncoderModel
from nas.quality.datasets.vocabulary import END

TOLERANCE = 1e-4
"""Between logits, over the greatest of them."""
State = dict[str, Tensor]


@dataclass(frozen=True)
class Form:
    """A model of `transformers`: what its `config.json` says, and how its weights are called."""

    model_class: str
    config: Mapping[str, Any]
    state: Callable[[Any], State]
    """From our model."""


def form_of(architecture: Architecture) -> Form:
    """Return the form that computes what an architecture does; raise `InvalidInput` saying why there is none."""
    if architecture.family == "encoder":
        return _bert(architecture)
    if architecture.family == "decoder":
        stack = architecture.decoder
        assert stack is not None
        if stack.norm == "layer":
            return _gpt2(architecture, stack)
        return _llama_like(architecture, stack)
    raise _none("family", architecture.family, "encoder, decoder", "an encoder–decoder of ours has no equal")


def write_transformers(model: EncoderModel | DecoderModel, folder: Path) -> float:
    """Write `config.json` and `model.safetensors` for `from_pretrained(folder)`; return how far the logits are off.

    Over the greatest of ours, on texts of several lengths, as `transformers` itself computes them from the folder.
    Raises `InvalidInput` where the model has no equal there, `MissingPackage` where the library is not installed to
    check it, and `PocketformerError` where it computes something else: nothing is left in the folder then.
    """
    form = form_of(model.architecture)
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "config.json", folder / "model.safetensors")
    try:
        files[0].write_text(json.dumps(dict(form.config), indent=2) + "\n")
        state = {name: tensor.detach().clone().contiguous() for name, tensor in form.state(model).items()}
        save_file(state, files[1], metadata={"format": "pt"})
        difference = _difference(model, form, folder)
        if not difference <= TOLERANCE:
            raise PocketformerError(
                f"{form.model_class} does not compute what the model does: its logits differ by {difference:.2g}"
            )
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    return difference


def _difference(model: EncoderModel | DecoderModel, form: Form, folder: Path) -> float:
    quieten_torchao()  # which transformers imports where it is installed
    try:
        import transformers  # noqa: PLC0415  (seconds, and an extra)
    except ImportError as error:
        raise MissingPackage("Checking it needs transformers: pip install 'pocketformer[transformers]'.") from error
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a few milliseconds of it
    theirs = getattr(transformers, form.model_class).from_pretrained(folder, attn_implementation="eager").eval()
    length = model.architecture.max_length
    tokens = torch.randint(model.architecture.vocabulary_size, (3, length), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(length)[None] < torch.tensor([length, (length + 1) // 2, 1])[:, None]
    with torch.inference_mode():
        expected = model.eval()(tokens, mask)
        found = theirs(input_ids=tokens, attention_mask=mask.long()).logits
    if isinstance(model, DecoderModel):
        expected, found = expected[mask], found[mask]
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def _none(field: str, found: Any, allowed: str, step: str) -> InvalidInput:
    return InvalidInput.of(f"architecture.{field}", found, allowed, step)


def _needs(stack: str, wanted: Mapping[str, Any], settings: Any, which: str) -> None:
    """Raise `InvalidInput` for the first setting that the model of that name does not have."""
    for name, value in wanted.items():
        found, allowed = getattr(settings, name), value if isinstance(value, tuple) else (value,)
        if found not in allowed:
            raise _none(f"{stack}.{name}", found, ", ".join(map(str, allowed)), f"else it is no {which}")


def _alike(stack: Stack, name: str, which: str, kinds: tuple[str, ...]) -> Layer:
    """Return the first layer; raise `InvalidInput` unless all are of one kind and shape, as `transformers` has them."""
    first = stack.layers[0]
    for index, layer in enumerate(stack.layers):
        if layer.attention not in kinds:
            raise _none(
                f"{name}.layers[{index}].attention", layer.attention, ", ".join(kinds), f"else it is no {which}"
            )
        if layer != first:
            raise _none(f"{name}.layers[{index}]", "another layer", "layers of one shape", f"{which} has equal layers")
    return first


def _shared(architecture: Architecture) -> dict[str, Any]:
    return {
        "vocab_size": architecture.vocabulary_size,
        "tie_word_embeddings": architecture.tied_embeddings != "none",
        "pad_token_id": None,  # a row of the table like any other
        "bos_token_id": None,
        "eos_token_id": END,
        "dtype": "float32",
    }


# BERT ----------------------------------------------------------------------------------------------------------


def _bert(architecture: Architecture) -> Form:
    stack = architecture.encoder
    assert stack is not None
    wanted = {
        "norm_position": "post",
        "norm": "layer",
        "positions": "learned",
        "embedding_norm": True,
        "bias": True,
        "embedding_size": None,
        "activation": ("gelu", "relu", "gelu-tanh"),
    }
    _needs("encoder", wanted, stack, "BERT")
    if (architecture.head.type, architecture.head.pooling) != ("classification", "first"):
        raise _none("head.pooling", architecture.head.pooling, "first", "BERT classifies by its first token")
    layer = _alike(stack, "encoder", "BERT", ("softmax",))
    config = {
        **_shared(architecture),
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": stack.hidden_size,
        "num_hidden_layers": stack.depth,
        "num_attention_heads": layer.heads,
        "intermediate_size": layer.feed_forward_size,
        "hidden_act": {"gelu-tanh": "gelu_pytorch_tanh"}.get(stack.activation, stack.activation),
        "max_position_embeddings": architecture.max_length,
        "type_vocab_size": max(1, stack.segments),
        "layer_norm_eps": 1e-5,
        "num_labels": architecture.head.outputs,
        "id2label": {str(i): f"LABEL_{i}" for i in range(architecture.head.outputs)},
        "label2id": {f"LABEL_{i}": i for i in range(architecture.head.outputs)},
    }
    return Form("BertForSequenceClassification", config, _bert_state)


def _bert_state(model: EncoderModel) -> State:
    embedding, head = _ends(model)
    state = {
        "bert.embeddings.word_embeddings.weight": embedding.tokens.weight,
        "bert.embeddings.position_embeddings.weight": embedding.positions,
        "bert.embeddings.token_type_embeddings.weight": embedding.segments.weight
        if embedding.has_segments
        else torch.zeros(1, model.architecture.encoder.hidden_size),  # type: ignore[union-attr]
        **_norm(embedding.norm, "bert.embeddings.LayerNorm"),
        **_linear(head.pooler, "bert.pooler.dense"),
        **_linear(head.classes, "classifier"),
    }
    for index, (mixing, feeding) in enumerate(_layers(model)):
        name, qkv = f"bert.encoder.layer.{index}", mixing.attention.qkv
        parts = zip(
            ("query", "key", "value"), _rows(qkv.weight, mixing.attention.widths), qkv.bias.chunk(3), strict=True
        )
        for part, weight, bias in parts:
            state |= {f"{name}.attention.self.{part}.weight": weight, f"{name}.attention.self.{part}.bias": bias}
        state |= {
            **_linear(mixing.attention.output, f"{name}.attention.output.dense"),
            **_norm(mixing.norm, f"{name}.attention.output.LayerNorm"),
            **_linear(feeding.inner, f"{name}.intermediate.dense"),
            **_linear(feeding.outer, f"{name}.output.dense"),
            **_norm(feeding.norm, f"{name}.output.LayerNorm"),
        }
    return state


# GPT-2 ---------------------------------------------------------------------------------------------------------


def _gpt2(architecture: Architecture, stack: Stack) -> Form:
    wanted = {
        "norm_position": "pre",
        "positions": "learned",
        "embedding_norm": False,
        "bias": True,
        "embedding_size": None,
        "segments": 0,
        "activation": ("gelu", "relu", "gelu-tanh"),
    }
    _needs("decoder", wanted, stack, "GPT-2")
    layer = _alike(stack, "decoder", "GPT-2", ("softmax",))
    config = {
        **_shared(architecture),
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": stack.hidden_size,
        "n_layer": stack.depth,
        "n_head": layer.heads,
        "n_inner": layer.feed_forward_size,
        "n_positions": architecture.max_length,
        "activation_function": {"gelu-tanh": "gelu_new"}.get(stack.activation, stack.activation),
        "layer_norm_epsilon": 1e-5,
    }
    return Form("GPT2LMHeadModel", config, _gpt2_state)


def _gpt2_state(model: DecoderModel) -> State:
    embedding, head = _ends(model)
    state = {
        "transformer.wte.weight": embedding.tokens.weight,
        "transformer.wpe.weight": embedding.positions,
        **_output_table(model),
        **_norm(head.norm, "transformer.ln_f"),
    }
    for index, (mixing, feeding) in enumerate(_layers(model)):
        name = f"transformer.h.{index}"
        state |= {
            **_norm(mixing.norm, f"{name}.ln_1"),
            **_linear(mixing.attention.qkv, f"{name}.attn.c_attn", transposed=True),
            **_linear(mixing.attention.output, f"{name}.attn.c_proj", transposed=True),
            **_norm(feeding.norm, f"{name}.ln_2"),
            **_linear(feeding.inner, f"{name}.mlp.c_fc", transposed=True),
            **_linear(feeding.outer, f"{name}.mlp.c_proj", transposed=True),
        }
    return state


# Llama, Mistral, LFM2 ------------------------------------------------------------------------------------------


def _llama_like(architecture: Architecture, stack: Stack) -> Form:
    wanted = {
        "norm": "rms",
        "norm_position": "pre",
        "positions": "rotary",
        "embedding_norm": False,
        "bias": False,
        "embedding_size": None,
        "segments": 0,
        "activation": "swiglu",
    }
    _needs("decoder", wanted, stack, "Llama")
    layer = _alike(stack, "decoder", "Llama", ("softmax", "grouped-query", "local", "gated-convolution"))
    config = {
        **_shared(architecture),
        "hidden_size": stack.hidden_size,
        "intermediate_size": layer.feed_forward_size,
        "num_hidden_layers": stack.depth,
        "max_position_embeddings": architecture.max_length,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    if layer.attention == "gated-convolution":
        config |= {
            "architectures": ["Lfm2ForCausalLM"],
            "model_type": "lfm2",
            "norm_eps": 1e-6,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "layer_types": ["conv"] * stack.depth,
            "block_auto_adjust_ff_dim": False,
            "use_cache": False,  # it has no cache without a layer of attention
        }
        return Form("Lfm2ForCausalLM", config, _lfm2_state)
    heads = layer.heads or 1
    config |= {
        "num_attention_heads": heads,
        "num_key_value_heads": layer.key_value_heads or heads,
        "head_dim": layer.head_size or stack.hidden_size // heads,
        "rms_norm_eps": 1e-6,
    }
    if layer.attention == "local":
        more = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": layer.window}
        return Form("MistralForCausalLM", config | more, _llama_state)
    return Form(
        "LlamaForCausalLM", config | {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, _llama_state
    )


def _llama_state(model: DecoderModel) -> State:
    embedding, head = _ends(model)
    state = {
        "model.embed_tokens.weight": embedding.tokens.weight,
        **_output_table(model),
        **_norm(head.norm, "model.norm"),
    }
    for index, (mixing, feeding) in enumerate(_layers(model)):
        name = f"model.layers.{index}"
        q, k, v = _rows(mixing.attention.qkv.weight, mixing.attention.widths)
        gate, up = feeding.inner.weight.chunk(2)
        state |= {
            **_norm(mixing.norm, f"{name}.input_layernorm"),
            f"{name}.self_attn.q_proj.weight": q,
            f"{name}.self_attn.k_proj.weight": k,
            f"{name}.self_attn.v_proj.weight": v,
            **_linear(mixing.attention.output, f"{name}.self_attn.o_proj"),
            **_norm(feeding.norm, f"{name}.post_attention_layernorm"),
            f"{name}.mlp.gate_proj.weight": gate,
            f"{name}.mlp.up_proj.weight": up,
            **_linear(feeding.outer, f"{name}.mlp.down_proj"),
        }
    return state


def _lfm2_state(model: DecoderModel) -> State:
    embedding, head = _ends(model)
    state = {
        "model.embed_tokens.weight": embedding.tokens.weight,
        **_output_table(model),
        **_norm(head.norm, "model.embedding_norm"),
    }
    for index, (mixing, feeding) in enumerate(_layers(model)):
        name = f"model.layers.{index}"
        gate, up = feeding.inner.weight.chunk(2)
        state |= {
            **_norm(mixing.norm, f"{name}.operator_norm"),
            **_linear(mixing.attention.input, f"{name}.conv.in_proj"),
            **_linear(mixing.attention.convolution, f"{name}.conv.conv"),
            **_linear(mixing.attention.output, f"{name}.conv.out_proj"),
            **_norm(feeding.norm, f"{name}.ffn_norm"),
            f"{name}.feed_forward.w1.weight": gate,
            f"{name}.feed_forward.w3.weight": up,
            **_linear(feeding.outer, f"{name}.feed_forward.w2"),
        }
    return state


# Parts ---------------------------------------------------------------------------------------------------------


def _ends(model: EncoderModel | DecoderModel) -> tuple[Any, Any]:
    return model.blocks[0], model.blocks[-1]


def _layers(model: EncoderModel | DecoderModel) -> list[tuple[Any, Any]]:
    """Return the attention and the feed-forward network of every layer that runs: `transformers` repeats none."""
    blocks: list[Any] = list(model.blocks)[1:-1]
    return [pair for pair in zip(blocks[::2], blocks[1::2], strict=True) for _ in range(model.repeats)]


def _output_table(model: DecoderModel) -> State:
    """Return the head's own table; a tied one is not written twice."""
    _, head = _ends(model)
    return {} if head.classes is None else {"lm_head.weight": head.classes.weight}


def _norm(module: nn.Module, name: str) -> State:
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def _linear(module: Any, name: str, *, transposed: bool = False) -> State:
    state = {f"{name}.weight": module.weight.T if transposed else module.weight}
    return state if module.bias is None else state | {f"{name}.bias": module.bias}


def _rows(weight: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """Return the parts of a fused layer's weight."""
    edges = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
    return [weight[start:end] for start, end in pairwise(edges)]
