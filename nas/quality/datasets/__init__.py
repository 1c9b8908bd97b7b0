"""The datasets that a job can name. To add one, write a file with a `load()` and add its line to `_LOADERS`.

A file that needs a package of the `datasets` extra names it in its `load()` error; nothing is downloaded. A person's
own data is described by the job itself: see `nas.quality.datasets.own`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

from nas.documents import validate
from nas.errors import InvalidInput
from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split
from nas.quality.datasets.kept_info import keep_dataset_infos, kept_facts

_LOADERS: dict[str, str] = {  # name → package.module, imported when the dataset is first asked for
    "language-identification": "nas.quality.datasets.language_identification",
    "language-identification-subwords": "nas.quality.datasets.language_identification_subwords",
    "python-docs": "nas.quality.datasets.python_docs",
    "cmudict": "nas.quality.datasets.cmudict",
    "king-james": "nas.quality.datasets.king_james",
}

_LOADING: dict[str, Lock] = {}
"""Many threads may ask for a dataset at once: one of them parses it, the others wait."""

Reference = str | Mapping[str, Any]
"""The name of a bundled dataset, or a `PinnedData` document: plain values, which travel between processes."""

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Reference",
    "Split",
    "dataset_info",
    "dataset_names",
    "keep_dataset_infos",
    "load",
    "load_dataset",
]


def dataset_names() -> tuple[str, ...]:
    """Return the names of all datasets, whether or not the packages they need are installed."""
    return tuple(_LOADERS)


def dataset_info(name: str) -> DatasetInfo:
    """Return the facts about a dataset; raises as `load_dataset`."""
    _check_name(name)
    return kept_facts(name, lambda: load_dataset(name).info)


def load(reference: Reference) -> Dataset:
    """Return a bundled dataset by its name, or own data that was prepared on this machine.

    Raises as `load_dataset`, and `PocketformerError` for own data that was not prepared here.
    """
    if isinstance(reference, str):
        return load_dataset(reference)
    from nas.quality.datasets.own.document import PinnedData  # noqa: PLC0415  (own data builds on this package)
    from nas.quality.datasets.own.prepared import open_prepared  # noqa: PLC0415

    return open_prepared(validate(PinnedData, reference, "dataset"))


def load_dataset(name: str) -> Dataset:
    """Return a dataset, parsed once a process.

    Raises `InvalidInput` for an unknown name, and `MissingPackage` with the command to run when the package that
    carries the data is not installed.
    """
    _check_name(name)
    with _LOADING.setdefault(name, Lock()):
        return _load(name)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or name not in _LOADERS:
        raise InvalidInput.of("task.dataset", name, ", ".join(_LOADERS), "name one of these datasets")


@cache
def _load(name: str) -> Dataset:
    dataset = import_module(_LOADERS[name]).load()
    assert isinstance(dataset, Dataset)
    return dataset
