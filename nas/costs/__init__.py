"""Exact costs of an architecture: parameters, multiply-adds, size; and their reach over a space."""

from nas.costs.bounds import COST_NAMES, reach
from nas.costs.costs import Costs, costs_of, macs_of_sub_block, parameters_of_sub_block, whole_model_macs

__all__ = [
    "COST_NAMES",
    "Costs",
    "costs_of",
    "macs_of_sub_block",
    "parameters_of_sub_block",
    "reach",
    "whole_model_macs",
]
