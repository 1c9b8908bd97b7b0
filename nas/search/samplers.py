"""The samplers that a job can name: one registry line each.

A sampler is built anew for every proposal, seeded by (job seed, trial number), because Optuna doesn't persist the
state of a sampler's random generator: after a crash the same proposals follow.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _tpe(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Grouped multivariate: layers of a conditional space are modelled together, where they exist
        return TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=10, constant_liar=True)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "random": lambda seed: RandomSampler(seed=seed),
}


def seed_of(job_seed: int, number: int, purpose: str) -> int:
    """Return the 32-bit seed of one use of randomness, independent between uses."""
    text = f"{job_seed}/{number}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
