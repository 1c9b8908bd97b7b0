"""The schedule of the learning rate: warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395, section 4: WSD)."""

from __future__ import annotations

WARM_UP, DECAY = 0.1, 0.4
"""Shares of the steps; the rest between them is at the full rate. The warm-up is that of the first rung."""


def decay_start(steps: int) -> int:
    """Return the step, from 0, at which the decay of a schedule of so many steps begins."""
    return steps - max(1, round(steps * DECAY))


def warm_up_steps(first_rung: int) -> int:
    """Return the steps of the warm-up."""
    return max(1, round(first_rung * WARM_UP))


def schedule(step: int, steps: int, first_rung: int | None = None) -> float:
    """Return the share of the full learning rate at a step: linear warm-up, stable, linear decay (WSD)."""
    decay = steps - decay_start(steps)
    return min(1.0, (step + 1) / warm_up_steps(first_rung or steps), (steps - step) / decay)
