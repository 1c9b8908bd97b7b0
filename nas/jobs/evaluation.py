"""Evaluating one candidate: what runs in an evaluation process, and the processes it runs in."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nas.architecture import Architecture
from nas.cache import cache_directory
from nas.documents import validate
from nas.errors import PocketformerError
from nas.export.config import software
from nas.export.weights import weights_to_bytes
from nas.quality.datasets import load_dataset
from nas.quality.head_confidence import head_confidence
from nas.quality.score import score_weights
from nas.quality.training import TrainingPlan, Trunk
from nas.search.evaluation import Evaluation
from nas.workload import Workload

log = logging.getLogger(__name__)

TRUNKS = "trunks"
TRUNK_DAYS = 7
NOT_OF_TRUNK = ("steps", "goes_on", "in_full")
"""Of an assignment, what changes no bit of the trunk."""


@dataclass(frozen=True)
class Assignment:
    """What an evaluation process needs to know, as plain values that travel between processes."""

    architecture: dict[str, Any]
    dataset: str
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


def evaluate(assignment: Assignment) -> Evaluation:
    """Train one candidate and return its metrics and weights, or the error that ended it.

    Runs in an evaluation process. A candidate that fails is a failed trial with its reason, never a dead job.
    """
    started = time.perf_counter()
    try:
        dataset = load_dataset(assignment.dataset)
        if dataset.info.sha256 != assignment.dataset_sha256:
            raise PocketformerError(
                f"the dataset {assignment.dataset} here has sha256 {dataset.info.sha256}, the job was submitted "
                f"with {assignment.dataset_sha256}: install the same release of the package that carries it"
            )
        plan = validate(TrainingPlan, assignment.training)
        checkpoint = trunk_file(assignment)
        architecture = Architecture.from_dict(assignment.architecture)
        workload = validate(Workload, assignment.workload)
        trunk = Trunk(
            architecture,
            dataset,
            plan,
            workload=workload,
            seed=assignment.seed,
            first_rung=assignment.first_rung,
            checkpoint=checkpoint,
            for_steps=assignment.steps,
        )
        result = trunk.score_at(assignment.steps)
        confidence, test_metrics = None, None
        if assignment.in_full:
            confidence = head_confidence(architecture, dataset, workload, assignment.seed)
            if not assignment.goes_on:
                test_metrics = score_weights(architecture, result.state, dataset, "test", workload)
        if not assignment.goes_on:
            checkpoint.unlink(missing_ok=True)
    except Exception as error:
        log.exception("evaluation failed")
        duration_s = time.perf_counter() - started
        return Evaluation(None, None, None, f"{type(error).__name__}: {error}", duration_s)
    training = {
        "label": "trained" if assignment.in_full and not assignment.goes_on else result.label,
        "software": software(),
        "steps": result.steps,
        "steps_taken": result.steps_taken,
        "cpu_s": result.cpu_s,
        "history": [[step, loss] for step, loss in result.history],
    }
    if assignment.in_full:
        training["head_confidence"] = confidence
    weights = weights_to_bytes(result.state)
    return Evaluation(dict(result.metrics), training, weights, None, time.perf_counter() - started, test_metrics)


def trunk_file(assignment: Assignment) -> Path:
    """Return where the trunk of a training lies, named by all that the training depends on.

    Whoever trains the same on this machine goes on there: another worker after a kill, or another rung.
    """
    trained = {name: value for name, value in asdict(assignment).items() if name not in NOT_OF_TRUNK}
    digest = hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()
    return cache_directory() / TRUNKS / f"{digest[:32]}.safetensors"


def remove_old_trunks() -> None:
    """Remove the trunks that nobody has come back to for `TRUNK_DAYS`."""
    oldest = time.time() - TRUNK_DAYS * 24 * 3600
    for path in (cache_directory() / TRUNKS).glob("*"):
        with suppress(FileNotFoundError):  # another worker was there first
            if path.stat().st_mtime < oldest:
                path.unlink()


class EvaluationProcesses:
    """Evaluations on this machine, one core each; a pool that a killed process broke is replaced."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: Executor | None = None

    def submit(self, assignment: Assignment) -> Future[Evaluation]:
        """Start an evaluation; its future raises `BrokenExecutor` if an evaluation process was killed."""
        if self._pool is None:
            self._pool = self._new_pool()
        try:
            return self._pool.submit(evaluate, assignment)
        except BrokenExecutor:
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()
            return self._pool.submit(evaluate, assignment)

    def close(self) -> None:
        """End every evaluation process, without waiting for what they do."""
        pool, self._pool = self._pool, None
        if isinstance(pool, ProcessPoolExecutor):
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:  # a candidate nobody waits for must not keep its core
                process.terminate()

    def _new_pool(self) -> Executor:
        return ProcessPoolExecutor(
            self.processes, mp_context=multiprocessing.get_context("spawn"), initializer=_start_process
        )


def _start_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    torch.set_num_threads(1)  # evaluations run side by side, one core each, and sum in the same order
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the worker is gone, even by kill -9: nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
