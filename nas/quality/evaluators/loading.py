"""Importing an evaluator, and saying which version of it that was."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nas.errors import EvaluatorFailed
from nas.quality.evaluators.allowed import check_function

if TYPE_CHECKING:
    from nas.quality.evaluators.candidate import Candidate


@dataclass(frozen=True)
class LoadedEvaluator:
    """A function that this process has imported."""

    function: Callable[[Candidate], Any]
    version: dict[str, str | None]
    """See `evaluator_version`."""


@cache
def load_evaluator(name: str) -> LoadedEvaluator:
    """Import `package.module:function`, once a process: what its file holds later does not count.

    Whether it may be imported is for the caller to know. Raises `InvalidInput` where the name is written otherwise,
    `EvaluatorFailed` where there is no such function or its module can't be imported.
    """
    module_name, _, function_name = check_function(name).partition(":")
    try:
        module = import_module(module_name)
    except BaseException as error:  # a module may do anything when it is imported, end the process among it
        raise EvaluatorFailed(
            f"the evaluator {name} can't be imported ({type(error).__name__}: {error}): install its package where the "
            "worker runs, or put its folder on PYTHONPATH"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise EvaluatorFailed(f"the module {module_name} of the evaluator {name} has no function {function_name}")
    distribution = _distribution_of(module_name)
    return LoadedEvaluator(
        function,
        {
            "function": name,
            "distribution": distribution,
            "version": None if distribution is None else version(distribution),
            "sha256": _sha256_of(module),
        },
    )


def evaluator_version(name: str) -> dict[str, str | None]:
    """Return which code a name stands for here: `function`, `distribution`, `version`, `sha256`; raises as importing.

    The distribution is the installed package that the module belongs to, None where none does; `sha256` is of the
    module's source file, None where it has none.
    """
    return load_evaluator(name).version


def _distribution_of(module_name: str) -> str | None:
    found = set(packages_distributions().get(module_name.partition(".")[0], ()))
    # Several distributions may share a namespace: then none can be named without a guess
    return found.pop() if len(found) == 1 else None


def _sha256_of(module: ModuleType) -> str | None:
    try:
        source = inspect.getsourcefile(module)
    except TypeError:  # built in
        return None
    return None if source is None else hashlib.sha256(Path(source).read_bytes()).hexdigest()
