"""Problems of search whose answers are known: a surrogate of trained GPTs, and a pool of trained encoders."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from nas.search.cost_aware import Condition, DistributionCandidates
from nas.search.decisions import distribution_of
from nas.space import Decision
from nas.space.walk import Chooser

WORST_PERPLEXITY, BEST_PERPLEXITY = 45.0, 21.0


# HW-GPT-Bench ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gpt:
    """An architecture of the surrogate, as the proposer wants it."""

    inner: Any

    @cached_property
    def id(self) -> str:
        """A text that is equal for equal architectures."""
        return repr(self.inner)


class GptSpace:
    """The space of HW-GPT-Bench at one scale, as the proposer and the samplers want it: choices made one by one."""

    def __init__(self, data: Path, weights: str = "hwgpt_s.npz", scale: str = "s") -> None:
        self._module = load_module(data / "hwgpt" / "surrogate.py")
        self.surrogate = self._module.Surrogate(data / "hwgpt" / weights, scale)
        self.name = f"HW-GPT-Bench {scale}"
        s = self.surrogate
        layers = {"mlp_ratio": s.mlp_ratios, "n_head": s.heads}
        self.decisions = {
            "embed_dim": Decision("embed_dim", s.embed_dims, (1,) * len(s.embed_dims)),
            "n_layer": Decision("n_layer", s.depths, (1,) * len(s.depths)),
            "bias": Decision("bias", (False, True), (1, 1)),
            **{
                f"layers.{i}.{name}": Decision(f"layers.{i}.{name}", options, (1,) * len(options))
                for i in range(max(s.depths))
                for name, options in layers.items()
            },
        }
        a_layer = math.prod(map(len, layers.values()))
        self.size = len(s.embed_dims) * 2 * sum(a_layer**depth for depth in s.depths)
        extremes = [self._built(choose, choose(s.embed_dims), choose(s.depths), False) for choose in (min, max)]
        least, most = (s.parameters(gpt.inner) for gpt in extremes)
        self.ideal = (BEST_PERPLEXITY, math.log(0.95 * least))
        self.reference = (WORST_PERPLEXITY, math.log(1.05 * most))

    def _built(self, choose: Callable[[Any], int], embed_dim: int, n_layer: int, bias: bool) -> Gpt:
        s = self.surrogate
        return self._gpt(embed_dim, n_layer, [choose(s.mlp_ratios)] * n_layer, [choose(s.heads)] * n_layer, bias)

    def _gpt(self, embed_dim: int, n_layer: int, ratios: list[int], heads: list[int], bias: bool) -> Gpt:
        return Gpt(self._module.GptArchitecture(embed_dim, n_layer, tuple(ratios), tuple(heads), bias))

    def walk(self, choose: Chooser) -> Gpt:
        """Make every choice in turn."""

        def take(name: str) -> Any:
            decision = self.decisions[name]
            return decision.options[choose(decision)]

        embed_dim, n_layer, bias = take("embed_dim"), take("n_layer"), take("bias")
        layers = [(take(f"layers.{i}.mlp_ratio"), take(f"layers.{i}.n_head")) for i in range(n_layer)]
        return self._gpt(embed_dim, n_layer, [r for r, _ in layers], [h for _, h in layers], bias)

    def follow(self, gpt: Gpt) -> Chooser:
        """Return the chooser that leads `walk` to an architecture."""
        a = gpt.inner
        chosen = {"embed_dim": a.embed_dim, "n_layer": a.n_layer, "bias": a.bias}
        for i in range(a.n_layer):
            chosen |= {f"layers.{i}.mlp_ratio": a.mlp_ratio[i], f"layers.{i}.n_head": a.n_head[i]}
        return lambda decision: decision.options.index(chosen[decision.name])

    def neighbours(self, gpt: Gpt) -> list[Gpt]:
        """Return the architectures that differ in one choice; more layers repeat the last."""
        follow, found = self.follow(gpt), []
        for name, decision in self.decisions.items():
            _, _, rest = name.partition("layers.")
            if rest and int(rest.split(".")[0]) >= gpt.inner.n_layer:
                continue
            for index in range(len(decision.options)):
                if index != follow(decision):
                    found.append(self._changed(gpt, name, index))
        return found

    def _changed(self, gpt: Gpt, name: str, index: int) -> Gpt:
        follow, deepest = self.follow(gpt), gpt.inner.n_layer - 1

        def choose(decision: Decision) -> int:
            if decision.name == name:
                return index
            if decision.name.startswith("layers."):
                _, layer, what = decision.name.split(".")
                return follow(self.decisions[f"layers.{min(int(layer), deepest)}.{what}"])
            return follow(decision)

        return self.walk(choose)

    def sample(self, rng: random.Random) -> Gpt:
        """Return a random architecture."""
        return self.walk(lambda decision: rng.randrange(len(decision.options)))

    def enumerate(self) -> Iterator[Gpt]:
        """Refuse: there are too many."""
        raise NotImplementedError(f"{self.name} has {self.size} architectures")

    def log_parameters(self, gpt: Gpt) -> float:
        """Return the natural logarithm of the parameters without embeddings."""
        return math.log(self.surrogate.parameters(gpt.inner))

    def candidates(self, limit: float | None) -> DistributionCandidates:
        """Return the space as any stranger's study would describe it: distributions, conditions, a known objective."""
        depths = self.surrogate.depths
        conditions = {
            f"layers.{i}.{name}": Condition("n_layer", [k for k, depth in enumerate(depths) if depth > i])
            for i in range(min(depths), max(depths))
            for name in ("mlp_ratio", "n_head")
        }

        def known(parameters: Any) -> list[float]:
            return [self.log_parameters(self._of(chosen)) for chosen in parameters]

        def excess(parameters: Any) -> list[float]:
            return [cost - (limit or math.inf) for cost in known(parameters)]

        distributions = {name: distribution_of(decision) for name, decision in self.decisions.items()}
        return DistributionCandidates(distributions, {1: known}, excess if limit else None, conditions)

    def _of(self, parameters: dict[str, Any]) -> Gpt:
        def choose(decision: Decision) -> int:
            value = parameters[decision.name]
            return int(value) if decision.name != "bias" else decision.options.index(value)

        return self.walk(choose)


def load_module(path: Path) -> ModuleType:
    """Import a file that belongs to the data."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


# FlexiBERT ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoder:
    """A trained encoder of the pool: the parameters that a study would have suggested, and what came of it."""

    parameters: dict[str, Any]
    glue: float
    log_parameters: float


class EncoderPool:
    """The trained encoders of FlexiBERT's benchmark, each once."""

    def __init__(self, data: Path) -> None:
        rows = json.loads((data / "flexibert" / "BERT_benchmark.json").read_text())
        members: dict[str, Encoder] = {}
        for row in rows:
            config = row["hparams"]["model_hparam_overrides"]
            encoder = encoder_of(config, row["scores"]["glue"])
            members.setdefault(json.dumps(encoder.parameters, sort_keys=True), encoder)
        self.members = list(members.values())
        names = dict.fromkeys(name for member in self.members for name in member.parameters)
        self.options = {
            name: tuple(sorted({m.parameters[name] for m in self.members if name in m.parameters}, key=str))
            for name in sorted(names, key=lambda n: (n.startswith("layers."), n))
        }
        self.values = np.array([[m.glue, m.log_parameters] for m in self.members])
        glue, cost = self.values.T
        self.reference = (float(glue.min()), math.log(1.05) + float(cost.max()))
        self.ideal = (float(glue.max()), math.log(0.95) + float(cost.min()))

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """One for each choice, by name; numbers keep their order."""
        return {name: distribution_of(self.decision(name)) for name in self.options}

    def decision(self, name: str) -> Decision:
        """Return the choice of that name."""
        options = self.options[name]
        if all(isinstance(option, int) for option in options):
            options = tuple(sorted(options))
        return Decision(name, options, (1,) * len(options))

    def names_at(self, depth: int) -> list[str]:
        """Return the names of the choices of an encoder with so many layers, in the order in which they are made."""
        return [n for n in self.options if not n.startswith("layers.") or int(n.split(".")[1]) < depth]

    def told(self, member: Encoder) -> dict[str, Any]:
        """Return the member's parameters as a trial has them: numbers as positions in their list."""
        result = {}
        for name, value in member.parameters.items():
            index = self.decision(name).options.index(value)
            numeric = self.distributions[name].__class__.__name__ == "IntDistribution"
            result[name] = index if numeric else value
        return result

    def nearest(self, parameters: dict[str, Any], left: list[int], rng: random.Random) -> int:
        """Return which of the members left is nearest: in Gower's distance over all choices, ties at random.

        Two numbers are as far apart as their positions in the list, 1 at most; two categories 1; a choice that only
        one of the two has, 1.
        """
        distances = {index: self._distance(parameters, self._all_told[index]) for index in left}
        least = min(distances.values())
        return rng.choice([index for index, distance in distances.items() if distance <= least + 1e-9])

    @cached_property
    def _all_told(self) -> list[dict[str, Any]]:
        return [self.told(member) for member in self.members]

    def _distance(self, a: dict[str, Any], b: dict[str, Any]) -> float:
        total = 0.0
        for name in a.keys() | b.keys():
            if name not in a or name not in b:
                total += 1.0
            elif isinstance(a[name], int) and not isinstance(a[name], bool):
                total += abs(a[name] - b[name]) / max(1, len(self.options[name]) - 1)
            else:
                total += a[name] != b[name]
        return total

    def candidates(self) -> PoolCandidates:
        """Return the members as candidates."""
        return PoolCandidates(self)


class PoolCandidates(DistributionCandidates):
    """Candidates that are a list, described by distributions."""

    def __init__(self, pool: EncoderPool) -> None:
        costs = {json.dumps(pool.told(m), sort_keys=True): m.log_parameters for m in pool.members}
        depths = pool.decision("n_layer").options
        conditions = {
            name: Condition("n_layer", [k for k, d in enumerate(depths) if d > int(name.split(".")[1])])
            for name in pool.options
            if name.startswith("layers.") and int(name.split(".")[1]) >= min(depths)
        }
        self._costs = costs
        self._members: NDArray[np.float64] | None = None
        super().__init__(pool.distributions, {1: self._known_costs}, None, conditions)
        rows = [self.row_of(pool.told(member)) for member in pool.members]
        self._members = np.stack([row for row in rows if row is not None])
        self.size = len(self._members)

    def _known_costs(self, parameters: Any) -> list[float]:
        # Of what is not in the pool nothing is known; only the sample that features are scaled by asks for it
        middle = sum(self._costs.values()) / len(self._costs)
        return [self._costs.get(json.dumps(chosen, sort_keys=True), middle) for chosen in parameters]

    def all(self) -> NDArray[np.float64]:
        """Return the members."""
        assert self._members is not None
        return self._members

    def neighbours(self, row: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG002
        """Return nothing: all members are candidates already."""
        return np.zeros((0, len(row)))


def encoder_of(config: dict[str, Any], glue: float) -> Encoder:
    """Return an encoder from its configuration in the benchmark's file."""
    hidden, layers = config["hidden_size"], config["nas_config"]["encoder_layers"]
    parameters: dict[str, Any] = {"hidden_size": hidden, "n_layer": len(layers)}
    total = 0
    for i, layer in enumerate(layers):
        parameters |= {
            f"layers.{i}.operation": f"{layer['operation_type']} {layer['operation_parameter']}",
            f"layers.{i}.heads": layer["num_operation_heads"],
            f"layers.{i}.feed_forward_dimension": layer["feed_forward_dimension"],
            f"layers.{i}.num_feed_forward": layer["num_feed_forward"],
        }
        total += parameters_of_layer(hidden, layer)
    return Encoder(parameters, glue, math.log(total))


def parameters_of_layer(h: int, layer: dict[str, Any]) -> int:
    """Return the weights and biases of one layer, as FlexiBERT's model builds it.

    Self-attention: query, key, value, output, a norm; weighted multiplicative attention has one matrix more. Linear
    transforms: one matrix. Convolution (ConvBERT's, half of the heads): query, key, value and the convolution's
    input to half of the hidden size, a separable convolution, the kernels, output, a norm. Feed-forward networks: in,
    out, a norm, and square matrices between.
    """
    kind, f = layer["operation_type"], layer["feed_forward_dimension"]
    linear, norm = h * h + h, 2 * h
    if kind == "SA":
        operation = 4 * linear + norm + (h * h if layer["operation_parameter"] == "WMA" else 0)
    elif kind == "LT":
        operation = linear
    else:
        heads, kernel = max(1, layer["num_operation_heads"] // 2), layer["operation_parameter"]
        inner = heads * (h // layer["num_operation_heads"])
        separable = kernel * h + h * inner + inner
        kernels = inner * heads * kernel + heads * kernel
        operation = 4 * (h * inner + inner) + separable + kernels + linear + norm
    between = (layer["num_feed_forward"] - 1) * (f * f + f)
    return int(operation + h * f + f + between + f * h + h + norm)
