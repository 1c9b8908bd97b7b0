"""What simple models of each dataset's kind reach, beside which a Transformer has to be worth its milliseconds.

    python benchmarks/baselines.py                       # all of them
    python benchmarks/baselines.py --dataset python-docs

Language identification: tf–idf of character n-grams (1 to 4) and logistic regression. Python's reference: an
interpolated n-gram model of bytes (Witten and Bell 1991), of the order that is best on validation. cmudict: letters
aligned to phonemes by EM, then each letter spoken as most often between the same neighbours, as many of them as were
seen in train. All train on train, are chosen on validation, and scored once on test as well.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from nas.quality.datasets import Dataset, load_dataset
from nas.quality.datasets.dataset import Split
from nas.quality.datasets.vocabulary import END, ByteVocabulary
from nas.quality.tasks.sequence_to_sequence import edit_distance

INPUT_LENGTH = 64
ORDERS = (2, 3, 4, 5, 6, 7)
EM_ROUNDS = 6
REACH = 4
"""Neighbours on each side that a letter is spoken by, at most."""


Baseline = tuple[str, float, float]
"""What it is, and its score on validation and test, in the dataset's metric."""


def main() -> None:
    """Print the baselines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", choices=tuple(BASELINES))
    given = parser.parse_args()
    for name, baseline in BASELINES.items():
        if given.dataset in (None, name):
            what, validation, test = baseline(load_dataset(name))
            print(f"{name}: {what}: validation {validation:.4f}, test {test:.4f}")


# Language identification -------------------------------------------------------------------------------------


def language_identification(dataset: Dataset) -> Baseline:
    """Return the error rates of tf–idf with logistic regression, on texts cut as a model's are."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    train = dataset.split("train")
    model = LogisticRegression(C=30, max_iter=300).fit(vectors.fit_transform(texts(train)), train.labels)
    splits = [dataset.split(name) for name in ("validation", "test")]
    errors = [float(np.mean(model.predict(vectors.transform(texts(split))) != split.labels)) for split in splits]
    return "tf–idf and logistic regression", errors[0], errors[1]


def texts(split: Split) -> list[str]:
    """Return the texts, cut to `INPUT_LENGTH` bytes."""
    return [ByteVocabulary().decode(split.inputs[i][:INPUT_LENGTH]) for i in range(len(split))]


# Language model ----------------------------------------------------------------------------------------------


def python_docs(dataset: Dataset) -> Baseline:
    """Return the bits a byte of the interpolated n-gram model of the best order."""
    train = dataset.split("train").inputs.tokens.tolist()
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for order in range(max(ORDERS)):
        for place in range(order, len(train)):
            counts[tuple(train[place - order : place])][train[place]] += 1
    found = {
        order: bits_per_byte(counts, dataset.split("validation"), order, dataset.info.vocabulary_size)
        for order in ORDERS
    }
    best = min(found, key=found.__getitem__)
    test = bits_per_byte(counts, dataset.split("test"), best, dataset.info.vocabulary_size)
    return f"interpolated {best}-gram model", found[best], test


def bits_per_byte(counts: dict[tuple[int, ...], Counter[int]], split: Split, order: int, vocabulary_size: int) -> float:
    """Return the bits a byte that a model of this order takes for a split."""
    text, bits = [END, *split.inputs.tokens.tolist()], 0.0
    totals = {context: sum(counter.values()) for context, counter in counts.items()}
    for place in range(1, len(text)):
        probability = 1 / vocabulary_size
        for length in range(min(order - 1, place) + 1):
            context = tuple(text[place - length : place])
            if context not in totals:
                break
            counter, total = counts[context], totals[context]
            kinds = len(counter)
            probability = (counter[text[place]] + kinds * probability) / (total + kinds)
        bits -= math.log2(probability)
    assert split.text_bytes
    return bits / split.text_bytes


# Grapheme to phoneme -----------------------------------------------------------------------------------------

Word = Sequence[int]


def cmudict(dataset: Dataset) -> Baseline:
    """Return the phoneme error rates of letters spoken by their neighbours."""
    train = pairs(dataset.split("train"))
    spoken = align(train)
    by_context: dict[tuple[int, ...], Counter[tuple[int, ...]]] = defaultdict(Counter)
    for (word, _), parts in zip(train, spoken, strict=True):
        for place, part in enumerate(parts):
            for reach in range(REACH + 1):
                by_context[around(word, place, reach)][part] += 1
    usual = {context: counter.most_common(1)[0][0] for context, counter in by_context.items()}
    scores = []
    for name in ("validation", "test"):
        errors = wanted = 0
        for word, target in pairs(dataset.split(name)):
            found = [phoneme for place in range(len(word)) for phoneme in speak(usual, word, place)]
            errors += edit_distance(found, target)
            wanted += len(target)
        scores.append(errors / wanted)
    return "letters by their neighbours", scores[0], scores[1]


def pairs(split: Split) -> list[tuple[list[int], list[int]]]:
    """Return (letters, phonemes) of each word, end tokens left out."""
    assert split.targets is not None
    return [(split.inputs[i].tolist(), split.targets[i][:-1].tolist()) for i in range(len(split))]


def around(word: Word, place: int, reach: int) -> tuple[int, ...]:
    """Return a letter and its neighbours on each side, the word's ends as -1."""
    return tuple(word[i] if 0 <= i < len(word) else -1 for i in range(place - reach, place + reach + 1))


def speak(usual: dict[tuple[int, ...], tuple[int, ...]], word: Word, place: int) -> tuple[int, ...]:
    """Return what a letter is spoken as by the widest neighbourhood that is known."""
    known = (around(word, place, reach) for reach in range(REACH, -1, -1))
    return next((usual[context] for context in known if context in usual), ())


def align(words: Iterable[tuple[Word, Word]]) -> list[list[tuple[int, ...]]]:
    """Return for each word what each of its letters says (no, one or two phonemes), by EM with the best path."""
    every = list(words)
    cost: dict[tuple[int, tuple[int, ...]], float] = {}
    paths: list[list[tuple[int, ...]]] = []
    for _ in range(EM_ROUNDS):
        paths = [best_path(word, target, cost) for word, target in every]
        counts = Counter(
            (letter, part)
            for (word, _), path in zip(every, paths, strict=True)
            for letter, part in zip(word, path, strict=False)
        )
        letters = Counter(letter for (letter, _), count in counts.items() for _ in range(count))
        cost = {(letter, part): -math.log(count / letters[letter]) for (letter, part), count in counts.items()}
    return paths


UNSEEN = 12.0


def best_path(word: Word, target: Word, cost: dict[tuple[int, tuple[int, ...]], float]) -> list[tuple[int, ...]]:
    """Return the cheapest way to say a target letter by letter; at first, an even pace is cheapest."""
    reached: list[dict[int, tuple[float, tuple[int, ...]]]] = [{0: (0.0, ())}]
    for place, letter in enumerate(word):
        now: dict[int, tuple[float, tuple[int, ...]]] = {}
        for said, (spent, _) in reached[-1].items():
            for many in (1, 0, 2):
                if said + many <= len(target):
                    part = tuple(target[said : said + many])
                    pace = abs((said + many) / max(1, len(target)) - (place + 1) / len(word))
                    step = spent + (cost.get((letter, part), UNSEEN) if cost else pace)
                    if said + many not in now or step < now[said + many][0]:
                        now[said + many] = (step, part)
        reached.append(now)
    if len(target) not in reached[-1]:  # more than two phonemes a letter: all are the last one's
        return [*((),) * (len(word) - 1), tuple(target)]
    path, said = [], len(target)
    for now in reversed(reached[1:]):
        path.append(now[said][1])
        said -= len(path[-1])
    return path[::-1]


BASELINES = {
    "language-identification": language_identification,
    "python-docs": python_docs,
    "cmudict": cmudict,
}

if __name__ == "__main__":
    main()
