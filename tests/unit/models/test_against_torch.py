"""Encoder and encoder–decoder against torch's own Transformer, our weights copied into it."""

from itertools import product

import copied_weights
import pytest
import torch
from model_examples import EXACT, crossed, encoder, encoder_decoder, mask_of, randomised, stack, tokens_of
from torch import nn

SIZES = [(16, 2, 24, 1), (24, 4, 40, 3)]  # hidden size, heads, feed-forward size, layers
EVERY = list(product(["pre", "post"], ["relu", "gelu"], SIZES, [0, 1]))
LENGTHS, OUTPUT_LENGTHS = [11, 7, 1], [9, 2, 6]

each = pytest.mark.parametrize(("norm_position", "activation", "size", "seed"), EVERY)
padded_or_not = pytest.mark.parametrize("padded", [True, False], ids=["padded", "unpadded"])


@pytest.fixture(autouse=True)
def _no_fast_path():
    """torch's fused inference path fills padded rows with zeros; the plain one is the definition."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(was)


def layers_of(size):
    _, heads, feed_forward_size, count = size
    return [{"heads": heads, "feed_forward_size": feed_forward_size}] * count


def torch_arguments(norm_position, activation, size):
    hidden_size, heads, feed_forward_size, _ = size
    norm_first = norm_position == "pre"
    return {"d_model": hidden_size, "nhead": heads, "dim_feedforward": feed_forward_size, "dropout": 0.0,
            "activation": activation, "batch_first": True, "norm_first": norm_first}  # fmt: skip


def last_norm(norm_position, size):
    return nn.LayerNorm(size[0]) if norm_position == "pre" else None


def torch_encoder(norm_position, activation, size):
    layer = nn.TransformerEncoderLayer(**torch_arguments(norm_position, activation, size))
    return nn.TransformerEncoder(layer, size[3], last_norm(norm_position, size), enable_nested_tensor=False)


def torch_decoder(norm_position, activation, size):
    layer = nn.TransformerDecoderLayer(**torch_arguments(norm_position, activation, size))
    return nn.TransformerDecoder(layer, size[3], last_norm(norm_position, size))


@torch.no_grad()
@each
@padded_or_not
def test_a_softmax_encoder_equals_torchs_encoder(norm_position, activation, size, seed, padded):
    kind = {"norm_position": norm_position, "activation": activation, "hidden_size": size[0]}
    head = {"type": "token-classification", "outputs": 6}
    model = randomised(encoder(layers_of(size), head=head, **kind), seed)
    embedding, *blocks, ours_last = model.blocks
    final_norm = ours_last.norm if norm_position == "pre" else None
    theirs = torch_encoder(norm_position, activation, size).eval()
    theirs.load_state_dict(copied_weights.of_torch_layers(blocks, final_norm))
    tokens, mask = tokens_of(3, max(LENGTHS), seed=seed), mask_of(LENGTHS)
    hidden = theirs(embedding(tokens), src_key_padding_mask=~mask if padded else None)
    logits = model(tokens, mask if padded else None)
    real = mask if padded else torch.ones_like(mask)
    torch.testing.assert_close(logits[real], ours_last.classes(hidden)[real], **EXACT)


@torch.no_grad()
@each
@padded_or_not
def test_an_encoder_decoder_equals_torchs_transformer(norm_position, activation, size, seed, padded):
    kind = {"norm_position": norm_position, "activation": activation, "hidden_size": size[0]}
    outputs = [a | b for a, b in zip(layers_of(size), crossed(size[3], heads=size[1]), strict=True)]  # decoder layers
    model = randomised(encoder_decoder(stack(layers_of(size), **kind), stack(outputs, **kind), outputs=37), seed)
    reader, *encoder_blocks = model.encoder_blocks
    writer, *decoder_blocks, head = model.decoder_blocks
    memory_norm = encoder_blocks.pop().norm if norm_position == "pre" else None
    theirs = nn.Transformer(
        **torch_arguments(norm_position, activation, size),
        custom_encoder=torch_encoder(norm_position, activation, size),
        custom_decoder=torch_decoder(norm_position, activation, size),
    ).eval()
    theirs.encoder.load_state_dict(copied_weights.of_torch_layers(encoder_blocks, memory_norm))
    theirs.decoder.load_state_dict(
        copied_weights.of_torch_layers(decoder_blocks, head.norm if norm_position == "pre" else None)
    )
    source, written = tokens_of(3, max(LENGTHS), seed=seed), tokens_of(3, max(OUTPUT_LENGTHS), 37, seed=seed + 9)
    mask, output_mask = mask_of(LENGTHS), mask_of(OUTPUT_LENGTHS)
    masks = {
        "src_key_padding_mask": ~mask,
        "memory_key_padding_mask": ~mask,
        "tgt_key_padding_mask": ~output_mask,
    }
    later = torch.ones(written.shape[1], written.shape[1], dtype=torch.bool).triu(1)
    hidden = theirs(reader(source), writer(written), tgt_mask=later, **(masks if padded else {}))
    memory = theirs.encoder(reader(source), src_key_padding_mask=~mask if padded else None)
    seen = {}
    last = model.encoder_blocks[-1]
    hooks = [
        last.register_forward_hook(lambda _module, _inputs, output: seen.update(memory=output)),
        head.classes.register_forward_pre_hook(lambda _module, inputs: seen.update(hidden=inputs[0])),
    ]
    logits = model(source, written, *((mask, output_mask) if padded else ()))
    for hook in hooks:
        hook.remove()
    real, written_real = (mask, output_mask) if padded else (mask | True, output_mask | True)
    torch.testing.assert_close(seen["memory"][real], memory[real], **EXACT)
    torch.testing.assert_close(seen["hidden"][written_real], hidden[written_real], **EXACT)
    torch.testing.assert_close(logits[written_real], (hidden @ head.classes.weight.T)[written_real], **EXACT)


@torch.no_grad()
@padded_or_not
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_a_decoder_layer_reads_the_last_encoder_layers_behind_one_another(norm_position, padded):
    size, reads = (24, 4, 40, 3), [2, 1, 3]
    kind = {"norm_position": norm_position}
    outputs = [a | crossed(1, reads=count)[0] for a, count in zip(layers_of(size), reads, strict=True)]
    model = randomised(encoder_decoder(stack(layers_of(size), **kind), stack(outputs, **kind)), seed=2)
    reader, *encoder_blocks = model.encoder_blocks
    writer, *decoder_blocks, head = model.decoder_blocks
    memory_norm = encoder_blocks.pop().norm if norm_position == "pre" else nn.Identity()
    encoder_layers = torch_encoder("post", "relu", size).eval().layers
    decoder_layers = torch_decoder("post", "relu", size).eval().layers
    for layers, blocks in ((encoder_layers, encoder_blocks), (decoder_layers, decoder_blocks)):
        state = copied_weights.of_torch_layers(blocks)
        layers.load_state_dict({name.removeprefix("layers."): value for name, value in state.items()})
        for layer in layers:
            layer.norm_first = norm_position == "pre"
    source, written = tokens_of(3, max(LENGTHS)), tokens_of(3, 9, seed=9)
    mask = mask_of(LENGTHS) if padded else torch.ones(source.shape, dtype=torch.bool)
    x, memories = reader(source), []
    for layer in encoder_layers:
        x = layer(x, src_key_padding_mask=~mask)
        memories.append(memory_norm(x))
    y, later = writer(written), torch.ones(9, 9, dtype=torch.bool).triu(1)
    for layer, count in zip(decoder_layers, reads, strict=True):
        memory, hidden = torch.cat(memories[-count:], dim=1), torch.cat([~mask] * count, dim=1)
        y = layer(y, memory, tgt_mask=later, memory_key_padding_mask=hidden)
    logits = head.norm(y) @ head.classes.weight.T
    torch.testing.assert_close(model(source, written, mask if padded else None), logits, **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_a_decoder_narrower_than_its_encoder_equals_torchs_attention_with_a_wider_memory(norm_position):
    kind = {"norm_position": norm_position}
    model = randomised(
        encoder_decoder(stack([{}], hidden_size=32, **kind), stack(crossed(1), hidden_size=24, **kind)), seed=5
    )
    cross = model.decoder_blocks[2].attention
    theirs = nn.MultiheadAttention(24, 4, kdim=32, vdim=32, batch_first=True).eval()
    k, v = cross.key_value.weight.chunk(2)
    theirs.load_state_dict(
        {
            "q_proj_weight": cross.query.weight,
            "k_proj_weight": k,
            "v_proj_weight": v,
            "in_proj_bias": torch.cat((cross.query.bias, cross.key_value.bias)),
            **copied_weights.linear(cross.output, "out_proj"),
        }
    )
    x, memory, mask = torch.randn(3, 5, 24), torch.randn(3, 11, 32), mask_of(LENGTHS)
    expected, _ = theirs(x, memory, memory, key_padding_mask=~mask)
    torch.testing.assert_close(cross(x, cross.prepare(memory, mask), mask), expected, **EXACT)
