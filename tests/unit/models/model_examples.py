"""Small models of all three families, with random weights everywhere, and the inputs they are compared on."""

import torch

from nas.architecture import Architecture, Head, Layer, Stack
from nas.models import build_model

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
EXACT = {"atol": 1e-5, "rtol": 1e-5}
"""Close enough to tell the exact GELU from its tanh."""


def stack(layers, hidden_size=24, **settings):
    """A stack of `layers`, each a dictionary; those that name no attention are softmax with 4 heads."""
    fields = {"positions": "sinusoidal", "norm_position": "pre", "activation": "relu"} | settings
    layers = [{"attention": "softmax", "heads": 4, "feed_forward_size": 36} | layer for layer in layers]
    layers = [
        {name: value for name, value in layer.items() if value is not None} for layer in layers
    ]  # None takes a default away
    return Stack(hidden_size=hidden_size, layers=tuple(Layer(**layer) for layer in layers), **fields)


def encoder(layers, vocabulary=50, length=16, head=None, **settings):
    head = head or {"type": "classification", "outputs": 5}
    return Architecture(
        family="encoder",
        vocabulary_size=vocabulary,
        max_length=length,
        encoder=stack(layers, **settings),
        head=Head(**head),
    )


def decoder(layers, vocabulary=50, length=16, tied="none", **settings):
    return Architecture(
        family="decoder",
        vocabulary_size=vocabulary,
        max_length=length,
        decoder=stack(layers, **settings),
        tied_embeddings=tied,
        head=Head(type="language-model", outputs=vocabulary),
    )


def encoder_decoder(encoder_stack, decoder_stack, vocabulary=50, outputs=50, length=16, output_length=16, tied="none"):
    return Architecture(
        family="encoder-decoder",
        vocabulary_size=vocabulary,
        max_length=length,
        max_output_length=output_length,
        encoder=encoder_stack,
        decoder=decoder_stack,
        tied_embeddings=tied,
        head=Head(type="language-model", outputs=outputs),
    )


def crossed(count, **choices):
    """`count` decoder layers whose cross-attention is softmax with 4 heads unless `choices` say otherwise."""
    return [{"cross": {"attention": "softmax", "heads": 4, **choices}}] * count


def randomised(architecture, seed=0):
    """Build with no weight left at a value (a norm's 1, a bias's 0) that would hide that it isn't used."""
    model = build_model(architecture, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
            elif name.endswith(("tokens.weight", "segments.weight", "positions")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def tokens_of(batch, length, vocabulary=50, seed=0):
    return torch.randint(vocabulary, (batch, length), generator=torch.Generator().manual_seed(seed))


def mask_of(lengths, length=None):
    """The padding mask (B, T) of sequences padded on the right."""
    return torch.arange(length or max(lengths)) < torch.tensor(lengths)[:, None]
