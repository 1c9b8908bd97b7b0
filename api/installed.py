"""Files that come out of installed packages: plotly's JavaScript, Swagger UI and ReDoc. Nothing is fetched."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from nas.errors import PocketformerError


@cache
def folder_of(package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PocketformerError(f"The package {package} is not installed: run `pip install pocketformer` again.")
    return Path(spec.submodule_search_locations[0])


@cache
def version_of(distribution: str) -> str:
    """Return the installed version of a distribution."""
    return version(distribution)
