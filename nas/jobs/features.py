"""What the choices of a space came to in each of many architectures, as a person tells them apart: one column each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.space import Encoded, PartKey, SearchSpace
from nas.space.encoding import NONE

MIXED = "mixed"
"""Stands for layers that do not all have the same."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """One choice, in N architectures."""

    name: str
    options: tuple[str, ...] | None
    """What there is to choose from, in the space's order; None for a number."""
    values: Vector
    """(N,): indices into `options`, or numbers: of one that is chosen for every layer the mean. NaN where none is."""


def features_of(space: SearchSpace, encoded: Encoded) -> list[Feature]:
    """Return the number of layers, and every choice of the space that leaves one."""
    found: list[Feature] = []
    for stack in space.stacks:
        prefix = f"{stack}." if len(space.stacks) > 1 else ""
        depth = (encoded.layers[next(key for key in space.parts if key.stack == stack)] != NONE).sum(axis=1)
        found.append(Feature(f"{prefix}layers", None, depth.astype(np.float64)))
    found += _of_frames(space, encoded)
    for key in space.parts:
        prefix = f"{key.stack}." if len(space.stacks) > 1 else ""
        found += _of_part(space, encoded, key, prefix + ("cross." if key.part == "cross" else ""))
    return found


def _of_frames(space: SearchSpace, encoded: Encoded) -> list[Feature]:
    paths = [dict(frame.path) for frame in space.frames]
    names = dict.fromkeys(name for path in paths for name in path)
    made = (_feature(name, [path.get(name) for path in paths]) for name in names)
    return [Feature(f.name, f.options, f.values[encoded.frames]) for f in made if f is not None]


def _of_part(space: SearchSpace, encoded: Encoded, key: PartKey, prefix: str) -> list[Feature]:
    options, layers = space.parts[key].options, encoded.layers[key]
    there = layers != NONE
    found = []
    for name in dict.fromkeys(name for option in options for name, _ in option.path):
        feature = _feature(prefix + name, [option.get(name) for option in options])
        if feature is None:
            continue
        values = np.where(there, feature.values[layers], np.nan)
        if feature.options is None:
            count = np.maximum((~np.isnan(values)).sum(axis=1), 1)
            mean = np.nansum(values, axis=1) / count
            found.append(Feature(feature.name, None, np.where(np.isnan(values).all(axis=1), np.nan, mean)))
        else:
            alike = np.nanmin(values, axis=1) == np.nanmax(values, axis=1)
            kinds = np.where(alike, np.nanmin(values, axis=1), len(feature.options))
            found.append(Feature(feature.name, (*feature.options, MIXED), kinds))
    return found


def _feature(name: str, values: list[Any]) -> Feature | None:
    """Return what is chosen in each place; None where there is no choice."""
    known = list(dict.fromkeys(value for value in values if value is not None))
    if len(known) < 2:
        return None
    if all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        return Feature(name, None, np.array([np.nan if value is None else value for value in values], dtype=np.float64))
    places = [np.nan if value is None else known.index(value) for value in values]
    return Feature(name, tuple("yes" if v is True else "no" if v is False else str(v) for v in known), np.array(places))
