"""The attention layers under test: every registered type at several choices, in every kind of site that it allows."""

from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch

from nas.attention_types import ATTENTION_TYPES
from nas.models.attention import build_attention, build_cross_attention
from nas.models.attention.site import Site

HIDDEN, MEMORY, LONGEST = 24, 20, 16

CHOICES = {
    "softmax": [{"heads": 3}, {"heads": 2, "head_size": 6}],
    "grouped-query": [
        {"heads": 4, "key_value_heads": 2},
        {"heads": 4, "key_value_heads": 1},
        {"heads": 6, "key_value_heads": 3, "head_size": 6},
    ],
    "linear": [{"heads": 3}, {"heads": 2, "head_size": 5}],
    "local": [
        {"heads": 3, "window": 1},
        {"heads": 3, "window": 3},
        {"heads": 2, "window": 6, "head_size": 8},
        {"heads": 2, "window": 15},
    ],
    "long-short": [{"heads": 3, "kernel_size": 5}, {"heads": 2, "kernel_size": 3}, {"heads": 2, "kernel_size": 15}],
    "gated-convolution": [{}],
    "low-rank": [{"heads": 3, "rank": 4}, {"heads": 2, "rank": 3, "head_size": 5}],
}
CROSS_CHOICES = {name: CHOICES[name] for name in ("softmax", "grouped-query", "linear")}


@dataclass(frozen=True)
class Case:
    """One attention type with its choices in one site."""

    name: str
    choices: dict
    site: Site

    def __str__(self):
        words = [self.name, *(f"{key}={value}" for key, value in self.choices.items())]
        words += [word for word in ("causal", "rotary") if getattr(self.site, word)]
        return " ".join(words if self.site.bias else [*words, "no bias"])

    def build(self, seed=0):
        """Build with random weights everywhere, the biases, too, in evaluation mode."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if self.site.memory_size is None:
                module = build_attention(self.name, self.site, self.choices)
            else:
                module = build_cross_attention(self.name, self.site, self.choices)
            for name, parameter in module.named_parameters():
                if name.endswith("bias"):
                    torch.nn.init.normal_(parameter)
        return module.eval()


def cases():
    for name, kind in ATTENTION_TYPES.items():
        sites = product([False, True] if kind.causal else [False], [False, True] if kind.rotary else [False])
        for (causal, rotary), (index, choices) in product(list(sites), enumerate(CHOICES[name])):
            site = Site(HIDDEN, causal=causal, rotary=rotary, max_length=LONGEST if kind.fixed_length else None)
            yield Case(name, choices, site)
            if index == 0:
                yield Case(name, choices, replace(site, bias=False))


def cross_cases():
    for name, kind in ATTENTION_TYPES.items():
        if kind.cross:
            for choices, bias in product(CROSS_CHOICES[name], [True, False]):
                yield Case(name, choices, Site(HIDDEN, causal=True, bias=bias, memory_size=MEMORY))


EVERY = list(cases())
CAUSAL = [case for case in EVERY if case.site.causal]
CROSS = list(cross_cases())


def each(selected):
    return pytest.mark.parametrize("case", selected, ids=str)


def tokens(batch, length, width=HIDDEN, seed=1):
    return torch.randn(batch, length, width, generator=torch.Generator().manual_seed(seed))


def mask_of(lengths, length):
    """The padding mask (B, length) of sequences padded on the right."""
    return torch.arange(length) < torch.tensor(lengths)[:, None]
