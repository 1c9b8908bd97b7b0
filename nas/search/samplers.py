"""The samplers that a job can name: one registry line each.

Optuna's own samplers are built anew for every proposal, seeded by (job seed, trial number), because Optuna doesn't
persist the state of a sampler's random generator: after a crash the same proposals follow. The project's own take the
trial's number into account themselves, and are built once.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler

from nas.search.cost_aware import CandidateSource, CostAwareSampler, CostStratifiedSampler

optuna.logging.set_verbosity(optuna.logging.WARNING)

POPULATION = 20
"""Of the genetic samplers. Optuna's own choice of 50 is half the budget of a usual job."""
STARTUP = 10
"""Random candidates before a model is asked."""


@dataclass(frozen=True)
class SamplerSetting:
    """What a sampler may know of a job beside its trials."""

    seed: int
    candidates: Callable[[], CandidateSource]
    """Called once, by a sampler that asks for it: what there is to propose, and what is known of it beforehand."""
    reference: tuple[float, ...] | None = None
    """The point that the job's hypervolume is measured against, a value for each objective."""


SamplerOfSeed = Callable[[int], BaseSampler]
"""Returns the sampler of one proposal for the seed of that proposal."""


def _quiet(build: SamplerOfSeed) -> Callable[[SamplerSetting], SamplerOfSeed]:
    """Return the entry of a sampler of Optuna's, without its warnings about what is experimental."""

    def of_seed(seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return build(seed)

    return lambda _: of_seed


def _once(sampler: BaseSampler) -> SamplerOfSeed:
    return lambda _: sampler


SAMPLERS: dict[str, Callable[[SamplerSetting], SamplerOfSeed]] = {
    "cost-aware": lambda s: _once(CostAwareSampler(s.candidates(), seed=s.seed, reference=s.reference)),
    "cost-stratified": lambda s: _once(CostStratifiedSampler(s.candidates(), seed=s.seed)),
    # Grouped multivariate: layers of a conditional space are modelled together, where they exist
    "tpe": _quiet(
        lambda seed: TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP, constant_liar=True)
    ),
    "nsga2": _quiet(lambda seed: NSGAIISampler(seed=seed, population_size=POPULATION)),
    "nsga3": _quiet(lambda seed: NSGAIIISampler(seed=seed, population_size=POPULATION)),
    "gp": _quiet(lambda seed: GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)),
    "random": _quiet(lambda seed: RandomSampler(seed=seed)),
}


ABOUT: dict[str, str] = {
    "cost-aware": "Knows every cost exactly and models quality alone; takes the greatest expected gain in hypervolume.",
    "cost-stratified": "Random candidates, spread evenly over what they cost.",
    "tpe": "Optuna's tree-structured Parzen estimator, multivariate.",
    "nsga2": "Optuna's NSGA-II, a genetic algorithm with a population of 20.",
    "nsga3": "Optuna's NSGA-III, for three or four objectives, with a population of 20.",
    "gp": "Optuna's Gaussian process; slow beyond some hundred trials.",
    "random": "Random candidates, nothing learnt.",
}
"""What each does, in a line."""


def seed_of(job_seed: int, number: int, purpose: str) -> int:
    """Return the 32-bit seed of one use of randomness, independent between uses."""
    text = f"{job_seed}/{number}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
