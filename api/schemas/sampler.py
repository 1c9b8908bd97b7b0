"""Answers about samplers."""

from __future__ import annotations

from api.schemas.problem import Answer


class SamplerSummary(Answer):
    """What proposes candidates, in a line."""

    name: str
    description: str


class SamplerList(Answer):
    """Every sampler, the one that a job takes by itself first."""

    samplers: list[SamplerSummary]
