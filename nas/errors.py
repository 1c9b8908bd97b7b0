"""One exception tree. A class's docstring is its default message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


class PocketformerError(Exception):
    """Pocketformer could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input: where, what was given, what was allowed, what to do next."""

    field: str
    value: Any
    allowed: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.field}: got {shown(self.value)}; allowed: {self.allowed}; {self.next_step}"

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as JSON values; the given value is shortened to what a person can read."""
        return asdict(self) | {"value": shown(self.value)}


class InvalidInput(PocketformerError, ValueError):
    """The input is not valid."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, field: str, value: Any, allowed: str, next_step: str) -> InvalidInput:
        """Build the error for a single wrong field."""
        return cls([Problem(field, value, allowed, next_step)])

    def under(self, prefix: str) -> InvalidInput:
        """Return the same problems with every field path below `prefix`."""
        return type(self)(
            Problem(".".join(filter(None, (prefix, p.field))), p.value, p.allowed, p.next_step) for p in self.problems
        )


class TooLarge(InvalidInput):
    """The input is larger than what is taken."""


class NotFound(PocketformerError):
    """There is nothing of that name."""


class Conflict(PocketformerError):
    """The request does not fit the present state."""


class IllegalMove(Conflict):
    """That change of state is not allowed."""


class Unauthenticated(PocketformerError):
    """The service asks for a key."""


class Forbidden(PocketformerError):
    """The key is not for that."""


class QuotaExceeded(PocketformerError):
    """The key has as much as it may have."""

    def __init__(self, message: str | None = None, retry_after_s: int | None = None) -> None:
        """`retry_after_s` is after how many seconds the same may succeed, where that is known."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LeaseLost(PocketformerError):
    """Another worker holds the job now; nothing more may be written for it."""


class StoreUnavailable(PocketformerError):
    """The database can't be used now; trying again later may help."""


class ClusterUnavailable(PocketformerError):
    """The Dask cluster can't be used now."""


class MeasurementFailed(PocketformerError):
    """The measurement did not come to a valid result."""


class DeviceLost(MeasurementFailed):
    """The device can't be reached any more."""


class MissingEntry(PocketformerError):
    """The latency table has no entry for a sub-block."""


class UncountedOperator(PocketformerError):
    """fvcore met a matmul-class operator that it has no rule for."""


class MissingPackage(PocketformerError):
    """A package of an optional extra is not installed."""


class TrainingDiverged(PocketformerError):
    """Training produced a loss that is not finite."""


class EvaluatorFailed(PocketformerError):
    """The job's own evaluator can't be used, or did not return what the job declares."""


class SpaceExhausted(PocketformerError):
    """Every reachable architecture of the space that keeps the limits has been tried."""


def shown(value: Any, limit: int = 80) -> str:
    """Return `value` as text of at most `limit` characters for a message: both ends of what is longer."""
    if isinstance(value, Mapping) and len(value) > 8:
        return f"a mapping of {len(value)} keys"
    text = repr(value)
    if len(text) <= limit:
        return text
    tail = limit // 2  # the end of a path says more than its beginning
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"
