"""Small spaces that together use every choice there is, so that what is claimed of a space can be enumerated."""

from nas.space import SearchSpace
from nas.workload import Workload

ENCODER = {
    "name": "small-encoder",
    "family": "encoder",
    "task_shape": {"vocabulary_size": 20, "outputs": 3, "max_length": 12},
    "encoder": {
        "depth": [1, 2],
        "hidden_size": [8, 12],
        "positions": ["learned", "rotary"],
        "norm": ["layer", "rms"],
        "norm_position": ["pre", "post"],
        "embedding_size": [6, 12],
        "repeats": [1, 2],
        "layer": {
            "attention": {
                "softmax": {"heads": [2]},
                "low-rank": {"heads": [2], "rank": [3]},
                "local": {"heads": [2], "window": [3]},
            },
            "feed_forward_ratio": [1],
            "activation": ["relu", "swiglu"],
        },
        "uniform": ["attention"],
    },
}

DECODER = {
    "name": "small-decoder",
    "family": "decoder",
    "task_shape": {"vocabulary_size": 16, "outputs": 16, "max_length": 12},
    "tied_embeddings": ["none", "output"],
    "decoder": {
        "depth": [1, 3],
        "hidden_size": [8],
        "positions": ["rotary"],
        "norm": ["rms"],
        "norm_position": ["pre"],
        "activation": ["swiglu"],
        "bias": [True, False],
        "embedding_size": [4, 8],
        "layer": {
            "attention": {
                "grouped-query": {"heads": [2], "key_value_heads": [1], "attention_size": [8, 12]},
                "gated-convolution": {},
                "long-short": {"heads": [1], "kernel_size": [3]},
            },
            "feed_forward_size": [5, 16],
        },
        "uniform": ["feed_forward"],
    },
}

ENCODER_DECODER = {
    "name": "small-encoder-decoder",
    "family": "encoder-decoder",
    "task_shape": {"vocabulary_size": 16, "outputs": 16, "max_length": 10, "max_output_length": 6},
    "tied_embeddings": ["output", "all"],
    "encoder": {
        "depth": [1, 3],
        "hidden_size": [8, 12],
        "positions": ["sinusoidal"],
        "norm_position": ["pre"],
        "activation": ["gelu"],
        "layer": {
            "attention": {"linear": {"heads": [2]}, "local": {"heads": [1], "window": [4]}},
            "feed_forward_ratio": [1],
        },
    },
    "decoder": {
        "depth": [1, 2],
        "hidden_size": [8],
        "positions": ["learned"],
        "norm_position": ["post"],
        "activation": ["gelu-tanh"],
        "layer": {
            "attention": {"softmax": {"heads": [2]}},
            "cross": {"attention": {"softmax": {"heads": [2], "head_size": [3]}, "linear": {"heads": [1]}},
                      "reads": [1, 2, 3]},
            "feed_forward_ratio": [1, 4],
        },
    },
}  # fmt: skip

POST_NORM_ENCODER_DECODER = {
    **ENCODER_DECODER,
    "name": "small-post-norm",
    "encoder": {**ENCODER_DECODER["encoder"], "norm_position": ["post"], "hidden_size": [8], "repeats": [1, 2]},
    "decoder": {**ENCODER_DECODER["decoder"], "uniform": ["cross"], "depth": [2]},
}

SMALL_SPACES = {
    document["name"]: document for document in (ENCODER, DECODER, ENCODER_DECODER, POST_NORM_ENCODER_DECODER)
}


def small_space(name):
    return SearchSpace.from_document(SMALL_SPACES[name])


def workload_of(space, batch=1):
    """A workload that uses the whole length of a space's models."""
    shape = space.task_shape
    if space.family == "decoder":
        return Workload(batch=batch, input_length=shape.max_length * 2 // 3, output_length=shape.max_length // 3)
    return Workload(batch=batch, input_length=shape.max_length, output_length=shape.max_output_length)
