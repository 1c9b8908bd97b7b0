"""Search where some objectives are known before anything is evaluated: samplers for any Optuna study."""

from nas.search.cost_aware.candidates import CandidateSource, Rows
from nas.search.cost_aware.distributions import Condition, DistributionCandidates
from nas.search.cost_aware.sampler import CostAwareSampler
from nas.search.cost_aware.space import SpaceCandidates
from nas.search.cost_aware.stratified import CostStratifiedSampler

__all__ = [
    "CandidateSource",
    "Condition",
    "CostAwareSampler",
    "CostStratifiedSampler",
    "DistributionCandidates",
    "Rows",
    "SpaceCandidates",
]
