"""Exact costs of an architecture: parameters, multiply-adds, memory; one by one, vectorised, and their reach."""

from nas.costs.bounds import Bounds, Limit, reach
from nas.costs.costs import COST_NAMES, Costs, cost_names, costs_of
from nas.costs.kept_counts import keep_counts
from nas.costs.sub_block_costs import macs_of_call, parameters_of_sub_block
from nas.costs.vectorised import VectorisedCosts

__all__ = [
    "COST_NAMES",
    "Bounds",
    "Costs",
    "Limit",
    "VectorisedCosts",
    "cost_names",
    "costs_of",
    "keep_counts",
    "macs_of_call",
    "parameters_of_sub_block",
    "reach",
]
