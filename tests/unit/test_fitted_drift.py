"""Drift: an injected block is found where it is, and what is no drift is not called so."""

import numpy as np
import pytest
from fitted_rows import hat_csv, made_up

from nas.latency.fitted.drift import find_blocks, screen
from nas.latency.fitted.rows import read_rows


def screened(count=1000, seed=0, change=None, order=None, **kinds):
    rows, latencies = made_up(count, seed, **kinds)
    if change:
        change(latencies, np.random.default_rng(seed))
    if order:
        places = order(rows, latencies)
        rows, latencies = [rows[place] for place in places], latencies[places]
    read = read_rows(hat_csv(rows, latencies))
    return screen(read.columns, read.latencies_ms)


def slowed(first, last, by=0.3, jitter=0.1):
    """Slow a block down, each row by a different amount."""

    def change(latencies, rng):
        latencies[first : last + 1] *= 1 + by + jitter * rng.normal(size=last - first + 1)

    return change


@pytest.mark.parametrize(("first", "last"), [(0, 119), (300, 420), (880, 999), (500, 529)])
@pytest.mark.parametrize("noise", [0.005, 0.04])
def test_a_slow_block_is_found_to_a_few_rows_wherever_it_is(first, last, noise):
    found = screened(change=slowed(first, last), noise=noise)
    (block,) = found.blocks
    assert abs(block.first - first) <= 5
    assert abs(block.last - last) <= 5
    assert block.shift == pytest.approx(0.3, abs=0.08)
    assert int((~found.clean).sum()) == block.last - block.first + 1


def test_a_block_that_began_to_end_in_fits_and_starts_is_found_without_the_rows_between():
    def change(latencies, rng):
        latencies[:120] *= 1.4
        latencies[120:145][rng.random(25) < 0.3] *= 1.4

    (block,) = screened(change=change).blocks
    assert block.first == 0
    assert 115 <= block.last <= 145


def test_two_blocks_and_one_that_is_faster_are_each_found():
    def change(latencies, rng):
        latencies[100:160] *= 1.3
        latencies[400:470] *= 1.5
        latencies[800:860] *= 0.75

    blocks = screened(change=change).blocks
    assert [block.first for block in blocks] == pytest.approx([100, 400, 800], abs=3)
    assert [block.last for block in blocks] == pytest.approx([159, 469, 859], abs=3)
    assert [block.shift for block in blocks] == pytest.approx([0.3, 0.5, -0.25], abs=0.03)


def test_a_block_of_two_fifths_of_the_file_is_found():
    (block,) = screened(change=slowed(200, 599, by=0.25, jitter=0.03)).blocks
    assert (block.first, block.last) == pytest.approx((200, 599), abs=5)


@pytest.mark.parametrize(("noise", "outliers"), [(0.003, 0.0), (0.01, 0.02), (0.05, 0.02), (0.02, 0.1)])
@pytest.mark.parametrize("count", [50, 500])
def test_a_file_without_drift_has_none(noise, outliers, count):
    for seed in range(4):
        found = screened(count, seed, noise=noise, outliers=outliers)
        assert found.blocks == ()
        assert found.clean.all()


def test_a_block_as_small_as_the_noise_is_not_called_drift():
    assert screened(change=slowed(300, 420, by=0.05, jitter=0.0)).blocks == ()


def test_a_block_is_found_when_there_are_only_fifty_rows():
    (block,) = screened(50, change=slowed(20, 33, by=0.5)).blocks
    assert (block.first, block.last) == pytest.approx((20, 33), abs=2)


def test_single_slow_rows_are_counted_and_kept():
    def change(latencies, rng):
        latencies[[50, 300, 301, 700]] *= 1.5

    found = screened(outliers=0.0, noise=0.003, change=change)
    assert {50, 300, 301, 700} <= set(found.outlying)
    assert len(found.outlying) < 10
    assert found.clean.all()


def test_a_file_sorted_by_latency_says_nothing_of_time_and_is_not_searched():
    found = screened(outliers=0.1, order=lambda rows, latencies: np.argsort(latencies))
    assert not found.in_time
    assert found.blocks == ()


def test_the_largest_models_of_a_file_sorted_by_size_are_not_called_drift():
    def order(rows, latencies):
        return np.argsort([row["decoder_layer_num"] for row in rows], kind="stable")

    def change(latencies, rng):
        latencies[latencies > np.quantile(latencies, 0.85)] *= 1.3  # a cache that they no longer fit in

    assert screened(order=order, change=change).blocks == ()


def test_runs_parted_by_undisturbed_rows_are_two_blocks():
    errors = np.zeros(300)
    errors[50:100] = errors[140:200] = 0.3
    errors += 0.005 * np.random.default_rng(0).normal(size=300)
    assert [(block.first, block.last) for block in find_blocks(errors, 0.005)] == [(50, 99), (140, 199)]


def test_the_chance_of_a_block_is_told_for_thousands_of_rows_too():
    errors = np.zeros(12_000)
    errors[2_000:7_000] = 0.3
    assert [(block.first, block.last) for block in find_blocks(errors, 0.01)] == [(2_000, 6_999)]
