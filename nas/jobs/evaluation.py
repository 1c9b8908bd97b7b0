"""Evaluating one candidate: what runs in an evaluation process."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.architecture import Architecture
from nas.cache import cache_directory
from nas.documents import validate
from nas.errors import PocketformerError
from nas.export.config import software
from nas.export.weights import weights_to_bytes
from nas.quality.datasets import Reference, load
from nas.quality.evaluators import Candidate, EvaluatorSpec, evaluator_version, score
from nas.quality.head_confidence import head_confidence
from nas.quality.plan import TrainingPlan
from nas.search.evaluation import Evaluation
from nas.workload import Workload

log = logging.getLogger(__name__)

TRUNKS = "trunks"
TRUNK_DAYS = 7
REASON_CHARACTERS = 2000
"""What is kept of an error's message: it stands in the database, and people read it."""
NOT_OF_TRUNK = ("steps", "goes_on", "in_full")
"""Of an assignment, what changes no bit of the trunk."""


@dataclass(frozen=True)
class Assignment:
    """What an evaluation process needs to know, as plain values that travel between processes."""

    architecture: dict[str, Any]
    dataset: Reference
    dataset_sha256: str
    training: dict[str, Any]
    workload: dict[str, Any]
    seed: int
    first_rung: int
    """Steps of the first score that any candidate of the job gets."""
    steps: int
    """Of the training whose score is asked for."""
    goes_on: bool = False
    """Whether a longer training may follow: then the trunk stays."""
    in_full: bool = False
    """Whether this is no search any more: the confidence of the heads is told, and the test split is scored at last."""
    evaluator: dict[str, Any] | None = None
    """The job's own one, as its document says; the worker has made sure that it is allowed."""


def evaluate(assignment: Assignment) -> Evaluation:
    """Train one candidate and return its metrics and weights, or the error that ended it.

    Runs in an evaluation process. A candidate that fails is a failed trial with its reason, never a dead job. Raises
    where the machine is at fault: data that are missing or others would fail every candidate that comes here.
    """
    started = time.perf_counter()
    version: dict[str, Any] = {}
    dataset = load(assignment.dataset)
    if dataset.info.sha256 != assignment.dataset_sha256:
        raise PocketformerError(
            f"the dataset {dataset.info.name} here has sha256 {dataset.info.sha256}, the job was submitted "
            f"with {assignment.dataset_sha256}: install the same release of the package that carries it"
        )
    try:
        if assignment.evaluator is not None:
            version["evaluator"] = evaluator_version(assignment.evaluator["function"])
        plan = validate(TrainingPlan, assignment.training)
        checkpoint = trunk_file(assignment)
        architecture = Architecture.from_dict(assignment.architecture)
        workload = validate(Workload, assignment.workload)
        candidate = Candidate(
            architecture,
            dataset,
            plan.model_copy(update={"steps": assignment.steps}),
            workload=workload,
            seed=assignment.seed,
            first_rung=assignment.first_rung,
            checkpoint=checkpoint,
        )
        scored, started_cpu_s = _scorer(assignment), time.process_time()
        metrics = scored(candidate)
        cpu_s = time.process_time() - started_cpu_s
        confidence, test_metrics = None, None
        if assignment.in_full:
            confidence = head_confidence(architecture, dataset, workload, assignment.seed)
            if not assignment.goes_on:
                test_metrics = scored(candidate.on_test(dataset))
        if not assignment.goes_on:
            checkpoint.unlink(missing_ok=True)
    except BaseException as error:  # an evaluator's SystemExit, too, is no more than its trial's failure
        log.exception("evaluation failed")
        duration_s = time.perf_counter() - started
        return Evaluation(None, version or None, None, _reason_of(error), duration_s)
    result = candidate.trained  # an evaluator of the job's own may train in another way, or not at all
    training: dict[str, Any] = {
        "label": "trained" if assignment.in_full and not assignment.goes_on else "proxy",
        "software": software(),
        "hardware": None if result is None else result.hardware,
        **version,
        "steps": assignment.steps,
        "steps_taken": 0 if result is None else result.steps_taken,
        "cpu_s": cpu_s,
        "history": [] if result is None else [[step, loss] for step, loss in result.history],
    }
    if assignment.in_full:
        training["head_confidence"] = confidence
    weights = None if result is None else weights_to_bytes(result.state)
    return Evaluation(metrics, training, weights, None, time.perf_counter() - started, test_metrics)


def _reason_of(error: BaseException) -> str:
    """Return type and message; an evaluator's exceptions are a stranger's, and may have no message that can be read."""
    try:
        message = str(error)
    except Exception as unreadable:
        message = f"its message can't be read ({type(unreadable).__name__})"
    if len(message) > REASON_CHARACTERS:
        message = f"{message[:REASON_CHARACTERS]}… ({len(message)} characters)"
    return f"{type(error).__name__}: {message}"


def _scorer(assignment: Assignment) -> Callable[[Candidate], dict[str, float]]:
    """Return what scores a candidate: the job's own evaluator, or else the training, by the dataset's metrics."""
    if assignment.evaluator is None:
        return lambda candidate: candidate.train().metrics
    spec = validate(EvaluatorSpec, assignment.evaluator)
    return lambda candidate: score(spec, candidate)


def trunk_file(assignment: Assignment) -> Path:
    """Return where the trunk of a training lies, named by all that the training depends on.

    Whoever trains the same on this machine goes on there: another worker after a kill, or another rung.
    """
    # What is None says nothing of the training: a field that is added later leaves the names of others as they are
    trained = {n: value for n, value in asdict(assignment).items() if n not in NOT_OF_TRUNK and value is not None}
    digest = hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()
    return cache_directory() / TRUNKS / f"{digest[:32]}.safetensors"


def remove_old_trunks() -> None:
    """Remove the trunks that nobody has come back to for `TRUNK_DAYS`."""
    oldest = time.time() - TRUNK_DAYS * 24 * 3600
    for path in (cache_directory() / TRUNKS).glob("*"):
        with suppress(FileNotFoundError):  # another worker was there first
            if path.stat().st_mtime < oldest:
                path.unlink()
