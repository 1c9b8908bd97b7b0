"""A person's own data: what becomes of a file that is all right."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_files import PAIRS, REVIEWS, STORY, pairs, prepared, reviews, sentences, story

from nas.cache import cache_directory
from nas.errors import InvalidInput, PocketformerError
from nas.quality.datasets import load
from nas.quality.datasets.dataset import majority_error_rate, unigram_loss
from nas.quality.datasets.described import vocabulary_from
from nas.quality.datasets.own import gathering, split_writer
from nas.quality.datasets.own.document import OwnData, PinnedData
from nas.quality.datasets.own.examples import UNIT_CHARACTERS, units
from nas.quality.datasets.own.prepared import open_prepared, prepared_folder, remove_old_prepared
from nas.quality.datasets.own.preparing import prepare
from nas.quality.datasets.splits import SPLITS, comparison_key
from nas.quality.datasets.vocabulary import END
from nas.quality.tasks import TASKS
from nas.workload import Workload

EVERY = [(REVIEWS, reviews), (PAIRS, pairs), (STORY, story)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def texts_of(dataset, split):
    """Return what is read in a split, decoded again."""
    vocabulary, inputs = vocabulary_from(dataset.info.vocabulary), dataset.split(split).inputs
    return [vocabulary.decode(inputs[row]) for row in range(len(inputs))]


def targets_of(dataset, split):
    vocabulary, targets = vocabulary_from(dataset.info.output_vocabulary), dataset.split(split).targets
    return [vocabulary.decode(targets[row]) for row in range(len(targets))]


def test_reviews_become_texts_with_their_classes(tmp_path):
    dataset = prepared(tmp_path, REVIEWS, reviews())
    info = dataset.info
    assert (info.name, info.task, info.classes) == ("reviews.csv", "sequence-classification", ("1", "2", "3"))
    assert sum(info.examples.values()) == 400
    word = {"1": "great", "2": "bad", "3": "odd"}
    for split in SPLITS:
        labels = dataset.split(split).labels
        for text, label in zip(texts_of(dataset, split), labels, strict=True):
            assert text.endswith(f'"really" {word[info.classes[label]]}')


def test_pairs_keep_both_sides_and_an_end(tmp_path):
    dataset = prepared(tmp_path, PAIRS, pairs())
    assert dataset.info.metrics == ("token_error_rate", "exact_error_rate", "loss")
    for split in SPLITS:
        assert [text.upper() for text in texts_of(dataset, split)] == targets_of(dataset, split)
        targets = dataset.split(split).targets
        assert set(targets.tokens[targets.offsets[1:] - 1].tolist()) == {END}


def test_a_story_is_kept_by_paragraphs_in_its_order(tmp_path):
    dataset = prepared(tmp_path, STORY, story())
    every = story().decode().split("\n\n")
    for split in SPLITS:
        kept = texts_of(dataset, split)
        assert kept == [paragraph for paragraph in every if paragraph in set(kept)]
        assert dataset.split(split).text_bytes == sum(len(text.encode()) for text in kept)
    assert sum(dataset.info.examples.values()) == len(every)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("document", "make"), EVERY)
def test_encodings_and_line_ends_change_nothing(tmp_path, document, make, encoding, end):
    plain = prepared(tmp_path, document, make())
    text = make().replace(b"\n", end).decode()
    other = prepared(tmp_path, document, text.encode(encoding))
    assert other.info.sha256 == plain.info.sha256
    assert texts_of(other, "train") == texts_of(plain, "train")


def test_tsv_jsonl_and_csv_of_the_same_rows_are_the_same_data(tmp_path):
    rows = [(text.replace(",", ""), index % 2) for index, text in enumerate(sentences(300))]
    files = {
        "a.csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows),
        "a.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
        "a.jsonl": "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows),
    }
    document = {"task": "sequence-classification", "columns": {"text": "text", "label": "label"}}
    every = [prepared(tmp_path, {**document, "file": name}, text.encode()) for name, text in files.items()]
    assert len({dataset.info.sha256 for dataset in every}) == 1
    as_json = prepared(tmp_path, {**document, "file": "a.dat", "format": "jsonl"}, files["a.jsonl"].encode())
    assert as_json.info.sha256 == every[0].info.sha256


def test_a_quote_in_tsv_is_a_character(tmp_path):
    text = "text\n" + "".join(f'"{line}\n' for line in sentences(300))
    dataset = prepared(
        tmp_path, {"file": "a.tsv", "task": "language-model", "columns": {"text": "text"}}, text.encode()
    )
    assert all(kept.startswith('"') for kept in texts_of(dataset, "train"))


# Splits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "make"), EVERY)
def test_rows_added_at_the_end_move_nothing(tmp_path, document, make):
    before = prepared(tmp_path, document, make(400) + (b"\n\n" if document is STORY else b""))
    after = prepared(tmp_path, document, make(500))
    for split in SPLITS:
        kept = texts_of(before, split)
        assert texts_of(after, split)[: len(kept)] == kept
    assert sum(after.info.examples.values()) == 500


@pytest.mark.parametrize(("document", "make"), EVERY)
def test_no_text_stands_in_two_splits(tmp_path, document, make):
    content = make(400)
    body = content if document is not REVIEWS else content.partition(b"\n")[2]
    louder = body.replace(b"the", b"THE!!") if document is not PAIRS else body.replace(b" the", b"  THE!!")
    between = b"\n\n" if document is STORY else b""
    dataset = prepared(tmp_path, document, content + between + louder)
    keys = {split: {comparison_key(text) for text in texts_of(dataset, split)} for split in SPLITS}
    assert sum(dataset.info.examples.values()) == 800
    assert sum(map(len, keys.values())) == len(set.union(*keys.values()))


@given(st.text() | st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_comparison_key_is_the_slow_one(text):
    assert comparison_key(text) == re.sub(r"[\W_]+", " ", text.casefold()).strip()


def test_texts_without_letters_are_spread_over_the_splits(tmp_path):
    rng = random.Random(0)
    rows = [("".join(rng.choices("🙂🙁🚀!?", k=12)), n % 2) for n in range(400)]
    dataset = prepared(tmp_path, REVIEWS, ("review,stars\n" + "".join(f"{t},{n}\n" for t, n in rows)).encode())
    assert min(dataset.info.examples.values()) > 15


# Units of plain text -----------------------------------------------------------------------------------------


def of(text):
    return list(units([text.encode()]))


def test_paragraphs_are_parted_by_blank_lines_and_a_text_without_them_by_lines():
    assert of("a\nb\n\n \nc\n") == ["a\nb", "c"]
    assert of("\n\na\nb\nc") == ["a", "b", "c"]
    assert of("a\nb\n\n") == ["a", "b"]
    assert of("a\r\nb\r\n\r\nc") == ["a\nb", "c"]


def test_a_long_paragraph_is_cut_at_the_end_of_a_line_and_a_long_line_anywhere():
    line = "x" * 999
    parts = of("short\n\n" + "\n".join([line] * 200))
    assert parts[0] == "short"
    assert all(len(part) <= UNIT_CHARACTERS and set(part.split("\n")) == {line} for part in parts[1:])
    parts = of("y" * 3_000_000)
    assert [len(part) for part in parts[:-1]] == [UNIT_CHARACTERS] * (len(parts) - 1)
    assert sum(map(len, parts)) == 3_000_000


@given(st.lists(st.binary(max_size=5)), st.integers(1, 7))
def test_units_do_not_depend_on_how_the_bytes_come(parts, size):
    text = b"".join(parts).decode("utf-8", errors="ignore").replace("\0", "").lstrip("﻿").encode()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    try:
        whole = list(units([text]))
    except InvalidInput:
        with pytest.raises(InvalidInput):
            list(units(pieces))
    else:
        assert list(units(pieces)) == whole


# Long rows and many rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["byte", "character", pytest.param("subword", marks=pytest.mark.long)])
def test_rows_of_a_megabyte_are_a_clean_run(tmp_path, kind):
    filler = " ".join(sentences(30_000))[:1_000_000]
    rows = [f'"{text}, {filler}",{index % 2}\n' if index % 50 == 0 else f'"{text}",{index % 2}\n'
            for index, text in enumerate(sentences(300))]  # fmt: skip
    document = {**REVIEWS, "vocabulary": {"kind": kind}}
    dataset = prepared(tmp_path, document, ("review,stars\n" + "".join(rows)).encode())
    assert dataset.info.length_percentiles["100"] == 65_536
    assert dataset.info.notes == ("6 texts are cut to 65,536 tokens",)


def test_a_row_of_a_megabyte_for_a_language_model_is_whole_in_parts_of_one_split(tmp_path):
    long = " ".join(sentences(30_000))[:1_000_000]
    rows = [long, *sentences(300)]
    content = "".join(json.dumps({"text": text}) + "\n" for text in rows).encode()
    dataset = prepared(tmp_path, {"file": "a.jsonl", "task": "language-model", "columns": {"text": "text"}}, content)
    (holder,) = [split for split in SPLITS if long in "".join(texts_of(dataset, split))]
    assert sum(dataset.info.examples.values()) == 300 + -(-1_000_000 // UNIT_CHARACTERS)
    assert holder


def test_a_pair_with_too_much_to_write_is_left_out_and_said_so(tmp_path):
    content = pairs() + json.dumps({"from": "long", "to": "x" * 5_000}).encode() + b"\n"
    dataset = prepared(tmp_path, PAIRS, content)
    assert sum(dataset.info.examples.values()) == 400
    assert dataset.info.notes == ("1 pairs are left out: more than 4,096 tokens to write",)


def test_rows_without_text_or_answer_are_left_out_and_counted(tmp_path):
    dataset = prepared(tmp_path, REVIEWS, reviews() + b",1\n   ,2\nno stars,\n")
    assert dataset.info.notes == ("3 of 403 rows are left out: no text or no answer",)
    more = prepared(tmp_path, PAIRS, pairs() + b'{"from": null, "to": "x"}\n')
    assert more.info.notes == ("1 of 401 rows are left out: no text or no answer",)


def test_held_out_splits_hold_the_first_of_their_share_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "HELD_OUT_TOKENS", 2_000)
    monkeypatch.setattr(gathering, "HELD_OUT_EXAMPLES", 20)
    monkeypatch.setattr(gathering, "TRAIN_EXAMPLES", 200)
    dataset = prepared(tmp_path, STORY, story(800))
    longest = max(map(len, story(800).split(b"\n\n")))
    for split in ("validation", "test"):
        assert 2_000 <= len(dataset.split(split).inputs.tokens) <= 2_000 + longest + 1
    assert dataset.info.notes[0].startswith("validation holds the first")
    small = prepared(tmp_path, REVIEWS, reviews(400))
    assert small.info.examples == {"train": 200, "validation": 20, "test": 20}
    assert [note.rpartition("; ")[2] for note in small.info.notes] == ["the rest is left out"] * len(small.info.notes)
    assert 1 <= len(small.info.notes) <= 3


@pytest.mark.parametrize(("document", "make"), EVERY)
def test_how_examples_are_batched_while_writing_changes_nothing(tmp_path, document, make, monkeypatch):
    whole = prepared(tmp_path, document, make())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(split_writer, "BATCH_EXAMPLES", 7)
    assert prepared(tmp_path, document, make()).info == whole.info


# Facts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["byte", "character", "subword"])
@pytest.mark.parametrize(("document", "make"), EVERY)
def test_the_facts_agree_with_the_data(tmp_path, document, make, kind):
    dataset = prepared(tmp_path, {**document, "vocabulary": {"kind": kind}}, make())
    info, train, validation = dataset.info, dataset.split("train"), dataset.split("validation")
    assert info.length_percentiles == train.inputs.percentiles()
    assert info.examples == {split: len(dataset.split(split)) for split in SPLITS}
    for split in SPLITS:
        data = dataset.split(split)
        for sequences, size in ((data.inputs, info.vocabulary_size), (data.targets, info.outputs)):
            if sequences is not None:
                assert sequences.offsets[-1] == len(sequences.tokens)
                assert sequences.lengths.min() >= 1
                assert sequences.tokens.max() < size
    if info.task == "sequence-classification":
        assert info.chance["error_rate"] == pytest.approx(majority_error_rate(train.labels, validation.labels))
        assert info.chance["loss"] == pytest.approx(np.log(3), rel=0.1)
    elif info.task == "language-model":
        assert info.chance["loss"] == pytest.approx(unigram_loss(train.inputs, validation.inputs, info.outputs))
    else:
        assert info.chance["loss"] == pytest.approx(unigram_loss(train.targets, validation.targets, info.outputs))
        assert info.output_length_percentiles == train.targets.percentiles()
    assert json.loads(json.dumps(info.to_dict())) == info.to_dict()
    for array in (train.inputs.tokens, train.inputs.offsets, train.labels):
        if array is not None:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


@pytest.mark.parametrize(("document", "make", "output"), [(*EVERY[0], 0), (*EVERY[1], 9), (*EVERY[2], 8)])
def test_every_task_trains_on_arrays_in_files_as_on_arrays_in_memory(tmp_path, document, make, output):
    dataset = prepared(tmp_path, document, make())
    task, split = TASKS[dataset.info.task], dataset.split("train")
    workload = Workload(input_length=16, output_length=output)
    for batch in task.training_batches(split, workload, 8, 20, seed=0):
        assert all(tensor.shape[0] == 8 for tensor in batch)
        assert int(batch[0].max()) < dataset.info.vocabulary_size
        assert int(batch[0].min()) >= 0


def test_the_version_and_the_sha256_follow_the_file_and_the_description(tmp_path):
    first = prepared(tmp_path, REVIEWS, reviews()).info
    characters = prepared(tmp_path, {**REVIEWS, "vocabulary": {"kind": "character"}}, reviews()).info
    other = prepared(tmp_path, REVIEWS, reviews(401)).info
    assert first.version == characters.version != other.version
    assert len({first.sha256, characters.sha256, other.sha256}) == 3


# Preparing ---------------------------------------------------------------------------------------------------


def pinned(content: bytes) -> PinnedData:
    return PinnedData(own=OwnData.model_validate(REVIEWS), file_sha256=hashlib.sha256(content).hexdigest())


def test_a_file_that_changed_on_its_way_is_refused(tmp_path):
    content = reviews()
    with pytest.raises(InvalidInput, match="the content that was pinned"):
        prepare(lambda: [content, b"late,1\n"], pinned(content), prepared_folder(pinned(content)))
    assert list((cache_directory() / "datasets").iterdir()) == []


def test_what_is_prepared_is_not_read_again():
    def gone():
        raise AssertionError("the file is read again")

    content = reviews()
    prepare(lambda: [content], pinned(content), prepared_folder(pinned(content)))
    prepare(gone, pinned(content), prepared_folder(pinned(content)))
    assert load(pinned(content).model_dump(mode="json", exclude_none=True)).info.name == "reviews.csv"


def test_threads_that_prepare_the_same_all_succeed_and_leave_one_folder():
    content, errors = reviews(), []
    start = threading.Barrier(4)

    def work():
        start.wait()
        try:
            prepare(lambda: [content], pinned(content), prepared_folder(pinned(content)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in (cache_directory() / "datasets").iterdir()] == [pinned(content).key]


def test_what_was_never_prepared_here_says_who_prepares_it():
    with pytest.raises(PocketformerError, match="not prepared on this machine"):
        open_prepared(pinned(reviews()))


def test_what_nobody_opened_for_long_is_removed(monkeypatch):
    content = reviews()
    folder = prepared_folder(pinned(content))
    prepare(lambda: [content], pinned(content), folder)
    remove_old_prepared()
    assert folder.exists()
    os.utime(folder, (0, 0))
    open_prepared(pinned(content))
    remove_old_prepared()
    assert folder.exists()  # it was opened just now
    os.utime(folder, (0, 0))
    remove_old_prepared()
    assert not folder.exists()
