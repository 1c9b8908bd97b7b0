"""The metrics that a task can report."""

import math

import pytest

from nas.errors import InvalidInput
from nas.quality.datasets import dataset_info, dataset_names
from nas.quality.metrics import METRICS, metric


def test_every_metric_of_every_dataset_is_known():
    for name in dataset_names():
        for reported in dataset_info(name).metrics:
            assert metric(reported).name == reported


def test_a_worst_value_is_finite_so_that_a_hypervolume_can_be_taken():
    assert all(math.isfinite(m.worst) for m in METRICS.values())


@pytest.mark.parametrize("name", ["accuracy", "", None, 1])
def test_an_unknown_metric_is_refused_with_the_known_ones(name):
    with pytest.raises(InvalidInput, match=", ".join(METRICS)) as refused:
        metric(name)
    assert refused.value.problems[0].field == "task.metric"
