"""Python's reference and the pronouncing dictionary: what counts as an example, and nothing scored was trained on."""

import re

import pytest

from nas.quality.datasets import load_dataset
from nas.quality.datasets.cmudict import pairs
from nas.quality.datasets.documents import Document, parts_of
from nas.quality.datasets.python_docs import sections
from nas.quality.datasets.splits import SPLITS, comparison_key, split_of
from nas.quality.datasets.vocabulary import ByteVocabulary, SymbolVocabulary

HELD_OUT = ("validation", "test")


def documents_of(name, split):
    sequences = load_dataset(name).split(split).inputs
    return [ByteVocabulary().decode(sequences[i]) for i in range(len(sequences))]


@pytest.mark.parametrize(("name", "least"), [("python-docs", 1_500), ("king-james", 25_000)])
def test_no_paragraph_stands_in_two_splits_or_twice(name, least):
    keys = {
        split: [comparison_key(part) for text in documents_of(name, split) for part in re.split(r"\n\s*\n", text)]
        for split in SPLITS
    }
    every = [key for part in keys.values() for key in part]
    assert len(every) > least
    assert len(set(every)) == len(every)


def test_the_splits_of_pythons_reference_are_of_a_size_to_train_and_to_score():
    dataset = load_dataset("python-docs")
    sizes = {name: dataset.split(name).text_bytes for name in SPLITS}
    assert sizes["train"] > 250_000
    assert all(sizes[name] > 15_000 for name in HELD_OUT)
    for name in SPLITS:
        assert sizes[name] == sum(len(text.encode()) for text in documents_of("python-docs", name))
    assert dataset.info.chance["bits_per_byte"] == pytest.approx(
        4.7, abs=0.4
    )  # the entropy of English letters and spaces


def test_the_bible_is_kept_by_chapters():
    dataset = load_dataset("king-james")
    assert 1_150 < sum(dataset.info.examples.values()) <= 1_189  # chapters of it; a few are all repeated elsewhere
    assert dataset.split("train").text_bytes > 3_000_000
    every = [text for split in SPLITS for text in documents_of("king-james", split)]
    (first,) = [text for text in every if text.startswith("In the beginning God created the heaven and the earth.\n\n")]
    assert first.count("\n\n") == 30
    assert dataset.info.chance["bits_per_byte"] == pytest.approx(4.4, abs=0.1)


def test_a_topic_is_cut_at_its_headings():
    topic = "Title\n*****\n\nOne.\n\nTwo\nlines.\n\nInner\n=====\n\nThree.\n\n  x = [1]\n  ====\n"
    assert list(sections(topic)) == [
        Document("title", ("Title\n*****", "One.", "Two\nlines.")),
        Document("inner", ("Inner\n=====", "Three.", "  x = [1]\n  ====")),
    ]


def key_in(split, start=0):
    return next(f"document {i}" for i in range(start, 1000) if split_of(f"document {i}") == split)


def test_a_paragraph_of_several_splits_is_kept_in_the_most_held_out_one():
    train, validation, test = (key_in(name) for name in SPLITS)
    shared = [
        Document(key, (f"Only {key}", "In all!", "in two" if key != test else "x")) for key in (train, validation, test)
    ]
    parts = parts_of(shared)
    assert parts == {
        "train": [f"Only {train}"],
        "validation": [f"Only {validation}\n\nin two"],
        "test": [f"Only {test}\n\nIn all!\n\nx"],
    }


def test_documents_never_move_when_others_are_added():
    some = [Document(f"document {i}", (f"text {i}",)) for i in range(200)]
    fewer, more = parts_of(some[::2]), parts_of(some)
    for name in SPLITS:
        assert set(fewer[name]) <= set(more[name])


def pairs_of(split):
    dataset = load_dataset("cmudict")
    part, info = dataset.split(split), dataset.info
    read = SymbolVocabulary(tuple(info.vocabulary["symbols"]), "")
    written = SymbolVocabulary(tuple(info.output_vocabulary["symbols"]), " ")
    return {read.decode(part.inputs[i]): written.decode(part.targets[i]) for i in range(len(part))}


def test_words_are_read_with_their_first_pronunciation_and_without_stress():
    every = {word: sounds for split in SPLITS for word, sounds in pairs_of(split).items()}
    assert every["python"] == "P AY TH AA N"
    assert every["tomato"] == "T AH M EY T OW"
    assert len(every) > 110_000
    assert len({sound for sounds in every.values() for sound in sounds.split()}) == 39


def test_no_word_stands_in_two_splits_even_with_another_apostrophe():
    keys = {split: {re.sub(r"[\W_]", "", word.casefold()) or word for word in pairs_of(split)} for split in SPLITS}
    assert not keys["train"] & (keys["validation"] | keys["test"])
    assert not keys["validation"] & keys["test"]


def test_lines_of_the_dictionary():
    text = "aalborg AO1 L B AO0 R G # place, danish\naalborg(2) AA1 L B AO0 R G\nit's IH1 T S\n"
    assert [(p.key, p.source, p.target) for p in pairs(text)] == [
        ("aalborg", "aalborg", "AO L B AO R G"),
        ("its", "it's", "IH T S"),
    ]
