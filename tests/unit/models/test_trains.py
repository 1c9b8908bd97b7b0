"""Every family of models learns real data with every attention type that it may have.

The loss of each batch is taken before it is learnt from; a model that cannot learn stays where it began.
"""

import io
import keyword
import math
import random
import textwrap
import tokenize
import unicodedata
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import django
import numpy as np
import polib
import pytest
import torch
from model_examples import decoder, encoder, encoder_decoder, stack
from torch.nn import functional

from nas.attention_types import ATTENTION_TYPES
from nas.models import build_model
from nas.quality.datasets import load_dataset
from nas.quality.datasets.vocabulary import ByteVocabulary
from nas.quality.tasks import TASKS
from nas.workload import Workload

STEPS, BATCH, LENGTH = 60, 16, 48
VOCABULARY_SIZE, encode = ByteVocabulary().size, ByteVocabulary().encode
LEARNT = 0.9
"""The mean loss of the last five batches over that of the first five is less."""

IGNORED = -100  # cross_entropy's own


def random_layer(attention, rng, hidden_size):
    """Random choices of an attention type that fit the hidden size."""
    kind = ATTENTION_TYPES[attention]
    heads = rng.choice([2, 4])
    every = {
        "heads": heads,
        "key_value_heads": heads // 2,
        "window": rng.choice([4, 9, 16]),
        "kernel_size": rng.choice([3, 7]),
        "rank": rng.choice([8, 16]),
    }
    choices = {name: every.get(name) if name in kind.choices else None for name in every}
    return {"attention": attention, "feed_forward_size": rng.choice([1, 2]) * hidden_size, **choices}


def random_stack(attention, rng, **settings):
    """The fields of `model_examples.stack`: two layers of one attention type, everything else drawn."""
    hidden_size = settings.pop("hidden_size", None) or rng.choice([32, 48, 64])
    positions = ["sinusoidal", "learned", *(["rotary"] if ATTENTION_TYPES[attention].rotary else [])]
    return {
        "layers": [random_layer(attention, rng, hidden_size) for _ in range(2)],
        "hidden_size": hidden_size,
        "positions": rng.choice(positions),
        "norm": rng.choice(["layer", "rms"]),
        "norm_position": rng.choice(["pre", "post"]),
        "activation": rng.choice(["relu", "gelu", "gelu-tanh", "swiglu"]),
        "bias": rng.choice([True, False]),
        **settings,
    }


def losses_of(model, batches, loss_of, rate=3e-3):
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = loss_of(model, *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert len(losses) == STEPS
    return losses


def check_learnt(losses):
    assert all(map(math.isfinite, losses))
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < LEARNT * first, f"{first:.3f} to {last:.3f}"


def padded(sequences, fill=0):
    """Sequences as one tensor (B, T), and its mask."""
    sequences = [torch.as_tensor(np.asarray(sequence)[:LENGTH].copy()) for sequence in sequences]
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    filled = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=fill)
    return filled, torch.arange(filled.shape[1]) < lengths[:, None]


def drawn(examples, seed=0):
    """`STEPS` lists of `BATCH` examples, none twice before all were drawn."""
    rng, order = random.Random(seed), []
    for _ in range(STEPS):
        if len(order) < BATCH:
            order = rng.sample(examples, len(examples))
        yield [order.pop() for _ in range(BATCH)]


def of_tokens(logits, targets):
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), ignore_index=IGNORED)


languages = cache(lambda: load_dataset("language-identification"))


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_an_encoder_learns_to_tell_languages_apart(attention):
    info, rng = languages().info, random.Random(attention)
    model = build_model(
        encoder(
            vocabulary=info.vocabulary_size,
            length=LENGTH,
            head={
                "type": "classification",
                "outputs": info.outputs,
                "pooling": rng.choice(["mean", "first"]) if attention == "softmax" else "mean",
            },
            **random_stack(attention, rng),
        ),
        seed=0,
    )
    task, workload = TASKS["sequence-classification"], Workload(input_length=LENGTH)
    batches = task.training_batches(
        languages().split("train"), workload, 4 * BATCH, STEPS, 0
    )  # 35 classes: more a step
    check_learnt(
        losses_of(
            model, batches, lambda m, tokens, mask, labels: functional.cross_entropy(m(tokens, mask), labels), 6e-3
        )
    )


@cache
def pages():
    """Windows of Python's own reference: pages of text."""
    text = encode("\n".join(topics[name] for name in sorted(topics))[:200_000])
    return [text[start : start + LENGTH + 1] for start in range(0, len(text) - LENGTH, LENGTH)]


@pytest.mark.parametrize("attention", [kind.name for kind in ATTENTION_TYPES.values() if kind.causal])
def test_a_decoder_learns_to_write_pythons_reference(attention):
    rng = random.Random(attention)
    tied = rng.choice(["none", "output"])
    model = build_model(
        decoder(vocabulary=VOCABULARY_SIZE, length=LENGTH, tied=tied, **random_stack(attention, rng)), seed=0
    )

    def batches():
        for examples in drawn(pages()):
            text = torch.from_numpy(np.stack(examples)).long()
            yield text[:, :-1], text[:, 1:]

    check_learnt(losses_of(model, batches(), lambda m, text, following: of_tokens(m(text), following)))


@cache
def translations():
    """(English, German) of Django's messages, as tokens."""
    file = Path(django.__file__).parent / "conf/locale/de/LC_MESSAGES/django.po"
    entries = [entry for entry in polib.pofile(str(file)) if entry.msgid and entry.msgstr]
    return [(encode(entry.msgid), encode(entry.msgstr)) for entry in entries]


def translation_batches():
    for pairs in drawn(translations()):
        source, mask = padded([english for english, _ in pairs])
        following, _ = padded([german for _, german in pairs], fill=IGNORED)
        written = functional.pad(following.clamp(min=0), (1, -1))  # behind the start token, 0
        yield source.long(), mask, written.long(), following


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_an_encoder_decoder_learns_to_translate_djangos_messages(attention):
    rng = random.Random(attention)
    causal = attention if ATTENTION_TYPES[attention].causal else "softmax"
    tied = rng.choice(["none", "output", "all"])
    read = random_stack(attention, rng)
    written = random_stack(causal, rng, hidden_size=read["hidden_size"] if tied == "all" else None)
    cross = attention if ATTENTION_TYPES[attention].cross else "softmax"
    for layer in written["layers"]:
        choices = random_layer(cross, rng, written["hidden_size"]) | {"reads": rng.choice([1, 2])}
        del choices["feed_forward_size"]
        layer["cross"] = {name: value for name, value in choices.items() if value is not None}
    architecture = encoder_decoder(
        stack(**read), stack(**written), VOCABULARY_SIZE, VOCABULARY_SIZE, LENGTH, LENGTH, tied
    )

    def loss_of(model, source, mask, written, following):
        return of_tokens(model(source, written, mask, following != IGNORED), following)

    check_learnt(losses_of(build_model(architecture, seed=0), translation_batches(), loss_of))


KINDS = ("other", "name", "keyword", "operator", "string", "comment")


@cache
def labelled_lines():
    """(tokens, labels) of lines of a Python module: what Python's own tokenizer says of each byte."""
    source = Path(textwrap.__file__).read_text() + Path(keyword.__file__).read_text()
    lines = source.splitlines(keepends=True)
    labels = [np.zeros(len(line.encode()), dtype=np.int64) for line in lines]
    types = {tokenize.OP: "operator", tokenize.STRING: "string", tokenize.COMMENT: "comment"}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = types.get(token.type, "other")
        if token.type == tokenize.NAME:
            kind = "keyword" if keyword.iskeyword(token.string) else "name"
        for row in range(token.start[0], min(token.end[0], len(lines)) + 1):
            start = token.start[1] if row == token.start[0] else 0
            end = token.end[1] if row == token.end[0] else None
            labels[row - 1][start:end] = KINDS.index(kind)
    return [(encode(line), label) for line, label in zip(lines, labels, strict=True) if len(label) > 1]


def test_a_token_classifier_learns_what_pythons_tokenizer_says():
    architecture = encoder(
        [{"attention": "local", "window": 6}, {"attention": "softmax"}],
        vocabulary=VOCABULARY_SIZE,
        length=LENGTH,
        head={"type": "token-classification", "outputs": len(KINDS)},
        hidden_size=48,
    )

    def batches():
        for examples in drawn(labelled_lines()):
            tokens, mask = padded([tokens for tokens, _ in examples])
            yield tokens.long(), mask, padded([labels for _, labels in examples], fill=IGNORED)[0]

    check_learnt(
        losses_of(build_model(architecture, seed=0), batches(), lambda m, t, mask, y: of_tokens(m(t, mask), y))
    )


@cache
def numbers():
    """(tokens of the name, ln(1 + value)) of Unicode's characters that are numbers, e.g. ROMAN NUMERAL TEN."""
    characters = [c for c in map(chr, range(0x20000)) if unicodedata.numeric(c, -1) >= 0 and unicodedata.name(c, "")]
    return [(encode(unicodedata.name(c)), math.log1p(unicodedata.numeric(c))) for c in characters]


def test_a_regression_learns_numbers_from_the_names_of_unicodes_characters():
    architecture = encoder(
        [{}, {"attention": "gated-convolution", "heads": None}],
        vocabulary=VOCABULARY_SIZE,
        length=LENGTH,
        head={"type": "regression", "outputs": 1},
        hidden_size=48,
    )

    def batches():
        for examples in drawn(numbers()):
            tokens, mask = padded([name for name, _ in examples])
            yield tokens.long(), mask, torch.tensor([[value] for _, value in examples])

    def loss_of(model, tokens, mask, values):
        return functional.mse_loss(model(tokens, mask), values)

    check_learnt(losses_of(build_model(architecture, seed=0), batches(), loss_of))
