"""Answers about which choices matter."""

from __future__ import annotations

from pydantic import Field

from api.schemas.problem import Answer


class ChoiceShare(Answer):
    """One choice of the space."""

    choice: str = Field(description="Its name; an asterisk stands for the number of a layer.")
    share: float = Field(
        description="What the choice alone explains of the variance of the objective, 0 to 1: of one that is made for "
        "every layer, how many layers have which option. Choices that act together explain less alone."
    )


class QualityModel(Answer):
    """The model that quality is taken from, since nobody trains the whole space."""

    trials: int = Field(description="Evaluations that it has learnt from.")
    explains: float = Field(
        description="Share of the variance of their values that it foretells, each left out in turn; at 0 it knows "
        "nothing, and neither do the shares."
    )


class ObjectiveImportance(Answer):
    """The choices for one objective."""

    objective: str
    model: QualityModel | None = Field(description="Null for what is known before training.")
    choices: list[ChoiceShare] | None = Field(
        description="The weightiest first. Null where fewer than ten evaluations are there to learn a quality from, "
        "or where fewer than a hundred of the sampled candidates keep the limits."
    )


class Importance(Answer):
    """Which choices matter, over a sample of the space in which every depth is equally likely."""

    sampled: int
    within_limits: int = Field(description="Of these, how many keep the limits on what is known before training.")
    objectives: list[ObjectiveImportance]
