"""Models whose number of parameters is published: built from an architecture, they have exactly as many."""

import json
from pathlib import Path

import pytest
import torch
from model_examples import decoder, encoder, encoder_decoder, stack

from nas.costs import costs_of
from nas.models import build_model
from nas.space import SearchSpace
from nas.workload import Workload

HAT = json.loads((Path(__file__).parent / "hat_architectures.json").read_text())
HAT_VOCABULARY, HAT_LENGTH = 32_768, 30
each_hat_model = pytest.mark.parametrize("published", HAT["models"], ids=lambda published: published["name"])


def parameters_on_the_meta_device(architecture):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(architecture).parameters())


def bert_base():
    return encoder(
        [{"heads": 12, "feed_forward_size": 3072}] * 12,
        vocabulary=30_522,
        length=512,
        head={"type": "classification", "outputs": 2, "pooling": "first"},
        hidden_size=768,
        positions="learned",
        norm_position="post",
        activation="gelu",
        embedding_norm=True,
        segments=2,
    )


def gpt2_small():
    return decoder(
        [{"heads": 12, "feed_forward_size": 3072}] * 12,
        vocabulary=50_257,
        length=1024,
        tied="output",
        hidden_size=768,
        positions="learned",
        activation="gelu-tanh",
    )


def test_bert_base_has_the_109_482_240_parameters_of_bert_with_its_pooler():
    classifier = 2 * 768 + 2  # BertModel ends at the pooler; only the linear layer to the classes stands behind it
    assert costs_of(bert_base(), Workload(input_length=16)).parameters - classifier == 109_482_240
    assert parameters_on_the_meta_device(bert_base()) - classifier == 109_482_240


def test_gpt2_small_has_124_439_808_parameters():
    assert costs_of(gpt2_small(), Workload(input_length=16, output_length=1)).parameters == 124_439_808
    assert parameters_on_the_meta_device(gpt2_small()) == 124_439_808


def hat(published):
    """The architecture of one of HAT's configuration files.

    Its attention has 512 dimensions whatever the embedding ("qkv-dim"), and "arbitrary" encoder–decoder attention
    counts the layers read beside the last one, −1 for none.
    """
    read, written = published["encoder"], published["decoder"]
    kind = {"positions": "sinusoidal", "norm_position": "post", "activation": "relu"}

    def attention(heads, hidden_size):
        own = {} if hidden_size == HAT["attention_size"] else {"head_size": HAT["attention_size"] // heads}
        return {"attention": "softmax", "heads": heads, **own}

    encoder_layers = [
        {**attention(heads, read["embed"]), "feed_forward_size": ffn}
        for heads, ffn in zip(read["heads"], read["ffn"], strict=True)
    ]
    decoder_layers = [
        {
            **attention(heads, written["embed"]),
            "cross": {**attention(cross_heads, written["embed"]), "reads": max(arbitrary, 0) + 1},
            "feed_forward_size": ffn,
        }
        for heads, cross_heads, arbitrary, ffn in zip(
            written["heads"], written["cross_heads"], written["arbitrary"], written["ffn"], strict=True
        )
    ]
    return encoder_decoder(
        stack(encoder_layers, read["embed"], **kind),
        stack(decoder_layers, written["embed"], **kind),
        vocabulary=HAT_VOCABULARY,
        outputs=HAT_VOCABULARY,
        length=HAT_LENGTH,
        output_length=HAT_LENGTH,
        tied="output",
    )


def test_hats_thirty_seven_models_are_all_different():
    assert len({hat(published).id for published in HAT["models"]}) == 37


@each_hat_model
def test_a_model_of_hat_has_its_published_parameters(published):
    counted = costs_of(hat(published), Workload(input_length=HAT_LENGTH, output_length=HAT_LENGTH))
    assert f"{counted.parameters_without_embeddings / 1e6:.2f}" == published["parameters"]


@pytest.mark.parametrize(
    "published", [model for model in HAT["models"] if "wmt" in model["name"]], ids=lambda published: published["name"]
)
def test_a_model_of_hat_for_wmt_is_in_the_bundled_space(published):
    assert hat(published) in SearchSpace.bundled("hat-wmt")


def test_hats_largest_model_has_its_parameters_on_the_meta_device():
    published = max(HAT["models"], key=lambda model: float(model["parameters"]))
    embeddings = 2 * HAT_VOCABULARY * 512  # the encoder's table, and the decoder's, which the head shares
    assert published["encoder"]["embed"] == published["decoder"]["embed"] == 512
    counted = parameters_on_the_meta_device(hat(published)) - embeddings
    assert f"{counted / 1e6:.2f}" == published["parameters"]
