"""The growth of the hypervolume against the hypervolume of everything so far, row by row."""

import numpy as np
import pytest

from nas.search.front import hypervolume
from nas.search.growth import growth


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_after_every_row_it_is_the_hypervolume_of_all_rows_so_far(objectives, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 12, (60, objectives)).astype(float)
    values[rng.random(60) < 0.1] = np.nan
    maximise = [i % 2 == 1 for i in range(objectives)]
    worst, best = ([8.0, 2.0, 9.0][:objectives], [0.0, 10.0, 1.0][:objectives])
    steps = dict(growth(values, maximise, worst, best))
    reached = 0.0
    for row in range(len(values)):
        reached = steps.get(row, reached)
        assert reached == pytest.approx(hypervolume(values[: row + 1], maximise, worst, best))
    assert list(steps.values()) == sorted(set(steps.values()))


def test_of_nothing_nothing_grows():
    assert growth(np.empty((0, 2)), [False, False], [1, 1], [0, 0]) == []
