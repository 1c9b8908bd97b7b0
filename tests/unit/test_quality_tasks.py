"""Tasks: what their batches hold, in which order, and that their figures are those of an independent count."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import InvalidInput
from nas.quality.datasets import load_dataset
from nas.quality.datasets.dataset import Split
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.vocabulary import END, PADDING, ByteVocabulary
from nas.quality.task_shapes import task_shape
from nas.quality.tasks import TASKS
from nas.quality.tasks.classification import padded
from nas.quality.tasks.sequence_to_sequence import edit_distance
from nas.quality.tasks.task import IGNORED, READ_AHEAD, READ_AHEAD_BYTES, read_ahead, scoring_rows, training_rows
from nas.workload import Workload

encode = ByteVocabulary().encode
CLASSIFY, MODEL, REWRITE = (
    TASKS[name] for name in ("sequence-classification", "language-model", "sequence-to-sequence")
)
SMALL = Split(Sequences.of(map(encode, ["abc", "ž", "abcdefgh"])), np.array([0, 1, 2]))


@pytest.fixture(scope="module")
def train():
    return load_dataset("language-identification").split("train")


def batches(split, batch_size, steps, length, seed):
    return list(CLASSIFY.training_batches(split, Workload(input_length=length), batch_size, steps, seed))


def rows_of(found):
    return [batch[0].tolist() for batch in found]


# Reading ahead -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, READ_AHEAD, READ_AHEAD + 1, 3 * READ_AHEAD + 2])
def test_reading_ahead_changes_no_batch_and_no_order(count):
    numbers = [(torch.tensor([number]),) for number in range(count)]
    assert list(read_ahead(iter(numbers))) == numbers


@pytest.mark.parametrize(("size", "made"), [(READ_AHEAD_BYTES, READ_AHEAD), (READ_AHEAD_BYTES + 1, 1)])
def test_only_small_batches_are_made_before_they_are_asked_for(size, made):
    count = 0

    def made_one_by_one():
        nonlocal count
        for _ in range(100):
            count += 1
            yield (torch.empty(size, dtype=torch.uint8),)

    next(read_ahead(made_one_by_one()))
    assert count == made


# Classification ----------------------------------------------------------------------------------------------


def test_texts_are_cut_to_the_input_length_and_padded_to_the_longest():
    tokens, mask, labels = padded(SMALL, np.array([0, 1, 2]), 5)
    assert tokens.tolist() == [[100, 101, 102, 0, 0], [0xC5 + 3, 0xBE + 3, 0, 0, 0], [100, 101, 102, 103, 104]]
    assert mask.sum(dim=1).tolist() == [3, 2, 5]
    assert labels.tolist() == [0, 1, 2]
    assert (tokens.dtype, mask.dtype, labels.dtype) == (torch.int64, torch.bool, torch.int64)
    assert padded(SMALL, np.array([1]), 5)[0].shape == (1, 2)


def test_one_seed_gives_one_order_and_another_seed_another(train):
    first = rows_of(batches(train, 8, 20, 32, seed=3))
    assert first == rows_of(batches(train, 8, 20, 32, seed=3))
    assert first != rows_of(batches(train, 8, 20, 32, seed=4))


def test_every_example_is_seen_once_before_any_is_seen_twice():
    lengths = np.array([1 + i // 26 for i in range(96)])
    seen = np.concatenate(list(training_rows(lengths, 8, 24, seed=1)))  # two passes of 12 batches
    assert sorted(seen[:96]) == sorted(seen[96:]) == list(range(96))
    assert seen[:96].tolist() != seen[96:].tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_any_number_of_steps_is_given(train, batch_size):
    assert [len(labels) for _, _, labels in batches(train, batch_size, 41, 16, seed=0)] == [batch_size] * 41


def test_a_batch_larger_than_the_data_is_all_the_data():
    assert [sorted(labels.tolist()) for _, _, labels in batches(SMALL, 100, 5, 8, seed=0)] == [[0, 1, 2]] * 5


def test_sorting_by_length_leaves_little_padding(train):
    found = batches(train, 32, 100, 64, seed=0)
    real = sum(int(mask.sum()) for _, mask, _ in found)
    assert real / sum(mask.numel() for _, mask, _ in found) > 0.9


def test_batches_stay_random_in_length_and_language(train):
    """Short texts stand together, but neither the run of lengths nor a batch's languages follow a pattern."""
    found = batches(train, 32, 256, 64, seed=0)
    lengths = np.array([tokens.shape[1] for tokens, _, _ in found], dtype=float)
    assert abs(np.corrcoef(lengths[:-1], lengths[1:])[0, 1]) < 0.2
    assert np.mean([len(set(labels.tolist())) for _, _, labels in found]) > 15


def test_scoring_sees_every_example_once(train):
    seen = np.concatenate(list(scoring_rows(train.inputs.lengths)))
    assert sorted(seen) == list(range(len(train)))


# Every task --------------------------------------------------------------------------------------------------

AT_WORK = {
    "language-identification": Workload(input_length=32),
    "python-docs": Workload(input_length=24, output_length=8),
    "cmudict": Workload(input_length=12, output_length=12),
}


@pytest.mark.parametrize("name", AT_WORK)
def test_a_longer_training_begins_with_the_batches_of_a_shorter_one(name):
    task, split = TASKS[load_dataset(name).info.task], load_dataset(name).split("train")
    longer, shorter = (list(task.training_batches(split, AT_WORK[name], 8, steps, 0)) for steps in (30, 20))
    assert (len(longer), len(shorter)) == (30, 20)
    for first, second in zip(longer, shorter, strict=False):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        ("language-identification", Workload(input_length=32, output_length=4)),
        ("cmudict", Workload(input_length=32)),
    ],
)
def test_lengths_that_a_task_has_not_are_refused(name, workload):
    info = load_dataset(name).info
    with pytest.raises(InvalidInput, match=r"workload\.output_length"):
        task_shape(info, workload)


# Language model ----------------------------------------------------------------------------------------------

TEXT = Split(Sequences.of(np.append(encode(text), END) for text in ("hello world", "abc")), text_bytes=14)


class Uniform(nn.Module):
    """Thinks every one of so many tokens as likely, whatever it reads."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, tokens):
        return torch.zeros(*tokens.shape, self.size)


class Knows(Uniform):
    """Is all but sure that the token after each is one higher."""

    def forward(self, tokens):
        return nn.functional.one_hot((tokens + 1).clamp(max=self.size - 1), self.size) * 100.0


def test_a_window_is_followed_by_the_text_one_token_on():
    text = TEXT.inputs.tokens.tolist()
    for tokens, following in MODEL.training_batches(TEXT, Workload(input_length=3, output_length=1), 2, 9, 0):
        assert tokens.shape == following.shape == (2, 4)
        for window, after in zip(tokens.tolist(), following.tolist(), strict=True):
            assert window[1:] == after[:-1]
            assert any(text[i : i + 4] == window and text[i + 4] == after[-1] for i in range(len(text) - 4))


def test_a_text_shorter_than_the_window_is_one_window():
    ((tokens, following),) = MODEL.training_batches(TEXT, Workload(input_length=500), 2, 1, 0)
    assert tokens[0].tolist() == TEXT.inputs.tokens[:-1].tolist()
    assert following[0].tolist() == TEXT.inputs.tokens[1:].tolist()


@pytest.mark.parametrize("length", [1, 4, 5, 16, 100])
def test_every_token_is_scored_once_whatever_the_window(length):
    info = load_dataset("python-docs").info
    found = MODEL.evaluate(Uniform(300), info, TEXT, Workload(input_length=length))
    assert found["loss"] == pytest.approx(math.log(300))
    assert found["bits_per_byte"] == pytest.approx(16 * math.log2(300) / 14)  # 14 bytes and two ends


def test_a_model_that_knows_what_follows_is_scored_by_what_follows():
    info = load_dataset("python-docs").info
    letters = Split(Sequences.of([np.arange(3, 60)]), text_bytes=57)
    found = MODEL.evaluate(Knows(300), info, letters, Workload(input_length=8))
    # All but the first token (behind the end token, 1, it is not 2)
    assert found["loss"] == pytest.approx(100 / 57, abs=1e-4)


# Sequence to sequence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "wanted", "distance"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("abc", "abc", 0)],
)
def test_the_edit_distance_of_known_pairs(found, wanted, distance):
    assert edit_distance(list(map(ord, found)), list(map(ord, wanted))) == distance


def test_what_is_written_is_the_target_one_token_late():
    split = load_dataset("cmudict").split("train")
    workload = AT_WORK["cmudict"]
    for sources, mask, written, following in REWRITE.training_batches(split, workload, 8, 5, 0):
        assert (written[:, 0] == PADDING).all()
        real = following != IGNORED
        assert torch.equal(written[:, 1:][real[:, 1:]], following[:, :-1][real[:, 1:]])
        assert sources.shape == mask.shape
        assert real[:, 0].all()
        ends = (following == END).sum(dim=1)
        cut = real.sum(dim=1) == workload.output_length
        assert (ends[~cut] == 1).all()
