"""Models of all families as modules: padding, seeds, sinusoids, the order of the blocks, what a family is built as.

Attention types are compared with references in tests/unit/attention, whole models with other libraries' in
tests/unit/models.
"""

import math
import random

import pytest
import torch

from nas.models import DecoderModel, EncoderDecoderModel, EncoderModel, build_model
from nas.models.blocks import sinusoids
from nas.space import SearchSpace
from nas.sub_blocks import sub_blocks, weighted_blocks


def test_padding_changes_no_output_for_random_architectures():
    space, rng = SearchSpace.bundled("text-encoder"), random.Random(2)
    tokens = torch.randint(0, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([20, 11, 1])
    mask = torch.arange(20)[None] < lengths[:, None]
    for _ in range(15):
        model = build_model(space.sample(rng), seed=0)
        with torch.no_grad():
            together = model(tokens, mask)
            assert together.shape == (3, 35)
            for row, length in enumerate(lengths):
                torch.testing.assert_close(
                    together[row : row + 1], model(tokens[row : row + 1, :length]), atol=1e-4, rtol=1e-4
                )


def test_sinusoids_follow_the_paper():
    table = sinusoids(50, 8)
    for position in (0, 3, 49):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_one_seed_gives_one_set_of_weights_and_leaves_the_global_generator_alone():
    a = SearchSpace.bundled("smoke").sample(random.Random(0))
    state = torch.random.get_rng_state()
    first, second, third = build_model(a, seed=1), build_model(a, seed=1), build_model(a, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(first.parameters(), third.parameters(), strict=True))


FAMILIES = {
    "text-encoder": EncoderModel,
    "causal-decoder": DecoderModel,
    "seq2seq": EncoderDecoderModel,
    "hat-wmt": EncoderDecoderModel,
    "lite-seq2seq": EncoderDecoderModel,
    "smoke": EncoderModel,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_built_as_its_model_in_evaluation_mode(name):
    architecture = SearchSpace.bundled(name).sample(random.Random(0))
    with torch.device("meta"):
        model = build_model(architecture)
    assert type(model) is FAMILIES[name]
    assert not model.training
    assert model.architecture is architecture


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_is_its_sub_blocks_in_order(name):
    rng = random.Random(4)
    for _ in range(5):
        a = SearchSpace.bundled(name).sample(rng)
        kinds, last = [], {"encoder": "memory" if a.decoder else "head", "decoder": "head"}
        weighted = []
        for stack_name, stack in a.stacks:
            layer = ["attention", *(["cross_attention"] if stack.layers[0].cross else []), "feed_forward"]
            behind = [] if last[stack_name] == "memory" and stack.norm_position == "post" else [last[stack_name]]
            kinds += ["embedding", *layer * stack.depth, *behind]
            weighted += ["embedding", *layer * len(stack.layers), *behind]
        assert [block.kind for block in sub_blocks(a)] == kinds
        assert [block.kind for block in weighted_blocks(a)] == weighted
        with torch.device("meta"):
            model = build_model(a)
        lists = [model.encoder_blocks, model.decoder_blocks] if a.encoder and a.decoder else [model.blocks]
        assert sum(map(len, lists)) == len(weighted)


@torch.no_grad()
def test_repeats_run_each_layer_again_before_the_next():
    space, rng = SearchSpace.bundled("causal-decoder"), random.Random(1)
    a = next(a for a in iter(lambda: space.sample(rng), None) if a.decoder.repeats == 2)
    model, tokens = build_model(a, seed=0), torch.randint(0, 2048, (2, 9))
    embedding, *layers, head = model.blocks
    x = embedding(tokens)
    for mixing, feeding in zip(layers[::2], layers[1::2], strict=True):
        x = feeding(mixing(feeding(mixing(x))))
    torch.testing.assert_close(model(tokens), head(x, None, embedding.tokens.weight))


@pytest.mark.parametrize("name", ["text-encoder", "causal-decoder", "seq2seq"])
def test_a_model_starts_near_the_loss_of_guessing(name):
    space, rng = SearchSpace.bundled(name), random.Random(6)
    shape = space.task_shape
    for _ in range(5):
        model = build_model(space.sample(rng), seed=0)
        tokens = torch.randint(0, shape.vocabulary_size, (4, 16), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            logits = model(tokens, tokens) if name == "seq2seq" else model(tokens)
        answers = torch.randint(
            0, shape.outputs, logits.shape[:-1], generator=torch.Generator().manual_seed(1)
        ).flatten()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), answers)
        assert loss < math.log(shape.outputs) + 1.0
