"""The datasets that a job can name. To add one, write a file with a `load()` and add its line to `_LOADERS`.

A file that needs a package of the `datasets` extra names it in its `load()` error; nothing is downloaded.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from nas.errors import InvalidInput
from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split

_LOADERS: dict[str, str] = {  # name → package.module, imported when the dataset is first asked for
    "language-identification": "nas.quality.datasets.language_identification",
    "python-docs": "nas.quality.datasets.python_docs",
    "cmudict": "nas.quality.datasets.cmudict",
}

__all__ = ["Dataset", "DatasetInfo", "Split", "dataset_info", "dataset_names", "load_dataset"]


def dataset_names() -> tuple[str, ...]:
    """Return the names of all datasets, whether or not the packages they need are installed."""
    return tuple(_LOADERS)


def dataset_info(name: str) -> DatasetInfo:
    """Return the facts about a dataset; raises as `load_dataset`."""
    return load_dataset(name).info


def load_dataset(name: str) -> Dataset:
    """Return a dataset, parsed once a process.

    Raises `InvalidInput` for an unknown name, and `MissingPackage` with the command to run when the package that
    carries the data is not installed.
    """
    if not isinstance(name, str) or name not in _LOADERS:
        raise InvalidInput.of("task.dataset", name, ", ".join(_LOADERS), "name one of these datasets")
    return _load(name)


@cache
def _load(name: str) -> Dataset:
    dataset = import_module(_LOADERS[name]).load()
    assert isinstance(dataset, Dataset)
    return dataset
