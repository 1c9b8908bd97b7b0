"""Answers about how a front is to be read."""

from __future__ import annotations

from pydantic import Field

from api.schemas.job import Limit, Objective
from api.schemas.problem import Answer


class ProxyNoise(Answer):
    """How much the quality differs between seeds of one architecture, after the search's training."""

    deviation: float = Field(description="Standard deviation, pooled over architectures.")
    degrees: int = Field(description="Of freedom: trainings less architectures.")


class Candidate(Answer):
    """A trial that may be non-dominated."""

    trial: int
    on_front: bool
    probability: float = Field(description="That it is, given what is uncertain; within about .01.")


class MeasureNext(Answer):
    """The trial whose place is least certain, and which of its figures leaves most open."""

    trial: int
    probability: float
    metric: str


class Exchange(Answer):
    """One step along the front of a cost and a quality."""

    from_trial: int
    to_trial: int
    more: float = Field(description="What it costs more, in the cost's unit.")
    gain: float = Field(description="What it is better by, in the quality's unit.")
    rate: float = Field(description="Gain a unit of cost.")


class Exchanges(Answer):
    """What more of a cost buys, from the cheapest member of their front to the dearest."""

    cost: str
    quality: str
    steps: list[Exchange]


class DeviceLoss(Answer):
    """What a member loses on one device."""

    device: str
    loss: float = Field(description="Of the quality, in its unit, against the best trial that is as fast there.")
    instead: int = Field(description="That trial: the member itself where nothing is lost.")


class SharedMember(Answer):
    """A member of the front as the one model for all devices of the job."""

    trial: int
    losses: list[DeviceLoss]


class Forecast(Answer):
    """What more of the search would bring, going on as it did."""

    hours: float
    evaluations: int = Field(description="As many as these hours would take in, at the pace of the last twenty.")
    hypervolume: float = Field(description="As it is now.")
    gain: float = Field(description="What they would add to it: each doubling a share of what the last one added.")


class Reading(Answer):
    """Who is really on a front, what more of a cost buys, and what to measure next."""

    noise: ProxyNoise | None = Field(description="Null where no architecture was trained under two seeds: `finish`.")
    uncertain: list[str] = Field(description="The objectives whose errors are known, and so counted.")
    candidates: list[Candidate] | None = Field(
        description="The members, and others that are on the front with probability .05 or more, the likeliest first. "
        "Null where no error is known."
    )
    measure_next: MeasureNext | None
    exchanges: list[Exchanges]
    shared: list[SharedMember] | None = Field(
        description="What each member loses on each device against a trial made for that device alone. Null for a job "
        "on fewer than two devices, or a front without a quality."
    )
    forecast: Forecast | None = Field(
        description="Null with fewer than sixteen evaluations, or under objectives that the job has no reference for."
    )


class NextPick(Answer):
    """The next step along the front: what a higher limit buys."""

    trial: int
    more: float = Field(description="What it costs more, in the cost's unit.")
    gain: float = Field(description="What it is better by, in the quality's unit.")
    rate: float = Field(description="Gain a unit of cost.")
    within_noise: bool | None = Field(
        description="Whether two seeds of one architecture differ by as much; null where nothing is known of that."
    )


class Pick(Answer):
    """The best trial under every limit from its cost on, until the next one's."""

    trial: int
    cost: float
    quality: float
    lower: float | None = Field(description="Of a predicted latency: the ends of its 90 % interval.")
    upper: float | None
    next: NextPick | None = Field(description="Null for the last one: nothing dearer is better.")


class Picks(Answer):
    """The best trial under every limit on a cost, cheapest first; under a lower limit than the first there is none."""

    cost: Objective
    quality: Objective
    constraints: list[Limit] = Field(description="What all of them keep besides.")
    noise: ProxyNoise | None = Field(description="Of the quality, between seeds; null where it is not known.")
    picks: list[Pick]
