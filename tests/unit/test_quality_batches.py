"""Batches: padding, and an order that depends on nothing but the seed."""

import numpy as np
import pytest
import torch

from nas.quality.batches import padded, scoring_batches, training_batches
from nas.quality.datasets import load_dataset
from nas.quality.datasets.dataset import Example, Split

SMALL = Split.of([Example("abc", 0), Example("ž", 1), Example("abcdefgh", 2)])


@pytest.fixture(scope="module")
def train():
    return load_dataset("language-identification").split("train")


def rows_of(batches):
    return [tokens.tolist() for tokens, _, _ in batches]


def test_texts_are_cut_to_the_input_length_and_padded_to_the_longest():
    tokens, mask, labels = padded(SMALL, np.array([0, 1, 2]), 5)
    assert tokens.tolist() == [[100, 101, 102, 0, 0], [0xC5 + 3, 0xBE + 3, 0, 0, 0], [100, 101, 102, 103, 104]]
    assert mask.sum(dim=1).tolist() == [3, 2, 5]
    assert labels.tolist() == [0, 1, 2]
    assert (tokens.dtype, mask.dtype, labels.dtype) == (torch.int64, torch.bool, torch.int64)
    assert padded(SMALL, np.array([1]), 5)[0].shape == (1, 2)


def test_one_seed_gives_one_order_and_another_seed_another(train):
    first = rows_of(training_batches(train, 8, 20, 32, seed=3))
    assert first == rows_of(training_batches(train, 8, 20, 32, seed=3))
    assert first != rows_of(training_batches(train, 8, 20, 32, seed=4))


def test_a_longer_training_begins_with_the_batches_of_a_shorter_one(train):
    assert rows_of(training_batches(train, 8, 30, 32, 0))[:20] == rows_of(training_batches(train, 8, 20, 32, 0))


def test_every_example_is_seen_once_before_any_is_seen_twice():
    split = Split.of([Example(chr(97 + i % 26) * (1 + i // 26), i) for i in range(96)])
    batches = list(training_batches(split, 8, 24, 64, seed=1))  # two passes of 12 batches
    labels = [int(label) for _, _, batch in batches for label in batch]
    assert sorted(labels[:96]) == sorted(labels[96:]) == list(range(96))
    assert labels[:96] != labels[96:]


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_any_number_of_steps_is_given(train, batch_size):
    batches = list(training_batches(train, batch_size, 41, 16, seed=0))
    assert [len(labels) for _, _, labels in batches] == [batch_size] * 41


def test_a_batch_larger_than_the_data_is_all_the_data():
    batches = list(training_batches(SMALL, 100, 5, 8, seed=0))
    assert [sorted(labels.tolist()) for _, _, labels in batches] == [[0, 1, 2]] * 5


def test_sorting_by_length_leaves_little_padding(train):
    batches = list(training_batches(train, 32, 100, 64, seed=0))
    real = sum(int(mask.sum()) for _, mask, _ in batches)
    assert real / sum(mask.numel() for _, mask, _ in batches) > 0.9


def test_batches_stay_random_in_length_and_language(train):
    """Short texts stand together, but neither the run of lengths nor a batch's languages follow a pattern."""
    batches = list(training_batches(train, 32, 256, 64, seed=0))
    lengths = np.array([tokens.shape[1] for tokens, _, _ in batches], dtype=float)
    assert abs(np.corrcoef(lengths[:-1], lengths[1:])[0, 1]) < 0.2
    assert np.mean([len(set(labels.tolist())) for _, _, labels in batches]) > 15


def test_scoring_sees_every_example_once(train):
    seen = np.concatenate([labels.numpy() for _, _, labels in scoring_batches(train, 100, 64)])
    assert np.bincount(seen).tolist() == np.bincount(train.labels).tolist()
