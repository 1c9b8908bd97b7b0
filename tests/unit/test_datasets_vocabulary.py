"""Vocabularies: what goes in comes out, and the numbers are the documented ones."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_files import sentences

from nas.documents import parse_document, to_yaml
from nas.errors import InvalidInput
from nas.quality.datasets.characters import CharacterVocabulary, commonest_characters
from nas.quality.datasets.described import vocabulary_from
from nas.quality.datasets.subwords import SubwordVocabulary, learned_subwords
from nas.quality.datasets.vocabulary import END, PADDING, SPECIAL, UNKNOWN, ByteVocabulary, SymbolVocabulary

BYTES = ByteVocabulary()


@given(st.text())
def test_every_text_comes_back_from_its_bytes(text):
    assert BYTES.decode(BYTES.encode(text)) == text


@given(st.text(min_size=1))
def test_bytes_of_text_are_never_special_and_always_in_the_vocabulary(text):
    tokens = BYTES.encode(text)
    assert tokens.min() >= SPECIAL
    assert tokens.max() < BYTES.size
    assert len(tokens) == len(text.encode("utf-8"))


def test_the_numbers_of_bytes_are_those_of_byt5():
    assert BYTES.size == 259
    assert BYTES.encode("Aé").tolist() == [65 + 3, 0xC3 + 3, 0xA9 + 3]


def test_special_tokens_and_a_character_cut_in_two_decode_to_nothing():
    assert BYTES.decode(np.array([PADDING, *BYTES.encode("né")[:-1], END])) == "n"


@given(st.lists(st.sampled_from(["AA", "B", "CH"]), max_size=9))
def test_symbols_come_back_and_what_is_not_in_the_vocabulary_is_unknown(symbols):
    vocabulary = SymbolVocabulary(("AA", "B", "CH"))
    text = " ".join(symbols)
    assert vocabulary.size == 6
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode(f"{text} ZZ").tolist()[-1] == UNKNOWN


def test_without_a_separator_each_character_is_a_symbol():
    vocabulary = SymbolVocabulary(tuple("abc"), "")
    assert vocabulary.encode("cab!").tolist() == [5, 3, 4, UNKNOWN]
    assert vocabulary.decode([5, 3, 4, END]) == "cab"


def test_a_vocabulary_describes_itself_as_what_builds_it_anew():
    described = SymbolVocabulary(("AA", "B")).describe()
    assert described["special"] == {"padding": 0, "end": 1, "unknown": 2}
    anew = SymbolVocabulary(tuple(described["symbols"]), described["separator"])
    assert anew.encode("B AA").tolist() == [4, 3]
    assert BYTES.describe()["type"] == "bytes"


# Learned ones ------------------------------------------------------------------------------------------------

TEXTS = sentences(300)
SUBWORDS = learned_subwords(TEXTS, 400)


@given(st.lists(st.text(), max_size=5), st.integers(1, 10))
def test_the_commonest_characters_are_those_that_counting_one_by_one_finds(texts, most):
    counts = Counter(character for text in texts for character in text if character != "\0")
    expected = sorted(counts, key=lambda character: (-counts[character], character))[:most]
    assert commonest_characters(texts, most) == "".join(expected)


@given(st.text())
def test_characters_come_back_and_others_are_unknown(text):
    vocabulary = CharacterVocabulary("abé犬\n")
    tokens = vocabulary.encode(text)
    assert len(tokens) == len(text)
    assert [token == UNKNOWN for token in tokens] == [character not in "abé犬\n" for character in text]
    assert vocabulary.decode(tokens) == "".join(character for character in text if character in "abé犬\n")


@given(st.text())
def test_every_text_comes_back_from_its_subwords(text):
    tokens = SUBWORDS.encode(text)
    assert SUBWORDS.decode(tokens) == text
    assert len(tokens) <= len(text.encode())
    assert all(SPECIAL <= token < SUBWORDS.size for token in tokens)


def test_subwords_make_a_text_shorter_and_keep_to_the_size():
    assert 259 < SUBWORDS.size <= 400
    assert learned_subwords(TEXTS, 300).size == 300
    text = " ".join(TEXTS)
    assert len(SUBWORDS.encode(text)) < 0.6 * len(text.encode())


def test_the_same_subwords_are_learned_from_the_same_text():
    assert learned_subwords(iter(TEXTS), 400) == SUBWORDS


def test_text_that_looks_like_a_special_token_is_text():
    for text in ("<end>", "<pad> <unk> </s> <|endoftext|>"):
        assert SUBWORDS.decode(SUBWORDS.encode(text)) == text


def test_subwords_tokenize_as_the_package_does_with_the_tokenizer_that_it_trained():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"vocab_size": 397, "min_frequency": 2, "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(**options))
    for text in TEXTS[:50]:
        assert SUBWORDS.encode(text).tolist() == [number + SPECIAL for number in tokenizer.encode(text).ids]


@pytest.mark.parametrize(
    "vocabulary",
    [
        BYTES,
        SymbolVocabulary(("AA", "B")),
        SymbolVocabulary(tuple("abc"), ""),
        CharacterVocabulary("ab\n \"'é犬\u2028"),
        SUBWORDS,
        SubwordVocabulary(""),
    ],
    ids=lambda vocabulary: type(vocabulary).__name__,
)
def test_a_vocabulary_is_rebuilt_from_its_description_in_json_and_in_yaml(vocabulary):
    described = vocabulary.describe()
    for read in (json.loads(json.dumps(described)), parse_document(to_yaml(described))):
        assert read == described
        anew = vocabulary_from(read)
        assert anew == vocabulary
        assert anew.encode("a B é 犬").tolist() == vocabulary.encode("a B é 犬").tolist()
        assert [tokens.tolist() for tokens in anew.encode_many(["a", "", "b"])] == [
            vocabulary.encode(text).tolist() for text in ("a", "", "b")
        ]


def test_an_unknown_type_of_vocabulary_is_refused():
    with pytest.raises(InvalidInput, match="bytes, symbols, characters, subwords"):
        vocabulary_from({"type": "words"})
