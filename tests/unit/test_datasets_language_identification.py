"""Language identification: what counts as an example, and that nothing scored has been trained on."""

import subprocess
import sys
from collections import Counter, defaultdict
from importlib import metadata, util
from pathlib import Path

import polib
import pytest

from nas.quality.datasets import language_identification, load_dataset
from nas.quality.datasets.described import vocabulary_from
from nas.quality.datasets.language_identification import (
    LANGUAGES,
    SHARED_PREFIX,
    Translation,
    clean,
    split_of_message,
    translations,
    without_ambiguous,
    without_leaks,
)
from nas.quality.datasets.splits import comparison_key
from nas.quality.datasets.subwords import learned_subwords
from nas.quality.datasets.vocabulary import ByteVocabulary

# A release of Django that is not here has other messages: print `nas.quality.datasets.dataset_info(…).sha256`
SHA256_BY_DJANGO = {"5.2.19": "03444d4f7d8acf13552376c2c474b8a89dc0392bce882d50e5e0ff0980dc9f1a"}


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("language-identification")


@pytest.fixture(scope="module")
def texts(dataset):
    """Every text by split, with its language."""
    found = {}
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        found[name] = [
            (dataset.info.classes[label], ByteVocabulary().decode(split.inputs[i]))
            for i, label in enumerate(split.labels)
        ]
    return found


def test_the_parsed_content_of_a_known_django_release_never_changes(dataset):
    installed = metadata.version("Django")
    if installed not in SHA256_BY_DJANGO:
        pytest.skip(f"Django {installed} is not among the releases with a recorded hash: {list(SHA256_BY_DJANGO)}")
    assert dataset.info.version == f"django-{installed}/1"
    assert dataset.info.sha256 == SHA256_BY_DJANGO[installed]


def test_another_process_parses_the_same_content_without_importing_django(dataset):
    code = (
        "import sys; from nas.quality.datasets import dataset_info; "
        "print(dataset_info('language-identification').sha256, 'django' in sys.modules)"
    )
    environment = {"PYTHONHASHSEED": "12345", "LC_ALL": "C"}
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert printed.stdout.split() == [dataset.info.sha256, "False"]


def test_thirty_five_languages_share_some_twenty_thousand_texts_80_10_10(dataset):
    examples = dataset.info.examples
    total = sum(examples.values())
    assert len(LANGUAGES) == dataset.info.outputs == 35
    assert 18_000 < total < 30_000
    assert 0.77 < examples["train"] / total < 0.85
    for held_out in ("validation", "test"):
        assert 0.07 < examples[held_out] / total < 0.13


def test_no_text_stands_in_two_splits_or_two_languages(texts):
    keys = [(split, language, comparison_key(text)) for split in texts for language, text in texts[split]]
    assert len({key for _, _, key in keys}) == len(keys)


def test_no_training_text_begins_like_a_held_out_text_of_its_language(texts):
    def beginnings(split):
        return {(language, comparison_key(text)[:SHARED_PREFIX]) for language, text in texts[split]}

    assert not beginnings("train") & (beginnings("validation") | beginnings("test"))
    assert not beginnings("validation") & beginnings("test")


def test_translations_of_one_message_stand_in_one_split(texts):
    """Read the catalogues again, apart from the parser under test, and follow every message."""
    folder = Path(util.find_spec("django").origin).parent
    messages_of = defaultdict(set)
    for language in LANGUAGES:
        for path in folder.rglob(f"locale/{language}/LC_MESSAGES/*.po"):
            for entry in polib.pofile(str(path)):
                for translated in (entry.msgstr, *entry.msgstr_plural.values()):
                    messages_of[language, clean(translated)].add(entry.msgid)
    splits_of_message = defaultdict(set)
    for split, examples in texts.items():
        for example in examples:
            assert messages_of[example], f"{example} is no translation of anything"
            if len(messages_of[example]) == 1:  # of a text that translates several, the most held-out split wins
                splits_of_message[next(iter(messages_of[example]))].add(split)
    assert len(splits_of_message) > 500
    assert {m: s for m, s in splits_of_message.items() if len(s) > 1} == {}


def test_messages_that_differ_in_placeholders_case_or_punctuation_share_a_split():
    variants = ["Add %s", "add %(name)s", "Add {name}!", "<b>Add</b>", "ADD"]
    assert len({split_of_message(variant) for variant in variants}) == 1


def test_the_split_of_messages_is_even_and_fixed():
    shares = Counter(split_of_message(f"message {i}") for i in range(5000))
    assert shares["train"] == pytest.approx(4000, abs=120)
    assert shares["validation"] == pytest.approx(500, abs=90)
    assert split_of_message("Add") == "train"


def test_the_majority_error_rate_is_that_of_always_answering_the_most_frequent_language(dataset, texts):
    languages = [language for language, _ in texts["train"]]
    majority = max(LANGUAGES, key=languages.count)
    wrong = sum(language != majority for language, _ in texts["validation"])
    assert dataset.info.chance["error_rate"] == wrong / len(texts["validation"])


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("%(count)d  objektů\n vybráno", "objektů vybráno"),
        ("Přidat %s", "Přidat"),
        ("%02d h", "h"),
        ("100%% hotovo", "100 hotovo"),
        ("{name} &amp; přátelé", "& přátelé"),
        ("{{ user }} píše {% now %}", "píše"),
        ('<a href="%(url)s">Přidat</a> další', "Přidat další"),
        ("viz https://www.djangoproject.com/ a tak", "viz a tak"),
        ("e\u0301l", "él"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_placeholders_and_markup_are_taken_out(raw, cleaned):
    assert clean(raw) == cleaned


def test_only_translations_that_count_are_read(tmp_path):
    folder = tmp_path / "app" / "locale" / "cs" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (tmp_path / "app" / "locale" / "ru" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "app" / "locale" / "ru" / "LC_MESSAGES" / "django.po").write_text(
        'msgid "Save"\nmsgstr "Сохранить"\n', "utf-8"
    )
    (folder / "django.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "Save"\nmsgstr "Uložit"\n\n'
        '#, fuzzy\nmsgid "Load"\nmsgstr "Načíst"\n\n'
        '#~ msgid "Old"\n#~ msgstr "Starý"\n\n'
        'msgid "Empty"\nmsgstr ""\n\n'
        'msgid "Django"\nmsgstr "django!"\n\n'
        'msgid "%s at"\nmsgstr "%s v"\n\n'
        'msgid "%d day"\nmsgid_plural "%d days"\nmsgstr[0] "%d den"\nmsgstr[1] "%d dny"\nmsgstr[2] "%d days"\n',
        "utf-8",
    )
    found = [(t.language, t.text) for t in translations(tmp_path)]
    assert found == [("cs", "Uložit"), ("cs", "den"), ("cs", "dny")]


def test_a_text_of_two_languages_is_dropped_from_both():
    danish, norwegian, swedish = (
        Translation("da", "Gem", "gem", "train"),
        Translation("nb", "gem.", "gem", "test"),
        Translation("sv", "Spara", "spara", "train"),
    )
    assert without_ambiguous([danish, norwegian, swedish]) == [swedish]


def test_of_equal_or_equally_beginning_texts_the_most_held_out_is_kept():
    long = "det går inte att spara den här filen"
    texts = [
        Translation("sv", "Spara", "spara", "train"),
        Translation("sv", "spara", "spara", "validation"),
        Translation("sv", "Spara!", "spara", "validation"),
        Translation("sv", long, long, "train"),
        Translation("sv", long + " nu", long + " nu", "test"),
        Translation("da", "Gem", "gem", "train"),
    ]
    assert without_leaks(texts) == [texts[1], texts[4], texts[5]]


# In subwords -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_subwords():
    return load_dataset("language-identification-subwords")


def test_the_dataset_in_subwords_has_the_same_texts_in_the_same_splits(in_subwords, dataset, texts):
    vocabulary = vocabulary_from(in_subwords.info.vocabulary)
    assert vocabulary.size == in_subwords.info.vocabulary_size == 1000
    for name, known in texts.items():
        split = in_subwords.split(name)
        found = [
            (in_subwords.info.classes[label], vocabulary.decode(split.inputs[i]))
            for i, label in enumerate(split.labels)
        ]
        assert found == known
        assert split.inputs.lengths.sum() < 0.6 * dataset.split(name).inputs.lengths.sum()


def test_subwords_are_learned_from_train_alone(in_subwords, texts):
    learned = learned_subwords([text for _, text in texts["train"]], 1000)
    assert in_subwords.info.vocabulary == learned.describe()


def test_other_subwords_are_another_dataset(in_subwords, dataset):
    other = language_identification.dataset_of("other", "other", lambda texts: learned_subwords(texts, 900))
    assert len({other.info.sha256, in_subwords.info.sha256, dataset.info.sha256}) == 3
