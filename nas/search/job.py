"""The job document: what a person asks for, as one YAML or JSON mapping."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from nas.documents import StrictModel, validate
from nas.errors import InvalidInput
from nas.quality.datasets.own.document import OwnData
from nas.quality.evaluators import EvaluatorSpec
from nas.quality.plan import TrainingPlan
from nas.search.finish import LONGER, Finish
from nas.search.plateau import PlateauRule
from nas.search.priority import LEAST, MOST
from nas.search.promotion import Ladder
from nas.search.samplers import SAMPLERS
from nas.search.start import Start
from nas.workload import Workload


class TaskSpec(StrictModel):
    """Which dataset, which of its metrics is the quality, and how candidates are trained."""

    dataset: str | OwnData
    """The name of a bundled one, or a person's own data."""
    metric: str
    training: TrainingPlan = TrainingPlan()
    evaluator: EvaluatorSpec | None = None
    """A function of one's own that scores candidates; without it the dataset's task does."""

    @field_validator("dataset", mode="before")
    @classmethod
    def _dataset_is_named_or_described(cls, value: Any) -> Any:
        # Apart from pydantic's own way with unions, which names every branch of one in a field's path
        if isinstance(value, dict):
            return validate(OwnData, value)
        if not isinstance(value, str | OwnData):
            raise InvalidInput.of("", value, "the name of a dataset, or a mapping of your own data", "correct it")
        return value


class Budget(StrictModel):
    """When the search ends: candidates evaluated, at most so many hours, or when nothing better is found any more."""

    trials: Annotated[int, Field(ge=1, le=100_000)]
    hours: Annotated[float, Field(gt=0, le=10_000)] | None = None
    plateau: PlateauRule | None = None
    """Without it the search goes on although nothing better is found."""


class Promotion(StrictModel):
    """Successive halving: all candidates are trained a little, the better ones longer, few of them in full."""

    rungs: Annotated[int, Field(ge=2, le=8)] = 3
    """How many times a candidate may be scored; the last time after the steps of `task.training`."""
    reduction: Annotated[float, Field(ge=1.5, le=10)] = 3.0
    """A rung has so many times the steps of the one below it, and one of so many candidates goes on to it."""
    cohort: Annotated[int, Field(ge=2, le=1000)] = 12
    """So many candidates compete, in the order in which they were proposed."""


Names = Annotated[tuple[str, ...], Field(max_length=16)]
Priority = Annotated[int, Field(ge=LEAST, le=MOST)]


class JobSpec(StrictModel):
    """One search job, checked for form; `nas.jobs.catalogue` checks that what it names exists."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    search_space: str | dict[str, Any]
    task: TaskSpec
    workload: Workload
    devices: Names = ()
    objectives: Annotated[tuple[str, ...], Field(min_length=2, max_length=4)]
    constraints: Names = ()
    budget: Budget
    promotion: Promotion | None = None
    """Without it every candidate is trained for all of `task.training.steps`."""
    finish: Finish | None = None
    """Whether the job goes on with full trainings after its search; `nas jobs finish` asks for them later."""
    start: Start = Start()
    """Candidates that come before those of the sampler."""
    memory: bool = True
    """Whether scores that earlier jobs came to in the same way are looked up instead of trained again."""
    priority: Priority = 0
    """The higher, the sooner a worker takes the job; `nas jobs priority` changes it later."""
    sampler: str = "cost-aware"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @field_validator("sampler")
    @classmethod
    def _sampler_is_known(cls, value: str) -> str:
        if value not in SAMPLERS:
            raise InvalidInput.of("", value, ", ".join(SAMPLERS), "name one of these samplers")
        return value

    @field_validator("objectives", "devices", "constraints")
    @classmethod
    def _none_stands_twice(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise InvalidInput.of("", list(value), "entries that differ from each other", "remove the repeated one")
        return value

    @property
    def ladder(self) -> Ladder:
        """The rungs that candidates climb."""
        steps, climb = self.task.training.steps, self.promotion
        if climb is None:
            return Ladder((steps,))
        return Ladder.of(steps, climb.rungs, climb.cohort, climb.reduction)

    def finish_ladder(self, finish: Finish) -> Ladder:
        """The rungs of a training in full: those that candidates were scored on, and the end."""
        steps = finish.steps or LONGER * self.task.training.steps
        return Ladder((*(rung for rung in self.ladder.steps if rung < steps), steps))

    @classmethod
    def from_document(cls, document: Any) -> JobSpec:
        """Build from plain values; raise `InvalidInput` with one problem for each wrong field."""
        return validate(cls, document)

    def to_document(self) -> dict[str, Any]:
        """Return the document that `from_document` takes, every default written out, as plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


class JobChanges(StrictModel):
    """What can be changed of a job that was submitted."""

    priority: Priority
